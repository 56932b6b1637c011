// Commands, scripts, hooks and command agents, carried out by the real program.
#include "worker/attendant/attendant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "tests/worker/attendant/attempt_fixture.h"
#include "worker/attendant/output_capture.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class Attendant : public AttemptFixture {};

TEST_F(Attendant, ReportsWhatACommandDid) {
  const AttemptSpec spec = ShellCommand("echo out; echo err >&2; exit 3");

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.id, spec.id);
  EXPECT_EQ(outcome.failure, FailureClass::AgentError);
  EXPECT_EQ(outcome.message, "exit status 3: err");
  EXPECT_EQ(outcome.output, "out");
  EXPECT_EQ(outcome.error_output, "err");
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_LE(outcome.started, outcome.ended);
  EXPECT_EQ(Read(Directory(spec) / "stdout"), "out\n");
  EXPECT_EQ(Read(Directory(spec) / "stderr"), "err\n");
  EXPECT_TRUE(PrivateFilesLeft().empty());
}

TEST_F(Attendant, ReportsASuccess) {
  const AttemptOutcome outcome = Run(ShellCommand("echo '{\"a\": [1, 2]}'"));

  EXPECT_EQ(outcome.failure, std::nullopt);
  EXPECT_EQ(outcome.message, "");
  EXPECT_EQ(outcome.result_json, "{\"a\":[1,2]}");
  EXPECT_EQ(outcome.exit_code, 0);
}

TEST_F(Attendant, ReportsASignal) {
  const AttemptOutcome outcome = Run(ShellCommand("kill -SEGV $$"));

  EXPECT_EQ(outcome.failure, FailureClass::Crashed);
  EXPECT_EQ(outcome.signal, SIGSEGV);
  EXPECT_EQ(outcome.exit_code, -1);
  EXPECT_EQ(outcome.message, "signal 11");
}

TEST_F(Attendant, GivesItsProcessesACleanStart) {
  // One line each: the signals that are blocked or ignored, the open descriptors, the session.
  const AttemptOutcome outcome = Run(ShellCommand(
      "grep -E 'SigBlk|SigIgn' /proc/self/status; ls -l /proc/self/fd | grep -c -- '->'; "
      "ps -o sid= -p $$; echo $$; readlink /proc/self/fd/0"));

  std::istringstream lines(outcome.output);
  std::string word, descriptors, session, pid, input;
  std::uint64_t blocked = 1;
  std::uint64_t ignored = 1;
  lines >> word >> std::hex >> blocked >> word >> ignored >> descriptors >> session >> pid >> input;
  EXPECT_EQ(blocked, 0U);
  EXPECT_EQ(ignored & 0x7FFFFFFF, 0U) << "32 and 33 belong to the C library";
  EXPECT_EQ(descriptors, "4") << "0, 1, 2 and the one ls reads the directory with";
  EXPECT_EQ(session, pid);
  EXPECT_EQ(input, "/dev/null");
}

TEST_F(Attendant, RunsAScriptFromAPrivateFile) {
  AttemptSpec spec = ShellCommand("");
  spec.kind = RunnerKind::Script;
  spec.shell = false;
  spec.argv = {"/usr/bin/python3"};
  spec.script_content = "import os, sys\nprint(os.environ['TROUPE_TASK_ID'], sys.argv)\n";

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.failure, std::nullopt) << outcome.message;
  EXPECT_THAT(outcome.output, StartsWith("task ["));
}

// Whatever a task is called, its id is no path, no shell text and no name of a variable.
TEST_F(Attendant, UsesTheIdOfATaskAsAValueOnly) {
  AttemptSpec spec = ShellCommand("printf '%s' \"$TROUPE_TASK_ID\"; env | grep -c TROUPE_TASK_ID");
  spec.task = "../up/$(touch pwned); touch pwned #";
  spec.output_path = "out.txt";

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.failure, std::nullopt) << outcome.message;
  EXPECT_EQ(outcome.output, spec.task + "1");
  EXPECT_EQ(Read(InRunDirectory("out.txt")), spec.task + "1\n");
  EXPECT_FALSE(std::filesystem::exists(InRunDirectory("pwned")));
}

TEST_F(Attendant, RunsAProgramTextWithoutAFirstLine) {
  std::ofstream(InRunDirectory("tool")) << "echo by the shell $1\n";
  ::chmod(InRunDirectory("tool").c_str(), 0755);
  AttemptSpec spec = ShellCommand("");
  spec.shell = false;
  spec.argv = {"./tool", "x"};

  EXPECT_EQ(Run(spec).output, "by the shell x");
}

TEST_F(Attendant, SaysWhatCannotBeStarted) {
  AttemptSpec missing = ShellCommand("");
  missing.shell = false;
  missing.argv = {"no-such-program"};
  AttemptSpec missing_path = ShellCommand("");
  missing_path.shell = false;
  missing_path.argv = {"./no-such-file"};
  std::ofstream(InRunDirectory("text")) << "not executable";
  AttemptSpec not_executable = ShellCommand("");
  not_executable.shell = false;
  not_executable.argv = {"./text"};
  AttemptSpec no_directory = ShellCommand("true");
  no_directory.working_dir = "no-such-dir";

  for (const AttemptSpec& spec : {missing, missing_path, not_executable, no_directory}) {
    const AttemptOutcome outcome = Run(spec);

    EXPECT_EQ(outcome.failure, FailureClass::SpawnFailed);
    EXPECT_THAT(outcome.message,
                HasSubstr(spec.working_dir.empty() ? spec.argv[0] : spec.working_dir));
    EXPECT_EQ(outcome.exit_code, -1);
  }
}

TEST_F(Attendant, RefusesMoreThanASystemCanBeGiven) {
  AttemptSpec spec = ShellCommand("true");
  for (int i = 0; i < 100; ++i) spec.argv.push_back(std::string(100'000, 'x'));
  spec.shell = false;
  spec.argv[0] = "/bin/true";

  EXPECT_EQ(Run(spec).failure, FailureClass::InvalidRequest);
}

TEST_F(Attendant, FeedsAPromptThatIsLongerThanAPipe) {
  const std::string prompt = std::string(5'000'000, 'x') + "end";

  EXPECT_EQ(Run(ShellAgent("cat > got; wc -c < got; tail -c 3 got", prompt)).output,
            "5000003\nend");
}

TEST_F(Attendant, FeedsAnAgentThatAnswersMeanwhile) {
  AttemptSpec spec = ShellAgent("cat", std::string(5'000'000, 'x'));
  spec.limits.stdout_bytes = 10;

  EXPECT_EQ(Run(spec).output, "[... 4999990 bytes left out ...]xxxxxxxxxx");
}

TEST_F(Attendant, DoesNotMindAPromptThatNobodyReads) {
  const AttemptOutcome outcome =
      Run(ShellAgent("exec <&-; echo done", std::string(5'000'000, 'x')));

  EXPECT_EQ(outcome.failure, std::nullopt);
  EXPECT_EQ(outcome.output, "done");
}

TEST_F(Attendant, GivesAgentsAHomeAndATemporaryDirectory) {
  const AttemptOutcome outcome =
      Run(ShellAgent("touch $HOME/x $TMPDIR/y && ls $TROUPE_ARTIFACTS_DIR && echo $HOME"));

  EXPECT_EQ(outcome.output, (root_ / "home").string());
}

TEST_F(Attendant, ReadsTheResultFile) {
  AttemptSpec spec = ShellAgent(
      "echo '[9]'; cat $TROUPE_INPUT_FILE > in; echo '{\"structured\":{\"n\":1}}' > "
      "$TROUPE_RESULT_FILE");
  spec.inputs_json = "{\"city\":\"Ulm\"}";

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.failure, std::nullopt) << outcome.message;
  EXPECT_EQ(outcome.output, "[9]");
  EXPECT_EQ(outcome.result_json, "{\"n\":1}") << "and not what was printed";
  EXPECT_EQ(Read(InRunDirectory("in")), "{\"city\":\"Ulm\"}");
}

TEST_F(Attendant, AnEmptyResultFileIsNone) {
  const AttemptOutcome outcome = Run(ShellAgent("echo printed; : > $TROUPE_RESULT_FILE"));

  EXPECT_EQ(outcome.failure, std::nullopt) << outcome.message;
  EXPECT_EQ(outcome.output, "printed");
}

TEST_F(Attendant, IsNotHeldUpByAResultFileThatIsAPipe) {
  const AttemptOutcome outcome = Run(ShellCommand("mkfifo $TROUPE_RESULT_FILE"));

  EXPECT_EQ(outcome.failure, FailureClass::SchemaFailed);
}

TEST_F(Attendant, RefusesAStructuredResultThatIsTooLong) {
  const AttemptOutcome outcome =
      Run(ShellCommand("printf '{\"a\":\"'; head -c 1100000 /dev/zero | tr '\\0' x; printf '\"}'"));

  EXPECT_EQ(outcome.failure, FailureClass::SchemaFailed);
  EXPECT_EQ(outcome.result_json, "");
}

// More would not fit into the message that an outcome is sent in, and never arrive.
TEST_F(Attendant, KeepsNoMoreThanAMessageHolds) {
  AttemptSpec spec = ShellCommand(
      "head -c 30000000 /dev/zero | tr '\\0' x; head -c 30000000 /dev/zero | tr '\\0' y >&2");
  spec.limits = {1u << 30, 1u << 30, 1u << 30, Truncation::Tail};
  spec.capture_stderr = true;

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.failure, std::nullopt);
  EXPECT_THAT(outcome.output, StartsWith("[... 13222784 bytes left out ...]xxx"));
  EXPECT_LT(outcome.output.size() + outcome.error_output.size(), kKeptBytesMax + 100);
}

TEST_F(Attendant, MakesTheResultFromTheWholeOutput) {
  AttemptSpec spec = ShellCommand("echo '[1, 2, 3]'");
  spec.limits.stdout_bytes = 2;

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.result_json, "[1,2,3]");
  EXPECT_EQ(outcome.output, "[... 7 bytes left out ...]3]");
}

TEST_F(Attendant, OnlyObjectsAndListsBecomeResults) {
  const auto result_of = [&](const std::string& text) {
    return Run(ShellAgent("echo '{\"text\":\"" + text + "\"}' > $TROUPE_RESULT_FILE")).result_json;
  };

  EXPECT_EQ(result_of("7"), "");
  EXPECT_EQ(result_of("true"), "");
  EXPECT_EQ(result_of(" [7]"), "[7]");
  EXPECT_EQ(result_of("{}"), "{}");
}

TEST_F(Attendant, WritesTheWholeOutputToItsFile) {
  AttemptSpec spec = ShellCommand("head -c 3000000 /dev/zero; printf '\\377\\n'; echo err >&2");
  spec.limits.stdout_bytes = 10;
  spec.capture_stderr = true;
  spec.output_path = "a/b/out.bin";

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.failure, std::nullopt) << outcome.message;
  EXPECT_EQ(Read(InRunDirectory("a/b/out.bin")), std::string(3'000'000, '\0') + "\xFF\nerr\n");
}

TEST_F(Attendant, WritesTheTextOfAResultToItsFile) {
  AttemptSpec spec = ShellAgent("echo noise; printf '%s' '{\"text\":\"the text\\n\"}'");
  spec.result_mode = ResultMode::JsonLast;
  spec.output_path = "out.txt";

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.output, "the text");
  EXPECT_EQ(Read(InRunDirectory("out.txt")), "the text\n");
}

TEST_F(Attendant, LeavesTheOutputFileOfAFailureAlone) {
  AttemptSpec spec = ShellCommand("echo new; exit 1");
  spec.output_path = "out.txt";
  std::ofstream(InRunDirectory("out.txt")) << "old";

  Run(spec);

  EXPECT_EQ(Read(InRunDirectory("out.txt")), "old");
}

TEST_F(Attendant, FailsForAWhileIfTheOutputFileCannotBeWritten) {
  AttemptSpec spec = ShellCommand("echo x; touch ran");
  spec.output_path = "file/out.txt";
  std::ofstream(InRunDirectory("file")) << "";

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.failure, FailureClass::Transient);
  EXPECT_THAT(outcome.message, HasSubstr("file"));
  EXPECT_FALSE(std::filesystem::exists(InRunDirectory("ran"))) << "known before the start";
}

TEST_F(Attendant, HasOneClassForHooks) {
  AttemptSpec spec = ShellCommand("echo \"$WORKFLOW_STAGE $TROUPE_RUN_ID\"; echo bad >&2; exit 7");
  spec.kind = RunnerKind::Hook;
  spec.id.subject = Subject::Hook;
  spec.env = {{"WORKFLOW_STAGE", "build"}};

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.failure, FailureClass::HookFailed);
  EXPECT_EQ(outcome.message, "exit status 7: bad");
  EXPECT_EQ(outcome.output, "build 17");
}

TEST_F(Attendant, StopsAtTheTimeout) {
  AttemptSpec spec = ShellCommand("echo begun; sleep 1000");
  spec.timeout = milliseconds(300);

  AttemptOutcome outcome;
  const milliseconds time = TimeOf([&] { outcome = Run(spec); });

  EXPECT_EQ(outcome.failure, FailureClass::Timeout);
  EXPECT_EQ(outcome.message, "not done after 0.3 s");
  EXPECT_EQ(outcome.output, "begun");
  EXPECT_EQ(outcome.signal, SIGTERM);
  EXPECT_GE(time, milliseconds(300));
  EXPECT_LT(time, milliseconds(4000)) << "it ends by SIGTERM";
}

TEST_F(Attendant, StopsASilentAgent) {
  AttemptSpec spec = ShellCommand(
      "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done; echo x >&2; touch talked; sleep "
      "1000");
  spec.silence = milliseconds(1000);

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.failure, FailureClass::Timeout);
  EXPECT_EQ(outcome.message, "silent for 1 s");
  EXPECT_TRUE(std::filesystem::exists(InRunDirectory("talked"))) << "output feeds the clock";
}

TEST_F(Attendant, StopsWhenToldTo) {
  const AttemptSpec spec = ShellCommand(
      "trap 'echo saved; exit 0' TERM; echo begun; touch ready; while true; do sleep 0.1; done");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");

  ::kill(attendant, SIGTERM);
  EXPECT_EQ(Wait(attendant), 0);

  const AttemptOutcome outcome = Outcome(spec);
  EXPECT_EQ(outcome.failure, FailureClass::Cancelled) << "although it exits with 0";
  EXPECT_EQ(outcome.message, "stopped");
  EXPECT_EQ(outcome.output, "begun\nsaved");
}

TEST_F(Attendant, KillsWhatIgnoresTheStop) {
  const AttemptSpec spec = ShellCommand("trap '' TERM; touch ready; while true; do sleep 1; done");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");

  const milliseconds time = TimeOf([&] {
    ::kill(attendant, SIGTERM);
    EXPECT_EQ(Wait(attendant), 0);
  });

  EXPECT_EQ(Outcome(spec).failure, FailureClass::Cancelled);
  EXPECT_EQ(Outcome(spec).signal, SIGKILL);
  EXPECT_GE(time, milliseconds(5000));
}

TEST_F(Attendant, KillsAtOnceWhenToldTwice) {
  const AttemptSpec spec =
      ShellCommand("trap 'touch told' TERM; touch ready; while true; do sleep 0.1; done");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");
  ::kill(attendant, SIGTERM);
  WaitForFile("told");

  const milliseconds time = TimeOf([&] {
    ::kill(attendant, SIGTERM);
    EXPECT_EQ(Wait(attendant), 0);
  });

  EXPECT_EQ(Outcome(spec).failure, FailureClass::Cancelled);
  EXPECT_LT(time, milliseconds(3000));
}

TEST_F(Attendant, DoesNotMindTheHangupOfItsTerminal) {
  const AttemptSpec spec = ShellCommand("touch ready; while [ ! -e go ]; do sleep 0.05; done");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");

  for (const int signal : {SIGHUP, SIGPIPE, SIGINT, SIGQUIT}) ::kill(attendant, signal);
  std::ofstream(InRunDirectory("go")) << "";

  EXPECT_EQ(Wait(attendant), 0);
  EXPECT_EQ(Outcome(spec).failure, std::nullopt);
}

TEST_F(Attendant, SleepsWhileNothingHappens) {
  const AttemptSpec spec = ShellCommand("touch ready; sleep 1");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");
  const std::string stat = Read("/proc/" + std::to_string(attendant) + "/status");

  EXPECT_THAT(stat, HasSubstr("Threads:\t1\n"));
  EXPECT_EQ(Wait(attendant), 0);
}

TEST_F(Attendant, ReportsASpecItCannotRead) {
  const AttemptSpec spec = ShellCommand("true");
  std::ofstream(Directory(spec).string() + ".attempt") << "boot x\nspec {\n";

  EXPECT_EQ(Wait(StartAttendant(Directory(spec))), 0);

  EXPECT_EQ(Outcome(spec).failure, FailureClass::SpawnFailed);
  EXPECT_EQ(Outcome(spec).id, spec.id);
  EXPECT_THAT(Outcome(spec).message, HasSubstr("the spec is damaged"));
}

TEST_F(Attendant, FailsWithoutAFile) { EXPECT_EQ(Wait(StartAttendant(root_ / "missing")), 1); }

// A limit on the size of files stands for a disk that is full.
TEST_F(Attendant, KeepsTheOutcomeUntilTheDiskTakesIt) {
  const AttemptSpec spec = ShellCommand("touch ready; while [ ! -e go ]; do sleep 0.01; done");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");
  const std::string file = Directory(spec).string() + ".attempt";
  const std::uintmax_t size = std::filesystem::file_size(file) + 5;
  rlimit before{};
  const rlimit full{size, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(attendant, RLIMIT_FSIZE, &full, &before), 0);
  std::ofstream(InRunDirectory("go")) << "";
  WaitFor("a half line", [&] { return std::filesystem::file_size(file) == size; });
  EXPECT_TRUE(InspectSpool(Directory(spec)).value().running) << "it holds the lock";
  EXPECT_EQ(ReadOutcome(Directory(spec)).error().code, ErrorCode::NotFound);

  ASSERT_EQ(::prlimit(attendant, RLIMIT_FSIZE, &before, nullptr), 0);

  EXPECT_EQ(Wait(attendant), 0);
  EXPECT_EQ(Outcome(spec).failure, std::nullopt);
}

}  // namespace
}  // namespace troupe
