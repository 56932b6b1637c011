#include "protocol/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "protocol/limits.h"

namespace troupe {
namespace {

// Of every frame: a list of three, the first of which is the version.
const std::string kStart = {'\x93', static_cast<char>(kProtocolMax)};

AttemptId SampleId() { return {RunId{1'000'000'000'000}, Subject::Hook, 70'000, 3}; }

AttemptSpec SampleSpec() {
  AttemptSpec spec;
  spec.id = SampleId();
  spec.token = "token";
  spec.kind = RunnerKind::Hook;
  spec.task = "täsk";
  spec.agent = "agent";
  spec.model = "model";
  spec.shell = true;
  spec.argv = {"sh", "-c", std::string("a\0b", 3)};
  spec.script_content = "content";
  spec.script_file = "file";
  spec.pass_env = {"HOME"};
  spec.env = {{"A", "1"}, {"B", ""}};
  spec.run_dir = "/r";
  spec.working_dir = "/w";
  spec.create_working_dir = true;
  spec.prompt_mode = PromptMode::File;
  spec.result_mode = ResultMode::Jsonl;
  spec.prompt = "prompt";
  spec.inputs_json = "{\"a\":1}";
  spec.capture_stdout = false;
  spec.capture_stderr = true;
  spec.output_path = "out";
  spec.timeout = std::chrono::hours(48);
  spec.silence = std::chrono::milliseconds(1);
  spec.limits = {1, 2, 3, Truncation::Both};
  spec.claude = {"s", "plan", {"Read"}, {"Bash"}, {"/d"}, 9};
  spec.mock = {FailureClass::HookFailed, std::chrono::seconds(1), std::chrono::seconds(2), "o",
               "[]"};
  spec.collection_format = CollectionFormat::Csv;
  return spec;
}

AttemptOutcome SampleOutcome() {
  AttemptOutcome outcome;
  outcome.id = SampleId();
  outcome.failure = FailureClass::Cancelled;
  outcome.message = "message";
  outcome.output = "output";
  outcome.error_output = "error";
  outcome.result_json = "null";
  outcome.started = Instant{} + std::chrono::hours(1);
  outcome.ended = Instant{} - std::chrono::hours(1);
  outcome.exit_code = -5;
  outcome.signal = 9;
  outcome.retry_after = std::chrono::seconds(3);
  outcome.usage = {1, 2, 0.5};
  outcome.session = "session";
  outcome.denied_tools = {"a", "b"};
  outcome.events = "{}\n";
  outcome.never_started = true;
  return outcome;
}

RunEvent SampleEvent() {
  RunEvent event;
  event.kind = RunEvent::Kind::AgentShut;
  event.at = Instant{} + std::chrono::hours(7);
  event.run = RunId{8};
  event.task = "task";
  event.attempt = 9;
  event.agent = "agent";
  event.worker = "w1";
  event.stage = "stage";
  event.duration = std::chrono::seconds(1);
  event.failure = FailureClass::HookFailed;
  event.message = "message";
  event.delay = std::chrono::seconds(2);
  event.retry = 1;
  event.retries = 3;
  event.status = "succeeded";
  return event;
}

std::vector<ToCoordinator> AllToCoordinator() {
  return {Hello{.protocol_min = 0,
                .protocol_max = 7,
                .worker = "w",
                .incarnation = 0xFFFF'FFFF'FFFF'FFFFull,
                .slots = 5,
                .labels = {"gpu"},
                .providers = {"mock"},
                .holding = {SampleId()},
                .spool = 6,
                .draining = true},
          Heartbeat{1},
          Started{{{SampleId(), Instant{} + std::chrono::hours(5)}}},
          Finished{{SampleOutcome(), AttemptOutcome{}}},
          Goodbye{{SampleId()}},
          ClientCommand{3, CommandKind::Delete, RunId{4}},
          Output{5, true, "bytes"},
          ClientSubmit{6, "text", "file", "flow", {"a=1"}, "/r", true, "key", true},
          ClientRetry{7, RunId{8}, {"t"}},
          ClientDrain{9, "w1", false},
          ClientListWorkers{10},
          ClientRead{11, ReadKind::Attempts, RunId{12}, Subject::Hook, 13, 14},
          ClientWatch{15, RunId{16}, true},
          ClientReadOutput{17, SampleId(), OutputStream::Events, 18}};
}

std::vector<FromCoordinator> AllFromCoordinator() {
  return {Welcome{1, 2, std::chrono::seconds(4), std::chrono::seconds(1), std::chrono::seconds(9)},
          Dispatch{7, {SampleSpec(), AttemptSpec{}}},
          Stop{{SampleId()}, true},
          Committed{{SampleId()}},
          UnknownWorker{},
          Refused{"no", true},
          ClientReply{8, "why"},
          Alive{1, 2},
          Drain{false},
          ReadOutput{9, SampleId(), OutputStream::Stderr, 10},
          ClientSubmitted{11, RunId{12}, true, "problems"},
          ClientWorkers{13,
                        {{"w1",
                          WorkerState::Left,
                          4,
                          2,
                          {"gpu"},
                          {"mock"},
                          {SampleId()},
                          std::chrono::seconds(3)}}},
          ClientRecords{14, 15, false, {{3, std::string("\0\xff", 2)}}},
          ClientEvents{16, 17, 18, {SampleEvent()}, 19, 20},
          ClientOutput{21, true, "bytes"}};
}

TEST(Codec, KeepsEveryFieldOfEveryMessage) {
  ASSERT_EQ(AllToCoordinator().size(), std::variant_size_v<ToCoordinator>);
  ASSERT_EQ(AllFromCoordinator().size(), std::variant_size_v<FromCoordinator>);
  for (const ToCoordinator& message : AllToCoordinator()) {
    const auto decoded = DecodeToCoordinator(Encode(message));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_TRUE(*decoded == message) << message.index();
  }
  for (const FromCoordinator& message : AllFromCoordinator()) {
    const auto decoded = DecodeFromCoordinator(Encode(message));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_TRUE(*decoded == message) << message.index();
  }
}

TEST(Codec, RefusesEveryCutAndEveryAppendedByte) {
  for (const FromCoordinator& message : AllFromCoordinator()) {
    const std::string frame = Encode(message);
    for (std::size_t size = 0; size < frame.size(); ++size) {
      EXPECT_FALSE(DecodeFromCoordinator(std::string_view(frame).substr(0, size)));
    }
    EXPECT_FALSE(DecodeFromCoordinator(frame + "x"));
  }
}

TEST(Codec, SurvivesRandomBytesAndFlippedOnes) {
  std::mt19937 dice(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string frame;
    for (std::size_t size = dice() % 64; size > 0; --size)
      frame.push_back(static_cast<char>(dice()));
    EXPECT_FALSE(DecodeToCoordinator(kStart + frame).has_value() &&
                 DecodeFromCoordinator(kStart + frame).has_value() && frame.empty());
  }
  for (const ToCoordinator& message : AllToCoordinator()) {
    const std::string frame = Encode(message);
    for (std::size_t i = 0; i < frame.size(); ++i) {
      std::string damaged = frame;
      damaged[i] = static_cast<char>(dice());
      (void)DecodeToCoordinator(damaged);  // An answer of either kind, no crash.
    }
  }
}

// Headers that claim sizes which the frame does not have.
TEST(Codec, RefusesACostThatIsNoNumber) {
  AttemptOutcome outcome = SampleOutcome();
  for (const double cost : {std::numeric_limits<double>::quiet_NaN(), HUGE_VAL, -HUGE_VAL}) {
    outcome.usage.cost_usd = cost;
    EXPECT_FALSE(DecodeToCoordinator(Encode(ToCoordinator(Finished{{outcome}})))) << cost;
  }
}

TEST(Codec, RefusesBombsWithoutAllocating) {
  using namespace std::string_literals;
  for (const std::string& bomb :
       {"\xdd\xff\xff\xff\xff"s, "\xdd\x10\x00\x00\x00"s, "\xdf\xff\xff\xff\xff"s,
        "\xdb\xff\xff\xff\xff"s, "\xc6\xff\xff\xff\xff"s, kStart + "\x03\xdd\xff\xff\xff\xff"s}) {
    EXPECT_FALSE(DecodeToCoordinator(bomb));
  }
  std::string deep(100'000, '\x91');
  EXPECT_FALSE(DecodeToCoordinator(deep));
  std::string wide;
  for (int i = 0; i < 24'000; ++i) wide += "\xdc\xff\xff"s;
  EXPECT_FALSE(DecodeToCoordinator(wide));
}

// A byte on the wire can be fifty in memory.
TEST(Codec, RefusesAFrameOfAMillionLittleValues) {
  AttemptOutcome outcome;
  outcome.denied_tools.assign(65'000, "");
  Finished finished{std::vector<AttemptOutcome>(17, outcome)};

  const auto decoded = DecodeToCoordinator(Encode(ToCoordinator(finished)));

  ASSERT_FALSE(decoded);
  EXPECT_NE(decoded.error().message.find("too many values"), std::string::npos);
}

TEST(Codec, TakesAsManyOutcomesAndAttemptsAsThereMayBe) {
  Hello hello;
  hello.holding.assign(65'000, SampleId());
  EXPECT_TRUE(DecodeToCoordinator(Encode(ToCoordinator(hello))));
  AttemptOutcome outcome = SampleOutcome();
  outcome.output.assign(200, 'x');
  const Finished finished{std::vector<AttemptOutcome>(20'000, outcome)};
  EXPECT_TRUE(DecodeToCoordinator(Encode(ToCoordinator(finished))));
}

TEST(Codec, TheLargestOutcomeFitsIntoAFrame) {
  AttemptOutcome outcome = SampleOutcome();
  outcome.output.assign(200u << 20, 'o');
  outcome.output.replace(100, 2, "ä");
  outcome.error_output.assign(100u << 20, 'e');
  outcome.error_output.back() = '!';
  outcome.result_json.assign(kOutcomeBytesMax - kOutputBytesMax - kErrorOutputBytesMax, ' ');

  FitIntoFrame(outcome);

  EXPECT_NE(outcome.result_json, "");

  const std::string frame = Encode(ToCoordinator(Finished{{outcome}}));
  EXPECT_LT(frame.size(), kFrameBytesMax);
  EXPECT_TRUE(DecodeToCoordinator(frame));
  EXPECT_EQ(outcome.error_output.back(), '!');
  EXPECT_TRUE(outcome.error_output.starts_with("[... ")) << outcome.error_output.substr(0, 50);
}

TEST(Codec, AResultMayTakeWhatTheOutputsLeave) {
  AttemptOutcome outcome;
  outcome.result_json.assign(kOutcomeBytesMax, ' ');
  FitIntoFrame(outcome);
  EXPECT_EQ(outcome.failure, std::nullopt);

  outcome.output = "o";
  FitIntoFrame(outcome);
  EXPECT_EQ(outcome.failure, FailureClass::SchemaFailed);
  EXPECT_EQ(outcome.result_json, "");
}

TEST(Codec, RefusesOtherVersionsAndUnknownMessagesWithAReason) {
  using namespace std::string_literals;
  const auto newer = DecodeToCoordinator("\x93\x63\x04\x90"s);
  ASSERT_FALSE(newer);
  EXPECT_NE(newer.error().message.find("version 99"), std::string::npos);
  EXPECT_FALSE(DecodeToCoordinator("\x93\x02\x63\x90"s));
  EXPECT_TRUE(DecodeToCoordinator("\x93\x02\x04\x90"s));
}

TEST(Codec, TakesMissingFieldsAsDefaultsAndIgnoresExtraOnes) {
  using namespace std::string_literals;
  const auto shorter = DecodeToCoordinator("\x93\x02\x01\x90"s);  // Heartbeat of no field.
  ASSERT_TRUE(shorter);
  EXPECT_EQ(std::get<Heartbeat>(*shorter), (Heartbeat{0}));
  const auto longer = DecodeToCoordinator("\x93\x02\x01\x94\x05\x06\xc0\xa1x"s);
  ASSERT_TRUE(longer);
  EXPECT_EQ(std::get<Heartbeat>(*longer), (Heartbeat{5}));
}

// --- lists whose items are nearly alike ---

TEST(Codec, WritesOfASpecWhatTheOneBeforeItHasNot) {
  Dispatch dispatch{7, {SampleSpec(), SampleSpec(), AttemptSpec{}, SampleSpec()}};
  dispatch.specs[1].id.index = 9;
  const std::size_t one = Encode(FromCoordinator(Dispatch{7, {SampleSpec()}})).size();

  const std::string bytes = Encode(FromCoordinator(dispatch));

  EXPECT_EQ(DecodeFromCoordinator(bytes).value(), FromCoordinator(dispatch));
  dispatch.specs.resize(2);
  EXPECT_LT(Encode(FromCoordinator(dispatch)).size(), one + 20);
}

// A few bytes stand for a large spec, over and over.
TEST(Codec, RefusesAListOfSpecsThatWouldNotFitIntoMemory) {
  AttemptSpec large;
  large.prompt = std::string(1u << 20, 'x');

  const auto few = DecodeFromCoordinator(
      Encode(FromCoordinator(Dispatch{7, std::vector<AttemptSpec>(10, large)})));
  const auto many = DecodeFromCoordinator(
      Encode(FromCoordinator(Dispatch{7, std::vector<AttemptSpec>(100, large)})));

  EXPECT_TRUE(few);
  EXPECT_FALSE(many);
}

// Strangers send them: nothing of one stands for another.
TEST(Codec, WritesAnOutcomeWithoutTheOneBeforeIt) {
  AttemptOutcome outcome;
  outcome.output = std::string(1'000, 'x');

  const std::string bytes =
      Encode(ToCoordinator(Finished{std::vector<AttemptOutcome>(10, outcome)}));

  EXPECT_GT(bytes.size(), 10'000u);
  EXPECT_EQ(DecodeToCoordinator(bytes).value(),
            ToCoordinator(Finished{std::vector<AttemptOutcome>(10, outcome)}));
}

TEST(Codec, RefusesAnItemWithoutAFieldThatItsBitsPromise) {
  using namespace std::string_literals;
  // [2, finished, [[[bits, …]]]]: bit 2 is the message.
  EXPECT_TRUE(DecodeToCoordinator("\x93\x02\x03\x91\x91\x92\x04\xa1x"s));
  EXPECT_FALSE(DecodeToCoordinator("\x93\x02\x03\x91\x91\x91\x04"s));
  EXPECT_FALSE(DecodeToCoordinator("\x93\x02\x03\x91\x91\x90"s));
}

}  // namespace
}  // namespace troupe
