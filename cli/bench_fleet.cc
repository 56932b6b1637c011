#include "cli/bench_fleet.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "cli/remote_store.h"

extern char** environ;

namespace troupe {

namespace fs = std::filesystem;

namespace {

// A run's times are those of the coordinator: to look more often would only disturb it.
constexpr auto kLookAgain = std::chrono::milliseconds(50);

}  // namespace

Child::Child(std::vector<std::string> words, const std::string& log) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (posix_spawnp(&pid_, argv[0], &files, nullptr, argv.data(), environ) != 0) pid_ = -1;
  posix_spawn_file_actions_destroy(&files);
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

int Child::Wait() {
  int status = -1;
  waitpid(std::exchange(pid_, -1), &status, 0);
  return status;
}

std::uint64_t Child::ResidentBytes() const {
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  std::ifstream(fmt::format("/proc/{}/statm", pid_)) >> pages >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// Fields 14 and 15 of proc(5)'s stat; the name before them may have spaces.
double Child::CpuSeconds() const {
  std::ifstream in(fmt::format("/proc/{}/stat", pid_));
  const std::string stat{std::istreambuf_iterator<char>(in), {}};
  std::istringstream fields(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

BenchFleet::BenchFleet(const fs::path& directory, std::uint32_t workers, std::uint32_t slots)
    : directory_(directory),
      self_(fs::read_symlink("/proc/self/exe").string()),
      endpoint_("ipc://" + (directory / "s").string()) {
  StartCoordinator();
  for (std::uint32_t n = 1; n <= workers; ++n) {
    const std::string name = fmt::format("w{}", n);
    workers_.emplace_back(
        std::vector<std::string>{self_, "worker", "--connect", endpoint_, "--name", name, "--slots",
                                 fmt::format("{}", slots), "--spool-dir",
                                 (directory / name).string()},
        (directory / "log").string());
  }
}

void BenchFleet::StartCoordinator() {
  coordinator_.emplace(
      std::vector<std::string>{self_, "coordinator", "--state-dir", (directory_ / "state").string(),
                               "--listen", endpoint_, "--metrics", "off"},
      (directory_ / "log").string());
}

Status BenchFleet::Connect() {
  if (client_) return {};
  Result<Client> client = Client::Connect({.endpoint = endpoint_});
  if (!client) return client.error();
  client_.emplace(*std::move(client));
  return {};
}

Status BenchFleet::WaitFor(std::size_t workers) {
  if (Status connected = Connect(); !connected) return connected;
  for (int tries = 0; tries < 20'000; ++tries) {
    const auto there = client_->Ask<ClientWorkers>(ClientListWorkers{});
    if (there && there->workers.size() >= workers) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return Error{ErrorCode::Unavailable, "the coordinator or its workers did not come up"};
}

Result<RunId> BenchFleet::Submit(const std::string& text) {
  const auto submitted = client_->Ask<ClientSubmitted>(
      ClientSubmit{.text = text, .file = "/bench.yaml", .run_dir = "/tmp"});
  if (!submitted) return submitted.error();
  if (submitted->run == RunId{}) return Error{ErrorCode::Invalid, submitted->problems};
  return submitted->run;
}

Result<RunRecord> BenchFleet::Run(const std::string& text, std::vector<TaskRecord>* tasks) {
  if (Status up = WaitFor(workers_.size()); !up) return up.error();
  const Result<RunId> submitted = Submit(text);
  if (!submitted) return submitted.error();
  const RemoteStore store(*client_);
  for (;;) {
    std::this_thread::sleep_for(kLookAgain);
    const Result<std::vector<RunRecord>> runs = store.Runs();
    if (!runs) return runs.error();
    const auto run = std::find_if(runs->begin(), runs->end(),
                                  [&](const RunRecord& record) { return record.id == *submitted; });
    if (run == runs->end() || !IsFinal(run->state)) continue;
    if (run->state != RunState::Succeeded) {
      return Error{ErrorCode::Invalid, "the run failed: " + run->first_failure};
    }
    if (tasks == nullptr) return *run;
    Result<Checkpoint> loaded = store.Load(*submitted);
    if (!loaded) return loaded.error();
    *tasks = std::move(loaded->tasks);
    return *run;
  }
}

std::string LoopOf(std::uint32_t tasks, const std::string& work) {
  return fmt::format(
      "name: bench\nagents: {{none: {{mock: {{output: ok}}}}}}\ntasks:\n  t:\n    {}\n    loop: "
      "{{type: for_each, iterator: i, parallel: true, collection: {{source: range, start: 0, end: "
      "{}}}}}\n",
      work, tasks);
}

}  // namespace troupe
