#include "worker/attendant/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

namespace troupe {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class LaunchTest : public testing::Test {
 protected:
  LaunchTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "troupe-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directories(base_ / "spool");
    files_.emplace(base_ / "spool", Process{.pid = 7, .start_ticks = 8});
    spec_.id = {RunId{17}, Subject::Task, 3, 2};
    spec_.token = "token";
    spec_.task = "build.all";
    spec_.run_dir = base_.string();
    spec_.argv = {"prog", "arg"};
  }
  ~LaunchTest() override { std::filesystem::remove_all(base_); }

  Preparation Prepare() { return PrepareLaunch(spec_, *files_, Instant(std::chrono::hours(1))); }
  std::string Private(const std::string& name) const { return (files_->path() / name).string(); }
  // The value of a variable; "-" if it is not set.
  std::string Variable(const Preparation& prepared, const std::string& name) const {
    for (const std::string& entry : prepared.launch.environment) {
      if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
    }
    return "-";
  }
  void Agent(PromptMode mode) {
    spec_.kind = RunnerKind::AgentCommand;
    spec_.agent = "writer";
    spec_.model = "m";
    spec_.prompt_mode = mode;
    spec_.prompt = "say hi";
  }

  std::filesystem::path base_;
  std::optional<PrivateFiles> files_;
  AttemptSpec spec_;
};

TEST_F(LaunchTest, GivesACommandItsWordsAndNoInput) {
  const Preparation prepared = Prepare();

  EXPECT_EQ(prepared.failure, std::nullopt);
  EXPECT_THAT(prepared.launch.argv, ElementsAre("prog", "arg"));
  EXPECT_EQ(prepared.launch.standard_input, std::nullopt);
  EXPECT_EQ(prepared.launch.working_directory, base_.string());
}

TEST_F(LaunchTest, RunsTextByTheShell) {
  spec_.argv = {"echo $HOME"};
  spec_.shell = true;
  EXPECT_THAT(Prepare().launch.argv, ElementsAre("/bin/sh", "-c", "echo $HOME"));

  spec_.shell = false;
  spec_.kind = RunnerKind::Hook;
  EXPECT_THAT(Prepare().launch.argv, ElementsAre("/bin/sh", "-c", "echo $HOME"));
}

TEST_F(LaunchTest, GivesAScriptAsAFile) {
  spec_.kind = RunnerKind::Script;
  spec_.argv = {"python3"};
  spec_.script_content = "print(1)";
  EXPECT_THAT(Prepare().launch.argv, ElementsAre("python3", Private("script")));

  spec_.script_file = "missing.py";
  EXPECT_EQ(Prepare().failure, FailureClass::SpawnFailed);
  EXPECT_THAT(Prepare().message, HasSubstr("missing.py"));

  std::ofstream(base_ / "there.py") << "";
  spec_.script_file = "there.py";
  EXPECT_THAT(Prepare().launch.argv, ElementsAre("python3", (base_ / "there.py").string()));
}

TEST_F(LaunchTest, GivesThePromptInEveryMode) {
  Agent(PromptMode::Stdin);
  EXPECT_EQ(Prepare().launch.standard_input, "say hi");

  Agent(PromptMode::Arg);
  spec_.argv = {"prog", "--prompt={{prompt}}"};
  EXPECT_THAT(Prepare().launch.argv, ElementsAre("prog", "--prompt=say hi"));
  EXPECT_EQ(Prepare().launch.standard_input, std::nullopt);
  spec_.argv = {"echo \"$1\""};
  spec_.shell = true;
  EXPECT_THAT(Prepare().launch.argv, ElementsAre("/bin/sh", "-c", "echo \"$1\"", "sh", "say hi"));

  Agent(PromptMode::File);
  spec_.shell = false;
  spec_.argv = {"prog", "{{prompt_file}}"};
  const Preparation prepared = Prepare();
  EXPECT_THAT(prepared.launch.argv, ElementsAre("prog", Private("prompt")));
  EXPECT_EQ(Variable(prepared, "TROUPE_PROMPT_FILE"), Private("prompt"));
  struct stat status {};
  ASSERT_EQ(::stat(Private("prompt").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  std::ostringstream prompt;
  prompt << std::ifstream(Private("prompt")).rdbuf();
  EXPECT_EQ(prompt.str(), "say hi");
}

TEST_F(LaunchTest, DoesNotLookIntoAPromptAgain) {
  Agent(PromptMode::Arg);
  spec_.prompt = "{{prompt}}{{prompt_file}}";
  spec_.argv = {"prog", "{{prompt}}"};

  EXPECT_THAT(Prepare().launch.argv, ElementsAre("prog", "{{prompt}}{{prompt_file}}"));
}

TEST_F(LaunchTest, StartsAgentsWithAnEmptyEnvironment) {
  ::setenv("TROUPE_TEST_SECRET", "s", 1);
  ::setenv("TROUPE_TEST_PASSED", "p", 1);
  Agent(PromptMode::Stdin);
  spec_.pass_env = {"TROUPE_TEST_PASSED", "TROUPE_TEST_MISSING"};
  spec_.env = {{"LANG", "de_DE"}, {"EMPTY", ""}};
  spec_.timeout = std::chrono::minutes(1);

  const Preparation prepared = Prepare();

  EXPECT_EQ(Variable(prepared, "TROUPE_TEST_SECRET"), "-");
  EXPECT_EQ(Variable(prepared, "TROUPE_TEST_PASSED"), "p");
  EXPECT_EQ(Variable(prepared, "TROUPE_TEST_MISSING"), "-");
  EXPECT_EQ(Variable(prepared, "PATH"), std::getenv("PATH"));
  EXPECT_EQ(Variable(prepared, "HOME"), (base_ / "spool" / "home").string());
  EXPECT_EQ(Variable(prepared, "TMPDIR"), Private("tmp"));
  EXPECT_EQ(Variable(prepared, "LANG"), "de_DE");
  EXPECT_EQ(Variable(prepared, "EMPTY"), "");
  EXPECT_EQ(Variable(prepared, "TERM"), "dumb");
  EXPECT_EQ(Variable(prepared, "NO_COLOR"), "1");
  EXPECT_EQ(Variable(prepared, "CI"), "1");
  EXPECT_EQ(Variable(prepared, "TROUPE_PROTOCOL"), "1");
  EXPECT_EQ(Variable(prepared, "TROUPE_RUN_ID"), "17");
  EXPECT_EQ(Variable(prepared, "TROUPE_TASK_ID"), "build.all");
  EXPECT_EQ(Variable(prepared, "TROUPE_ATTEMPT"), "2");
  EXPECT_EQ(Variable(prepared, "TROUPE_ATTEMPT_TOKEN"), "token");
  EXPECT_EQ(Variable(prepared, "TROUPE_AGENT_NAME"), "writer");
  EXPECT_EQ(Variable(prepared, "TROUPE_AGENT_MODEL"), "m");
  EXPECT_EQ(Variable(prepared, "TROUPE_WORKSPACE"), base_.string());
  EXPECT_EQ(Variable(prepared, "TROUPE_DEADLINE_MS"), "3660000");
  EXPECT_EQ(Variable(prepared, "TROUPE_PROMPT_FILE"), "");
  EXPECT_EQ(Variable(prepared, "TROUPE_INPUT_FILE"), Private("inputs.json"));
  EXPECT_EQ(Variable(prepared, "TROUPE_RESULT_FILE"), Private("result.json"));
  EXPECT_EQ(Variable(prepared, "TROUPE_ARTIFACTS_DIR"), Private("artifacts"));
  EXPECT_EQ(Variable(prepared, "TROUPE_RESUME_SESSION"), "");
  spec_.model = "";
  EXPECT_EQ(Variable(Prepare(), "TROUPE_AGENT_MODEL"), "") << "set, also without a model";
}

TEST_F(LaunchTest, LaterVariablesWin) {
  ::setenv("TERM", "of the worker", 1);
  ::setenv("CI", "of the worker", 1);
  Agent(PromptMode::Stdin);
  spec_.pass_env = {"TERM", "CI"};
  spec_.env = {{"CI", "of the agent"}, {"TROUPE_ATTEMPT", "no"}, {"TROUPE_PROMPT_FILE", "no"}};

  const Preparation prepared = Prepare();

  EXPECT_EQ(Variable(prepared, "TERM"), "of the worker");
  EXPECT_EQ(Variable(prepared, "CI"), "of the agent");
  EXPECT_EQ(Variable(prepared, "TROUPE_ATTEMPT"), "2");
  EXPECT_EQ(Variable(prepared, "TROUPE_PROMPT_FILE"), "");
  ::unsetenv("CI");
}

TEST_F(LaunchTest, LetsNobodyChooseWhatMarksTheAttempt) {
  Agent(PromptMode::Stdin);
  spec_.env = {{"TROUPE_ATTEMPT_TOKEN", "another"}};

  EXPECT_EQ(Variable(Prepare(), "TROUPE_ATTEMPT_TOKEN"), "token");
}

TEST_F(LaunchTest, GivesCommandsTheWholeEnvironmentButNotThatOfAnAgentAround) {
  ::setenv("TROUPE_TEST_SECRET", "s", 1);
  ::setenv("TROUPE_AGENT_NAME", "outer", 1);
  ::setenv("CLAUDECODE", "1", 1);
  ::setenv("CLAUDE_CODE_ENTRYPOINT", "cli", 1);
  spec_.env = {{"CLAUDE_CODE_MAX_RETRIES", "3"}, {"WORKFLOW_NAME", "w"}};

  const Preparation prepared = Prepare();

  EXPECT_EQ(Variable(prepared, "TROUPE_TEST_SECRET"), "s");
  EXPECT_EQ(Variable(prepared, "WORKFLOW_NAME"), "w");
  EXPECT_EQ(Variable(prepared, "TROUPE_TASK_ID"), "build.all");
  EXPECT_EQ(Variable(prepared, "TROUPE_DEADLINE_MS"), "");
  EXPECT_EQ(Variable(prepared, "TROUPE_AGENT_NAME"), "-");
  EXPECT_EQ(Variable(prepared, "TROUPE_PROMPT_FILE"), "-");
  EXPECT_EQ(Variable(prepared, "CLAUDECODE"), "-");
  EXPECT_EQ(Variable(prepared, "CLAUDE_CODE_ENTRYPOINT"), "-");
  EXPECT_EQ(Variable(prepared, "CLAUDE_CODE_MAX_RETRIES"), "3");
  for (const char* name : {"TROUPE_AGENT_NAME", "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT"}) {
    ::unsetenv(name);
  }
}

TEST_F(LaunchTest, GivesClaudeItsAccount) {
  ::setenv("ANTHROPIC_BASE_URL", "http://localhost", 1);
  ::setenv("https_proxy", "http://proxy", 1);
  ::setenv("CLAUDECODE", "1", 1);
  ::setenv("HOME", "/home/of/worker", 1);
  Agent(PromptMode::Stdin);
  spec_.kind = RunnerKind::Claude;
  spec_.argv.clear();
  spec_.env = {{"NO_COLOR", "0"}};

  const Preparation prepared = Prepare();

  EXPECT_EQ(Variable(prepared, "ANTHROPIC_BASE_URL"), "http://localhost");
  EXPECT_EQ(Variable(prepared, "https_proxy"), "http://proxy");
  EXPECT_EQ(Variable(prepared, "HOME"), "/home/of/worker");
  EXPECT_EQ(Variable(prepared, "CLAUDECODE"), "-");
  EXPECT_EQ(Variable(prepared, "NO_COLOR"), "0");
  EXPECT_EQ(prepared.launch.argv[0], "claude");
  EXPECT_EQ(prepared.launch.standard_input, "say hi");
  ::setenv("TROUPE_CLAUDE", "/opt/claude", 1);
  EXPECT_EQ(Prepare().launch.argv[0], "/opt/claude");
  ::unsetenv("TROUPE_CLAUDE");
  ::unsetenv("CLAUDECODE");
}

TEST_F(LaunchTest, RefusesArgumentsThatAreTooLong) {
  Agent(PromptMode::Arg);
  spec_.argv = {"prog", "{{prompt}}"};
  spec_.prompt = std::string(kArgumentBytesMax, 'x');
  EXPECT_EQ(Prepare().failure, std::nullopt);

  spec_.prompt += 'x';
  EXPECT_EQ(Prepare().failure, FailureClass::InvalidRequest);

  spec_.prompt = std::string("a\0b", 3);
  EXPECT_EQ(Prepare().failure, FailureClass::InvalidRequest);
}

TEST_F(LaunchTest, NamesAWorkingDirectoryThatIsMissing) {
  spec_.working_dir = "sub/dir";
  const Preparation missing = Prepare();
  EXPECT_EQ(missing.failure, FailureClass::SpawnFailed);
  EXPECT_THAT(missing.message, HasSubstr((base_ / "sub/dir").string()));

  spec_.create_working_dir = true;
  const Preparation made = Prepare();
  EXPECT_EQ(made.failure, std::nullopt);
  EXPECT_EQ(made.launch.working_directory, (base_ / "sub/dir").string());
  EXPECT_TRUE(std::filesystem::is_directory(base_ / "sub/dir"));

  std::ofstream(base_ / "file") << "";
  spec_.working_dir = "file";
  EXPECT_EQ(Prepare().failure, FailureClass::SpawnFailed);
}

}  // namespace
}  // namespace troupe
