// The real program and a stand-in for Claude Code that misbehaves in every known way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/worker/attendant/attempt_fixture.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

class ClaudeRun : public AttemptFixture {};

TEST_F(ClaudeRun, Succeeds) {
  const AttemptSpec spec = ClaudeAgent(R"([["line", {"type": "system", "subtype": "init"}],
      ["line", {"type": "assistant", "message": {"content": [{"type": "text", "text": "hi"}]}}],
      ["err", "a warning"], ["result", {"result": "the answer"}]])");

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.failure, std::nullopt) << outcome.message;
  EXPECT_EQ(outcome.output, "the answer");
  EXPECT_EQ(outcome.error_output, "a warning");
  EXPECT_EQ(outcome.session, "s-1");
  EXPECT_EQ(outcome.usage, (Usage{100, 7, 0.25}));
  EXPECT_THAT(Read(Directory(spec) / "events"), HasSubstr("\"text\":\"hi\",\"type\":\"text\""));
  EXPECT_EQ(outcome.events, Read(Directory(spec) / "events"));
  EXPECT_THAT(Read(Directory(spec) / "stdout"), HasSubstr("\"type\": \"result\""));
}

TEST_F(ClaudeRun, IsGivenItsArgumentsAndEnvironment) {
  SetVariable("CLAUDECODE", "1");
  SetVariable("ANTHROPIC_BASE_URL", "http://localhost");
  SetVariable("NOT_PASSED", "x");
  AttemptSpec spec = ClaudeAgent(R"([["env", "env"], ["argv", "argv"], ["result", {}]])");
  spec.model = "small";

  Run(spec);

  const std::string environment = Read(InRunDirectory("env"));
  EXPECT_THAT(environment, HasSubstr("ANTHROPIC_BASE_URL=http://localhost\n"));
  EXPECT_THAT(environment, HasSubstr("TROUPE_ATTEMPT_TOKEN=" + spec.token));
  EXPECT_THAT(environment, Not(HasSubstr("CLAUDECODE")));
  EXPECT_THAT(environment, Not(HasSubstr("NOT_PASSED")));
  EXPECT_THAT(environment, Not(HasSubstr("TROUPE_CLAUDE")));
  EXPECT_EQ(Read(InRunDirectory("argv")),
            "-p\n--output-format\nstream-json\n--verbose\n--session-id\n" + spec.token +
                "\n--permission-mode\ndefault\n--model\nsmall");
}

TEST_F(ClaudeRun, IsMissing) {
  SetVariable("TROUPE_CLAUDE", "no-such-claude");

  const AttemptOutcome outcome = Run(ClaudeAgent("[]"));

  EXPECT_EQ(outcome.failure, FailureClass::SpawnFailed);
  EXPECT_THAT(outcome.message, HasSubstr("no-such-claude"));
}

TEST_F(ClaudeRun, PrintsOtherThingsBetweenTheLines) {
  // "€" in two pieces, a line that is no JSON, one that is no object, one of an unknown type.
  const AttemptOutcome outcome = Run(ClaudeAgent(R"([["say", "Warning: {not json"], ["say", "[1]"],
      ["line", {"type": "of the future", "data": [1]}],
      ["raw", [123, 34, 116, 121, 112, 101, 34, 58, 34, 114, 101, 115, 117, 108, 116, 34, 44]],
      ["raw", [34, 114, 101, 115, 117, 108, 116, 34, 58, 34, 226, 130]], ["sleep", 0.05],
      ["raw", [172, 34, 125, 10]]])"));

  EXPECT_EQ(outcome.failure, std::nullopt) << outcome.message;
  EXPECT_EQ(outcome.output, "\u20AC");
}

TEST_F(ClaudeRun, PrintsAnEnormousLine) {
  EXPECT_EQ(Run(ClaudeAgent(R"([["big", 10485760], ["result", {}]])")).output, "done");
  EXPECT_EQ(Run(ClaudeAgent(R"([["big", 20000000], ["result", {}]])")).output, "done");
}

TEST_F(ClaudeRun, FloodsItsStandardError) {
  const AttemptOutcome outcome =
      Run(ClaudeAgent(R"([["noise", 5000000], ["result", {}], ["noise", 5000000]])"));

  EXPECT_EQ(outcome.failure, std::nullopt) << outcome.message;
  EXPECT_EQ(outcome.output, "done");
  EXPECT_THAT(outcome.error_output, HasSubstr("bytes left out ...]"));
}

TEST_F(ClaudeRun, ClosesItsOutputAndLivesOn) {
  AttemptSpec spec = ClaudeAgent(R"([["result", {}], ["shut"], ["sleep", 0.5]])");
  EXPECT_EQ(Run(spec).failure, std::nullopt);

  spec = ClaudeAgent(R"([["shut"], ["hang"]])");
  spec.silence = milliseconds(500);
  EXPECT_EQ(Run(spec).failure, FailureClass::Timeout);
}

TEST_F(ClaudeRun, EndsItsLastLineWithTheStream) {
  // {"type":"result","result":"x"} without a newline; then it ends, or hangs until it is stopped.
  const std::string line =
      R"(["raw", [123, 34, 116, 121, 112, 101, 34, 58, 34, 114, 101, 115, 117, 108, 116, 34, 44, 34,
      114, 101, 115, 117, 108, 116, 34, 58, 34, 120, 34, 125]])";
  EXPECT_EQ(Run(ClaudeAgent("[" + line + "]")).output, "x");

  AttemptSpec spec = ClaudeAgent("[" + line + R"(, ["hang"]])");
  spec.silence = milliseconds(500);
  const AttemptOutcome outcome = Run(spec);
  EXPECT_EQ(outcome.output, "x");
  EXPECT_EQ(outcome.failure, std::nullopt) << "the work is done and paid";
}

TEST_F(ClaudeRun, FailsThoughItsExitIsZero) {
  const AttemptOutcome outcome = Run(ClaudeAgent(
      R"([["result", {"is_error": true, "api_error_status": 529, "result": "Overloaded"}]])"));

  EXPECT_EQ(outcome.failure, FailureClass::Overloaded);
  EXPECT_EQ(outcome.message, "Overloaded");
  EXPECT_EQ(outcome.exit_code, 0);
}

TEST_F(ClaudeRun, IsLimitedUntilItsWindowOpens) {
  const std::int64_t resets = std::chrono::duration_cast<std::chrono::seconds>(
                                  std::chrono::system_clock::now().time_since_epoch())
                                  .count() +
                              3600;
  const AttemptOutcome outcome = Run(ClaudeAgent(
      R"([["line", {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected",
      "resetsAt": )" +
      std::to_string(resets) +
      R"(}}], ["result", {"is_error": true, "api_error_status": 429}], ["exit", 1]])"));

  EXPECT_EQ(outcome.failure, FailureClass::RateLimited);
  EXPECT_GT(outcome.retry_after, std::chrono::seconds(3500));
  EXPECT_LE(outcome.retry_after, std::chrono::seconds(3600));
}

TEST_F(ClaudeRun, EndsWithoutAResult) {
  EXPECT_EQ(Run(ClaudeAgent("[]")).failure, FailureClass::Crashed);
  EXPECT_EQ(Run(ClaudeAgent(R"([["die", 9]])")).failure, FailureClass::Crashed);
  EXPECT_EQ(Run(ClaudeAgent(R"([["exit", 143]])")).failure, FailureClass::AgentError);
  const AttemptOutcome usage = Run(ClaudeAgent(R"([["err", "unknown option"], ["exit", 1]])"));
  EXPECT_EQ(usage.failure, FailureClass::AgentError);
  EXPECT_THAT(usage.message, HasSubstr("exit status 1: unknown option"));
}

TEST_F(ClaudeRun, IsDeniedTools) {
  const AttemptOutcome outcome = Run(ClaudeAgent(
      R"([["line", {"type": "system", "subtype": "permission_denied", "tool_name": "Bash"}],
      ["result", {"permission_denials": [{"tool_name": "Bash"}, {"tool_name": "Write"}]}]])"));

  EXPECT_EQ(outcome.failure, std::nullopt);
  EXPECT_THAT(outcome.denied_tools, ElementsAre("Bash", "Write"));
}

TEST_F(ClaudeRun, SaysNothingForTooLong) {
  AttemptSpec spec = ClaudeAgent(R"([["say", "{}"], ["hang"]])");
  spec.silence = milliseconds(500);

  EXPECT_EQ(Run(spec).failure, FailureClass::Timeout);
}

TEST_F(ClaudeRun, IsNotSilentWhileItRetries) {
  std::string steps = "[";
  for (int i = 0; i < 6; ++i) {
    steps += R"(["line", {"type": "system", "subtype": "api_retry", "error_status": 429}],
        ["sleep", 0.3],)";
  }
  AttemptSpec spec = ClaudeAgent(steps + R"(["result", {}]])");
  spec.silence = milliseconds(1200);

  EXPECT_EQ(Run(spec).failure, std::nullopt);
}

TEST_F(ClaudeRun, NeverEndsAfterItsResult) {
  const AttemptSpec spec = ClaudeAgent(R"([["result", {}], ["hang"]])");

  AttemptOutcome outcome;
  const milliseconds time = TimeOf([&] { outcome = Run(spec); });

  EXPECT_EQ(outcome.failure, std::nullopt) << outcome.message;
  EXPECT_EQ(outcome.output, "done");
  EXPECT_GE(time, milliseconds(9000)) << "it may be tidying up";
  EXPECT_LT(time, milliseconds(14000));
}

TEST_F(ClaudeRun, ChattersOnAfterItsResult) {
  std::string steps = R"([["result", {}])";
  for (int i = 0; i < 100; ++i) steps += R"(, ["say", "{}"], ["sleep", 0.1])";
  AttemptSpec spec = ClaudeAgent(steps + "]");
  spec.timeout = milliseconds(1500);

  AttemptOutcome outcome;
  const milliseconds time = TimeOf([&] { outcome = Run(spec); });

  EXPECT_EQ(outcome.failure, std::nullopt);
  EXPECT_LT(time, milliseconds(6000));
}

TEST_F(ClaudeRun, IsStoppedAfterItsResult) {
  const AttemptSpec spec = ClaudeAgent(R"([["result", {}], ["touch", "said"], ["hang"]])");
  const pid_t attendant = Start(spec);
  WaitForFile("said");
  WaitFor("the spooled result", [&] { return !Read(Directory(spec) / "stdout").empty(); });

  ::kill(attendant, SIGTERM);

  EXPECT_EQ(Wait(attendant), 0);
  EXPECT_EQ(Outcome(spec).failure, std::nullopt) << "the work is done and paid";
}

TEST_F(ClaudeRun, IsStoppedBeforeItsResult) {
  const AttemptSpec spec = ClaudeAgent(R"([["touch", "begun"], ["deaf"], ["leave"], ["hang"]])");
  const pid_t attendant = Start(spec);
  WaitForFile("begun");

  ::kill(attendant, SIGTERM);
  EXPECT_EQ(Wait(attendant), 0);

  EXPECT_EQ(Outcome(spec).failure, FailureClass::Cancelled);
}

TEST_F(ClaudeRun, LeavesAGrandchildThatHoldsItsOutput) {
  const AttemptSpec spec = ClaudeAgent(R"([["leave"], ["result", {}]])");

  AttemptOutcome outcome;
  const milliseconds time = TimeOf([&] { outcome = Run(spec); });

  EXPECT_EQ(outcome.failure, std::nullopt);
  EXPECT_GE(time, milliseconds(1900));
  EXPECT_LT(time, milliseconds(6000));
}

}  // namespace
}  // namespace troupe
