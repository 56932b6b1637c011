#include "worker/attendant/spool.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "worker/attendant/files.h"
#include "worker/attendant/private_files.h"
#include "worker/attendant/process_table.h"
#include "worker/attendant/spool_record.h"

namespace troupe {
namespace {

using testing::ElementsAre;

AttemptSpec FullSpec() {
  AttemptSpec spec;
  spec.id = {RunId{17}, Subject::Hook, 3, 2};
  spec.token = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
  spec.kind = RunnerKind::Claude;
  spec.task = "pre_workflow[0]";
  spec.agent = "writer";
  spec.model = "m";
  spec.shell = true;
  spec.argv = {"a", "\u20AC", ""};
  spec.script_content = "print(1)\n";
  spec.script_file = "x.py";
  spec.pass_env = {"A"};
  spec.env = {{"A", "1"}, {"B", ""}};
  spec.run_dir = "/r";
  spec.working_dir = "w";
  spec.create_working_dir = true;
  spec.prompt_mode = PromptMode::File;
  spec.result_mode = ResultMode::JsonLast;
  spec.prompt = "say \"hi\"\n";
  spec.inputs_json = "{\"a\":1}";
  spec.capture_stdout = false;
  spec.capture_stderr = true;
  spec.output_path = "out/x";
  spec.timeout = Seconds(1.5);
  spec.silence = Seconds(2);
  spec.limits = {1, 2, 3, Truncation::Both};
  spec.claude = {"be brief", "plan", {"Read"}, {"Write"}, {"/d"}, 7};
  spec.mock = {FailureClass::RateLimited, Seconds(3), Seconds(4), "out", "{}"};
  spec.collection_format = CollectionFormat::JsonLines;
  return spec;
}

AttemptOutcome FullOutcome() {
  AttemptOutcome outcome;
  outcome.id = {RunId{17}, Subject::Task, 3, 2};
  outcome.failure = FailureClass::RateLimited;
  outcome.message = "slow down";
  outcome.output = "out \u20AC";
  outcome.error_output = std::string("e\0e", 3);
  outcome.result_json = "[1]";
  outcome.started = Instant(std::chrono::seconds(1000));
  outcome.ended = Instant(std::chrono::seconds(1001));
  outcome.exit_code = 3;
  outcome.signal = 9;
  outcome.retry_after = Seconds(30);
  outcome.usage = {1, 2, 0.125};
  outcome.session = "s";
  outcome.denied_tools = {"Bash"};
  outcome.events = "{}\n";
  outcome.never_started = true;
  return outcome;
}

class SpoolTest : public testing::Test {
 protected:
  SpoolTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "troupe-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    spec_.id = {RunId{17}, Subject::Task, 3, 2};
    spec_.token = "no-process-has-this";
    directory_ = SpoolDirectory(root_, spec_.id);
  }
  ~SpoolTest() override { std::filesystem::remove_all(root_); }

  StartRecord StartOf(pid_t attendant) const {
    StartRecord start;
    start.attendant = attendant;
    if (const auto process = FindProcess(attendant)) start.start_ticks = process->start_ticks;
    start.boot_id = BootId();
    start.started = Instant(std::chrono::seconds(5));
    start.token = spec_.token;
    return start;
  }

  // As a daemon or an attendant of this or another time wrote it.
  void Append(std::string_view word, const std::string& text) {
    ASSERT_TRUE(AttemptFile::Lock(directory_).value().Append(word, text).has_value());
  }
  void AppendOutcome(const AttemptOutcome& outcome) { Append("outcome", ToJson(outcome)); }
  void AppendStart(const StartRecord& start) { Append("start", ToJson(start)); }
  void WriteFileOf(const std::string& text) { std::ofstream(file()) << text; }
  std::string file() const { return directory_.string() + ".attempt"; }

  std::filesystem::path root_;
  AttemptSpec spec_;
  std::filesystem::path directory_;
};

TEST(SpoolJson, HoldsEveryField) {
  EXPECT_EQ(SpecFromJson(ToJson(FullSpec())).value(), FullSpec());
  EXPECT_EQ(SpecFromJson(ToJson(AttemptSpec{})).value(), AttemptSpec{});
  EXPECT_EQ(OutcomeFromJson(ToJson(FullOutcome())).value(), FullOutcome());
  EXPECT_EQ(OutcomeFromJson(ToJson(AttemptOutcome{})).value(), AttemptOutcome{});
}

TEST(SpoolJson, HoldsEveryEnumerator) {
  for (int i = 0; i < kFailureClassCount; ++i) {
    AttemptOutcome outcome;
    outcome.failure = static_cast<FailureClass>(i);
    EXPECT_EQ(OutcomeFromJson(ToJson(outcome)).value(), outcome);
  }
  for (int i = 0; i < kRunnerKindCount; ++i) {
    AttemptSpec spec;
    spec.kind = static_cast<RunnerKind>(i);
    EXPECT_EQ(SpecFromJson(ToJson(spec)).value(), spec);
  }
  for (const CollectionFormat format : {CollectionFormat::Json, CollectionFormat::JsonLines,
                                        CollectionFormat::Lines, CollectionFormat::Csv}) {
    AttemptSpec spec;
    spec.collection_format = format;
    EXPECT_EQ(SpecFromJson(ToJson(spec)).value(), spec);
  }
}

TEST(SpoolJson, IsLenientAboutFieldsAndStrictAboutTypes) {
  EXPECT_EQ(SpecFromJson("{\"new\":1}").value(), AttemptSpec{});
  for (const char* bad : {"", "{", "[]x", "{\"argv\":1}", "{\"kind\":\"magic\"}",
                          "{\"id\":{\"run\":\"x\"}}", "{\"limits\":7,\"shell\":3}"}) {
    ASSERT_FALSE(SpecFromJson(bad).has_value()) << bad;
    EXPECT_EQ(SpecFromJson(bad).error().code, ErrorCode::Corrupt);
  }
  EXPECT_EQ(OutcomeFromJson("{\"failure\":\"tired\"}").error().code, ErrorCode::Corrupt);
  EXPECT_EQ(OutcomeFromJson("{\"version\":99}").error().code, ErrorCode::TooNew);
}

TEST_F(SpoolTest, KeepsSpecAndOutcome) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  EXPECT_EQ(ReadSpec(directory_).value(), spec_);
  EXPECT_EQ(ReadOutcome(directory_).error().code, ErrorCode::NotFound);

  AppendOutcome(FullOutcome());
  EXPECT_EQ(ReadOutcome(directory_).value(), FullOutcome());
  EXPECT_EQ(InspectSpool(directory_).value().outcome, FullOutcome());
}

TEST_F(SpoolTest, AnOutcomeMayBeSyncedAfterwards) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  AppendOutcome(FullOutcome());

  EXPECT_TRUE(SyncOutcome(directory_).has_value());

  EXPECT_EQ(ReadOutcome(directory_).value(), FullOutcome());
  ASSERT_TRUE(ForgetAttempt(root_, spec_.id).has_value());
  EXPECT_TRUE(SyncOutcome(directory_).has_value()) << "nobody waits for it any more";
}

// As of a daemon that died while it wrote, or a disk that was full.
TEST_F(SpoolTest, TakesAHalfStartRecordForNoStart) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  std::ofstream(file(), std::ios::app) << "start {\"atten";

  EXPECT_TRUE(InspectSpool(directory_).value().outcome.value().never_started);
}

TEST_F(SpoolTest, HandsBackAnAttemptOfHalfASpec) {
  WriteFileOf("boot " + BootId() + "\nspec {\"id\":");

  const AttemptOutcome outcome = InspectSpool(directory_).value().outcome.value();

  EXPECT_TRUE(outcome.never_started);
  EXPECT_EQ(outcome.id, spec_.id);
}

TEST_F(SpoolTest, IsPrivate) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  struct stat status {};

  ASSERT_EQ(::stat(file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(SpoolTest, NeverReplacesASpec) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  const Result<AttemptFile> held = AttemptFile::Lock(directory_);
  AttemptSpec other = spec_;
  other.prompt = "another";

  EXPECT_TRUE(WriteSpec(root_, other).has_value());

  EXPECT_EQ(ReadSpec(directory_).value(), spec_);
  EXPECT_EQ(AttemptFile::Lock(directory_).error().code, ErrorCode::Locked);
}

TEST_F(SpoolTest, ListsAttemptsInOrder) {
  for (const AttemptId& id :
       {AttemptId{RunId{10}, Subject::Task, 0, 1}, AttemptId{RunId{9}, Subject::Hook, 0, 1},
        AttemptId{RunId{9}, Subject::Task, 11, 1}, AttemptId{RunId{9}, Subject::Task, 2, 1}}) {
    spec_.id = id;
    ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  }
  for (const char* other : {"home", "1-t1", "1-x1-1", "01-t1-1", "1-t1-1-1", "1-t1-1"}) {
    std::filesystem::create_directory(root_ / other);
    std::ofstream(root_ /
                  (std::string(other) == "1-t1-1" ? "other" : other + std::string(".attempt")));
  }

  EXPECT_THAT(ListSpool(root_).value(), ElementsAre(AttemptId{RunId{9}, Subject::Task, 2, 1},
                                                    AttemptId{RunId{9}, Subject::Task, 11, 1},
                                                    AttemptId{RunId{9}, Subject::Hook, 0, 1},
                                                    AttemptId{RunId{10}, Subject::Task, 0, 1}));
  EXPECT_FALSE(ListSpool(root_ / "missing").has_value());
}

TEST_F(SpoolTest, ForgetsAnAttemptWithAllItLeft) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  std::filesystem::create_directories(directory_);
  std::ofstream(directory_ / "stdout") << "x";
  std::ofstream(directory_ / "other") << "x";

  EXPECT_TRUE(ForgetAttempt(root_, spec_.id).has_value());

  EXPECT_TRUE(std::filesystem::is_empty(root_));
  EXPECT_TRUE(ForgetAttempt(root_, spec_.id).has_value()) << "nothing to forget";
}

TEST_F(SpoolTest, SweepsWhatAnInterruptedForgetLeft) {
  std::filesystem::create_directory(directory_);
  std::ofstream(directory_ / "stdout") << "x";

  EXPECT_TRUE(ListSpool(root_).value().empty());

  EXPECT_TRUE(std::filesystem::is_empty(root_));
}

TEST_F(SpoolTest, LeavesWhatAnAttemptHasPrinted) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  std::filesystem::create_directory(directory_);
  std::ofstream(directory_ / "stdout") << "x";

  EXPECT_THAT(ListSpool(root_).value(), ElementsAre(spec_.id));

  EXPECT_TRUE(std::filesystem::exists(directory_ / "stdout"));
}

TEST_F(SpoolTest, SweepsPrivateFilesOfTheDead) {
  const Process self = FindProcess(::getpid()).value();
  const PrivateFiles mine(root_, self);
  Process dead = self;
  dead.start_ticks += 1;
  std::filesystem::create_directory(mine.path());
  std::filesystem::create_directory(root_ / "private-x");
  const std::string other = fmt::format("private-{}-{}", dead.pid, dead.start_ticks);
  std::filesystem::create_directory(root_ / other);

  EXPECT_TRUE(ListSpool(root_).value().empty());

  EXPECT_TRUE(std::filesystem::exists(mine.path()));
  EXPECT_TRUE(std::filesystem::exists(root_ / "private-x"));
  EXPECT_FALSE(std::filesystem::exists(root_ / other));
}

// What was under way there would be begun again.
TEST_F(SpoolTest, RefusesAttemptsOfAnOlderTroupe) {
  std::filesystem::create_directory(directory_);
  std::ofstream(directory_ / "lock") << BootId();

  const Result<std::vector<AttemptId>> ids = ListSpool(root_);

  ASSERT_FALSE(ids.has_value());
  EXPECT_THAT(ids.error().message, testing::HasSubstr("an attempt of an older troupe"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "lock"));
}

TEST_F(SpoolTest, HandsBackWhatWasNeverStarted) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());

  const SpoolState state = InspectSpool(directory_).value();

  EXPECT_FALSE(state.running);
  ASSERT_TRUE(state.outcome.has_value());
  EXPECT_TRUE(state.outcome->never_started);
  EXPECT_EQ(state.outcome->failure, FailureClass::WorkerLost);
  EXPECT_EQ(state.outcome->id, spec_.id);
  EXPECT_EQ(ReadOutcome(directory_).value(), *state.outcome) << "an attendant must find it";
}

TEST_F(SpoolTest, HandsBackAFileWithoutASpec) {
  WriteFileOf("");

  const SpoolState state = InspectSpool(directory_).value();

  ASSERT_TRUE(state.outcome.has_value());
  EXPECT_EQ(state.outcome->id, spec_.id);
  EXPECT_EQ(state.outcome->failure, FailureClass::WorkerLost);
}

TEST_F(SpoolTest, KnowsARestartOfTheMachine) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  StartRecord start = StartOf(::getpid());
  start.boot_id = "another";
  AppendStart(start);

  const AttemptOutcome outcome = InspectSpool(directory_).value().outcome.value();

  EXPECT_EQ(outcome.failure, FailureClass::WorkerLost);
  EXPECT_EQ(outcome.message, "the machine was restarted");
  EXPECT_FALSE(outcome.never_started);
  EXPECT_EQ(outcome.started, start.started);
}

TEST_F(SpoolTest, DoesNotTakeALostStartRecordForNoStart) {
  WriteFileOf("boot another\nspec " + ToJson(spec_) + "\n");

  const AttemptOutcome outcome = InspectSpool(directory_).value().outcome.value();

  EXPECT_EQ(outcome.failure, FailureClass::WorkerLost);
  EXPECT_FALSE(outcome.never_started);
}

TEST_F(SpoolTest, KnowsThatItsAttendantWasKilled) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  AppendStart(StartOf(::getpid()));

  const AttemptOutcome outcome = InspectSpool(directory_).value().outcome.value();

  EXPECT_EQ(outcome.failure, FailureClass::Crashed);
}

TEST_F(SpoolTest, LeavesARunningAttemptAlone) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  Result<AttemptFile> held = AttemptFile::Lock(directory_);
  SpoolState state = InspectSpool(directory_).value();
  EXPECT_TRUE(state.running);
  EXPECT_EQ(state.attendant, 0) << "not written yet";
  EXPECT_FALSE(state.outcome.has_value());

  ASSERT_TRUE(held->Append("start", ToJson(StartOf(::getpid()))).has_value());
  EXPECT_EQ(InspectSpool(directory_).value().attendant, ::getpid());

  StartRecord another = StartOf(::getpid());
  another.start_ticks += 1;
  ASSERT_TRUE(held->Append("start", ToJson(another)).has_value());
  EXPECT_EQ(InspectSpool(directory_).value().attendant, 0) << "its number was used again";
  EXPECT_FALSE(held->Line("outcome").has_value());
}

TEST_F(SpoolTest, PutsAnOutcomeInPlaceOfADamagedOne) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  AppendStart(StartOf(::getpid()));
  Append("outcome", "{\"ver");

  const AttemptOutcome outcome = InspectSpool(directory_).value().outcome.value();

  EXPECT_EQ(outcome.failure, FailureClass::Crashed);
  EXPECT_EQ(ReadOutcome(directory_).value(), outcome);
}

TEST_F(SpoolTest, PutsAnOutcomeInPlaceOfHalfOfOne) {
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());
  AppendStart(StartOf(::getpid()));
  std::ofstream(file(), std::ios::app) << "outcome " << std::string(10'000, '{');
  EXPECT_EQ(ReadOutcome(directory_).error().code, ErrorCode::NotFound);

  const AttemptOutcome outcome = InspectSpool(directory_).value().outcome.value();

  EXPECT_EQ(outcome.failure, FailureClass::Crashed);
  EXPECT_EQ(ReadOutcome(directory_).value(), outcome);
}

TEST_F(SpoolTest, HoldsTextOfAnyKind) {
  spec_.prompt = "a\nspec {}\noutcome {}\n";
  ASSERT_TRUE(WriteSpec(root_, spec_).has_value());

  EXPECT_EQ(ReadSpec(directory_).value(), spec_);
  EXPECT_EQ(ReadOutcome(directory_).error().code, ErrorCode::NotFound);
}

TEST(ProcessTable, FindsThisProcess) {
  const auto self = FindProcess(::getpid());

  ASSERT_TRUE(self.has_value());
  EXPECT_EQ(self->parent, ::getppid());
  EXPECT_EQ(self->group, ::getpgrp());
  EXPECT_GT(self->start_ticks, 0U);
  EXPECT_FALSE(FindProcess(0x7FFFFFF).has_value());
  EXPECT_FALSE(BootId().empty());
}

}  // namespace
}  // namespace troupe
