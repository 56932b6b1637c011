#include "worker/attendant/command_protocol.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace troupe {
namespace {

Ending Exit(int code, std::string_view out = "", std::string_view last_error = "") {
  Ending ending;
  ending.process = {code, 0};
  ending.standard_output = out;
  ending.last_error_line = last_error;
  return ending;
}

// What an agent with this result mode is found to have done.
Verdict Conclude(ResultMode mode, const Ending& ending,
                 RunnerKind kind = RunnerKind::AgentCommand) {
  CommandProtocol protocol(kind, mode);
  std::vector<AgentEvent> events;
  protocol.Read(ending.standard_output.value_or(""), events);
  return protocol.Conclude(ending);
}

Verdict WithFile(const std::string& result, int code = 0) {
  Ending ending = Exit(code);
  ending.result_file = result;
  return Conclude(ResultMode::Text, ending);
}

TEST(ClassOfExit, FollowsTheTableForAgents) {
  using enum FailureClass;
  const std::map<int, FailureClass> table = {
      {64, InvalidRequest}, {65, InvalidRequest},   {66, InvalidRequest}, {69, Overloaded},
      {70, Crashed},        {71, Crashed},          {73, Transient},      {74, Transient},
      {75, Transient},      {77, PermissionDenied}, {78, Auth},           {124, Timeout},
      {126, SpawnFailed},   {127, SpawnFailed}};
  EXPECT_EQ(ClassOfExit(RunnerKind::AgentCommand, {0, 0}), std::nullopt);
  for (int code = 1; code < 256; ++code) {
    FailureClass expected = AgentError;
    if (const auto it = table.find(code); it != table.end()) expected = it->second;
    if (code >= 129 && code <= 192) expected = Crashed;

    EXPECT_EQ(ClassOfExit(RunnerKind::AgentCommand, {code, 0}), expected) << code;
  }
  EXPECT_EQ(ClassOfExit(RunnerKind::AgentCommand, {-1, 9}), Crashed);
}

TEST(ClassOfExit, KnowsFewerForCommandsAndScripts) {
  using enum FailureClass;
  for (const RunnerKind kind : {RunnerKind::Command, RunnerKind::Script}) {
    EXPECT_EQ(ClassOfExit(kind, {0, 0}), std::nullopt);
    EXPECT_EQ(ClassOfExit(kind, {-1, 11}), Crashed);
    for (int code = 1; code < 256; ++code) {
      FailureClass expected = AgentError;
      if (code == 126 || code == 127) expected = SpawnFailed;
      if (code >= 129 && code <= 192) expected = Crashed;

      EXPECT_EQ(ClassOfExit(kind, {code, 0}), expected) << code;
    }
  }
}

TEST(ClassOfExit, HasOneClassForHooks) {
  EXPECT_EQ(ClassOfExit(RunnerKind::Hook, {0, 0}), std::nullopt);
  EXPECT_EQ(ClassOfExit(RunnerKind::Hook, {1, 0}), FailureClass::HookFailed);
  EXPECT_EQ(ClassOfExit(RunnerKind::Hook, {127, 0}), FailureClass::HookFailed);
  EXPECT_EQ(ClassOfExit(RunnerKind::Hook, {-1, 9}), FailureClass::HookFailed);
}

TEST(CommandProtocol, SaysHowTheProcessEnded) {
  EXPECT_EQ(Conclude(ResultMode::Text, Exit(1, "", "no such host")).message,
            "exit status 1: no such host");
  EXPECT_EQ(Conclude(ResultMode::Text, Exit(1)).message, "exit status 1");
  Ending killed;
  killed.process = {-1, 9};
  EXPECT_EQ(Conclude(ResultMode::Text, killed).message, "signal 9");
  EXPECT_EQ(Conclude(ResultMode::Text, Exit(0, "", "a warning")).message, "");
}

TEST(CommandProtocol, TakesTextAsItIs) {
  const Verdict verdict = Conclude(ResultMode::Text, Exit(0, "{\"error\":{\"class\":\"auth\"}}"));

  EXPECT_EQ(verdict.failure, std::nullopt);
  EXPECT_EQ(verdict.text, std::nullopt);
}

TEST(CommandProtocol, ReadsAResultObject) {
  const Verdict verdict = WithFile(R"({"text":"t","structured":{"b": [1, 2]},"artifacts":["x"],
      "usage":{"input":3,"output":4},"cost_usd":0.5,"session_id":"s"})");

  EXPECT_EQ(verdict.failure, std::nullopt);
  EXPECT_EQ(verdict.text, "t");
  EXPECT_EQ(verdict.result_json, "{\"b\":[1,2]}");
  EXPECT_EQ(verdict.usage, (Usage{3, 4, 0.5}));
  EXPECT_EQ(verdict.session, "s");
}

TEST(CommandProtocol, TakesAnyOtherJsonAsStructured) {
  for (const std::string json : {"{\"other\":1,\"text\":\"t\"}", "{}", "[1]", "7", "\"x\"",
                                 "{\"text\":5}", "{\"error\":\"boom\"}"}) {
    const Verdict verdict = WithFile(json);

    EXPECT_EQ(verdict.failure, std::nullopt) << json;
    EXPECT_EQ(verdict.result_json, json);
    EXPECT_EQ(verdict.text, json);
  }
}

TEST(CommandProtocol, HasStandardOutputAsTextOnlyWithAFile) {
  EXPECT_EQ(WithFile("{\"structured\":1}").text, std::nullopt) << "none: what was captured";
  EXPECT_EQ(Conclude(ResultMode::Json, Exit(0, "{\"structured\":1}")).text, "");
}

TEST(CommandProtocol, PrefersTheFile) {
  Ending ending = Exit(0, "{\"text\":\"printed\"}");
  ending.result_file = "{\"text\":\"file\"}";

  EXPECT_EQ(Conclude(ResultMode::Json, ending).text, "file");
}

TEST(CommandProtocol, BelievesAnErrorMoreThanTheExit) {
  for (int code : {0, 1, 75}) {
    const Verdict verdict = WithFile(
        R"({"error":{"class":"rate_limited","message":"slow down","retry_after_ms":30000}})", code);

    EXPECT_EQ(verdict.failure, FailureClass::RateLimited);
    EXPECT_EQ(verdict.message, "slow down");
    EXPECT_EQ(verdict.retry_after, std::chrono::seconds(30));
  }
}

TEST(CommandProtocol, AcceptsAllClassesThatMayBeTold) {
  for (int i = 0; i < kFailureClassCount; ++i) {
    const auto failure = static_cast<FailureClass>(i);
    const std::string word(Name(failure));
    const Verdict verdict = WithFile("{\"error\":{\"class\":\"" + word + "\",\"message\":\"m\"}}");

    const bool told = Traits(failure).told;
    EXPECT_EQ(verdict.failure, told ? failure : FailureClass::AgentError) << word;
    EXPECT_EQ(verdict.message, told ? "m" : word + ": m");
  }
  EXPECT_EQ(WithFile(R"({"error":{"class":"tired"}})").message, "tired");
  EXPECT_EQ(WithFile(R"({"error":{}})").failure, FailureClass::AgentError);
  EXPECT_EQ(WithFile(R"({"error":{}})").message, "exit status 0");
  EXPECT_EQ(WithFile(R"({"error":null,"text":"fine"})").failure, std::nullopt);
}

TEST(CommandProtocol, ReadsTheWholeOfJson) {
  EXPECT_EQ(Conclude(ResultMode::Json, Exit(0, " [1, 2]\n")).result_json, "[1,2]");
  EXPECT_EQ(Conclude(ResultMode::Json, Exit(3, "no")).failure, FailureClass::AgentError);
  for (const char* bad : {"", "[1", "[1] [2]", "text"}) {
    EXPECT_EQ(Conclude(ResultMode::Json, Exit(0, bad)).failure, FailureClass::SchemaFailed) << bad;
  }
  Ending too_long = Exit(0);
  too_long.standard_output.reset();
  EXPECT_EQ(Conclude(ResultMode::Json, too_long).failure, FailureClass::SchemaFailed);
}

TEST(CommandProtocol, ReadsTheLastObjectOfTheLines) {
  const std::string out = "start\n{\"text\":\"a\"}\n{\"text\":\"b\"}\r\n[1]\n{broken\nend\n";

  EXPECT_EQ(Conclude(ResultMode::JsonLast, Exit(0, out)).text, "b");
  EXPECT_EQ(Conclude(ResultMode::JsonLast, Exit(0, "{\"text\":\"no newline\"}")).text,
            "no newline");
  EXPECT_EQ(Conclude(ResultMode::JsonLast, Exit(0, "[1]\n")).failure, FailureClass::SchemaFailed);
  EXPECT_EQ(Conclude(ResultMode::JsonLast, Exit(2, "[1]\n")).failure, FailureClass::AgentError);
}

TEST(CommandProtocol, ReadsJsonLines) {
  CommandProtocol protocol(RunnerKind::AgentCommand, ResultMode::Jsonl);
  std::vector<AgentEvent> events;
  protocol.Read(
      "{\"type\":\"log\",\"text\":\"hello\"}\nplain\n{\"type\":\"progress\",\"pct\":40}\n"
      "{\"type\":\"later\"}\n\n",
      events);
  protocol.Read("{\"type\":\"usage\",\"input\":5}\n{\"type\":\"result\",\"te", events);
  protocol.Read("xt\":\"done\"}\n", events);

  const Verdict verdict = protocol.Conclude(Exit(0));

  EXPECT_EQ(verdict.failure, std::nullopt);
  EXPECT_EQ(verdict.text, "done");
  EXPECT_EQ(verdict.usage.input_tokens, 5U);
  const std::vector<AgentEvent> expected = {{.type = "log", .text = "hello"},
                                            {.type = "log", .text = "plain"},
                                            {.type = "progress", .value = 40},
                                            {.type = "log", .text = "{\"type\":\"later\"}"}};
  EXPECT_EQ(events, expected);
  EXPECT_EQ(Conclude(ResultMode::Jsonl, Exit(0, "plain\n")).failure, FailureClass::SchemaFailed);
}

TEST(CommandProtocol, FailsByAFileThatIsNoJsonOnlyIfTheExitIsZero) {
  EXPECT_EQ(WithFile("{broken").failure, FailureClass::SchemaFailed);
  EXPECT_EQ(WithFile("{broken", 75).failure, FailureClass::Transient);
  Ending unusable = Exit(0);
  unusable.result_file_problem = "it is a pipe";
  EXPECT_EQ(Conclude(ResultMode::Text, unusable).failure, FailureClass::SchemaFailed);
  EXPECT_EQ(Conclude(ResultMode::Text, unusable).message, "it is a pipe");
}

TEST(CommandProtocol, IgnoresTheResultsOfHooks) {
  Ending ending = Exit(0);
  ending.result_file = "{\"error\":{\"class\":\"auth\"}}";

  EXPECT_EQ(Conclude(ResultMode::Text, ending, RunnerKind::Hook).failure, std::nullopt);
}

TEST(CommandProtocol, SurvivesHostileJson) {
  const std::string deep(100'000, '[');
  EXPECT_EQ(WithFile(deep).failure, FailureClass::SchemaFailed);
  EXPECT_EQ(WithFile(deep + std::string(100'000, ']')).failure, FailureClass::SchemaFailed);
  EXPECT_EQ(WithFile("{\"error\":{\"class\":\"rate_limited\",\"retry_after_ms\":-5}}").retry_after,
            Duration::zero());
  EXPECT_LT(
      WithFile("{\"error\":{\"class\":\"rate_limited\",\"retry_after_ms\":1e300}}").retry_after,
      Duration::max());
  EXPECT_EQ(WithFile("{\"usage\":{\"input\":-1e300}}").usage.input_tokens, 0U);
}

}  // namespace
}  // namespace troupe
