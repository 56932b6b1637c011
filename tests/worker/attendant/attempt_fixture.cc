#include "tests/worker/attendant/attempt_fixture.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "worker/attendant/process_table.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;

constexpr auto kPatience = std::chrono::seconds(60);

}  // namespace

AttemptFixture::AttemptFixture() {
  std::string pattern = (std::filesystem::temp_directory_path() / "troupe-test-XXXXXX").string();
  base_ = ::mkdtemp(pattern.data());
  root_ = base_ / "spool";
  std::filesystem::create_directories(root_);
  std::filesystem::create_directories(base_ / "run");
  SetVariable("TROUPE_CLAUDE", FAKE_CLAUDE);
}

AttemptFixture::~AttemptFixture() {
  for (const pid_t attendant : attendants_) {
    ::kill(attendant, SIGKILL);
    ::waitpid(attendant, nullptr, 0);
  }
  for (const AttemptSpec& spec : started_) {
    static_cast<void>(InspectSpool(Directory(spec)));  // Ends what was left on purpose.
    EXPECT_EQ(Processes(spec), std::vector<pid_t>()) << "left by attempt " << ToString(spec.id);
    for (const pid_t process : Processes(spec)) ::kill(process, SIGKILL);
  }
  std::error_code ignored;
  std::filesystem::remove_all(base_, ignored);
}

AttemptSpec AttemptFixture::ShellCommand(const std::string& text) {
  AttemptSpec spec;
  spec.id = {RunId{17}, Subject::Task, ++next_, 1};
  spec.token =
      fmt::format("{:08x}-0000-4000-8000-{:012x}", ::getpid(),
                  std::chrono::steady_clock::now().time_since_epoch().count() & 0xFFFFFFFF);
  spec.kind = RunnerKind::Command;
  spec.task = "task";
  spec.shell = true;
  spec.argv = {text};
  spec.run_dir = (base_ / "run").string();
  return spec;
}

AttemptSpec AttemptFixture::ShellAgent(const std::string& text, const std::string& prompt) {
  AttemptSpec spec = ShellCommand(text);
  spec.kind = RunnerKind::AgentCommand;
  spec.agent = "writer";
  spec.prompt_mode = PromptMode::Stdin;
  spec.prompt = prompt;
  return spec;
}

AttemptSpec AttemptFixture::ClaudeAgent(const std::string& steps) {
  AttemptSpec spec = ShellAgent("", steps);
  spec.kind = RunnerKind::Claude;
  spec.shell = false;
  spec.argv.clear();
  return spec;
}

void AttemptFixture::SetVariable(const std::string& name, const std::string& value) {
  variables_[name] = value;
}

pid_t AttemptFixture::Start(const AttemptSpec& spec) {
  const Status written = WriteSpec(root_, spec);
  EXPECT_TRUE(written.has_value());
  started_.push_back(spec);
  return StartAttendant(Directory(spec));
}

pid_t AttemptFixture::StartAttendant(const std::filesystem::path& directory) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string name = std::string(*entry).substr(0, std::string_view(*entry).find('='));
    if (!variables_.contains(name)) environment.emplace_back(*entry);
  }
  for (const auto& [name, value] : variables_) environment.push_back(name + "=" + value);
  std::vector<char*> entries;
  for (std::string& entry : environment) entries.push_back(entry.data());
  entries.push_back(nullptr);
  std::string program = TROUPE_ATTENDANT;
  std::string argument = directory.string();
  char* argv[] = {program.data(), argument.data(), nullptr};
  pid_t pid = 0;
  EXPECT_EQ(::posix_spawn(&pid, program.c_str(), nullptr, nullptr, argv, entries.data()), 0);
  attendants_.push_back(pid);
  return pid;
}

int AttemptFixture::Wait(pid_t attendant) {
  int status = 0;
  WaitFor("the attendant to end",
          [&] { return ::waitpid(attendant, &status, WNOHANG) == attendant; });
  std::erase(attendants_, attendant);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void AttemptFixture::EndAtOnce(pid_t attendant) {
  int status = 0;
  // Two that come together are one, and nobody can see that the first has been taken.
  WaitFor("the attendant to end", [&] {
    ::kill(attendant, SIGTERM);
    return ::waitpid(attendant, &status, WNOHANG) == attendant;
  });
  std::erase(attendants_, attendant);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

AttemptOutcome AttemptFixture::Run(const AttemptSpec& spec) {
  EXPECT_EQ(Wait(Start(spec)), 0);
  return Outcome(spec);
}

AttemptOutcome AttemptFixture::Outcome(const AttemptSpec& spec) {
  const Result<AttemptOutcome> outcome = ReadOutcome(Directory(spec));
  EXPECT_TRUE(outcome.has_value()) << (outcome ? "" : outcome.error().message);
  return outcome ? *outcome : AttemptOutcome{};
}

std::filesystem::path AttemptFixture::Directory(const AttemptSpec& spec) const {
  return SpoolDirectory(root_, spec.id);
}

std::filesystem::path AttemptFixture::InRunDirectory(const std::string& name) const {
  return base_ / "run" / name;
}

std::string AttemptFixture::Read(const std::filesystem::path& path) const {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void AttemptFixture::WaitForFile(const std::string& name) const {
  WaitFor(name, [&] { return std::filesystem::exists(InRunDirectory(name)); });
}

void AttemptFixture::WaitFor(const std::string& what,
                             const std::function<bool()>& condition) const {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      FAIL() << "waited in vain for " << what;
    }
    std::this_thread::sleep_for(milliseconds(2));
  }
}

std::vector<std::string> AttemptFixture::PrivateFilesLeft() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(root_)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("private")) names.push_back(name);
  }
  return names;
}

std::vector<pid_t> AttemptFixture::Processes(const AttemptSpec& spec) const {
  std::vector<pid_t> processes;
  for (const Process& process : ListProcesses()) {
    if (HasToken(process.pid, spec.token)) processes.push_back(process.pid);
  }
  return processes;
}

milliseconds TimeOf(const std::function<void()>& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
}

}  // namespace troupe
