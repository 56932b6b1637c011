#include "cli/local_workers.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/pidfd.h"
#include "worker/attendant/spool.h"

extern char** environ;

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kDeathsMax = 5;
constexpr Duration kPause = std::chrono::milliseconds(200);
constexpr int kLifelineFd = 3;

}  // namespace

Result<LocalWorkers> LocalWorkers::Start(const LocalWorkersOptions& options) {
  LocalWorkers workers(options);
  for (std::uint32_t n = 1; n <= options.count; ++n) {
    workers.processes_.push_back({.name = fmt::format("w{}", n), .slots = options.slots});
  }
  // Workers of an earlier, larger run may still hold attempts.
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options.directory, error)) {
    const std::string name = entry.path().filename().string();
    const bool known = std::any_of(workers.processes_.begin(), workers.processes_.end(),
                                   [&](const Process& p) { return p.name == name; });
    const auto attempts = ListSpool(entry.path() / "spool");
    // What is wrong with a spool is for its worker to say.
    const bool holds = attempts ? !attempts->empty() : attempts.error().code != ErrorCode::NotFound;
    if (!known && holds) workers.processes_.push_back({.name = name, .slots = 0});
  }
  for (Process& process : workers.processes_) {
    if (Status started = workers.StartProcess(process); !started) {
      return started.error();
    }
  }
  return workers;
}

Status LocalWorkers::StartProcess(Process& process) {
  const fs::path home = options_.directory / process.name;
  std::error_code error;
  fs::create_directories(home / "spool", error);
  int ends[2];
  if (error || pipe2(ends, O_CLOEXEC) != 0) {
    return Error{ErrorCode::Io,
                 fmt::format("cannot start worker {} in {}: {}", process.name, home.string(),
                             error ? error.message() : std::strerror(errno))};
  }
  const std::string log = home / "log";
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  posix_spawn_file_actions_adddup2(&files, ends[0], kLifelineFd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  // Its own session: Ctrl-C is for us, not for it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);

  std::string program = fs::read_symlink("/proc/self/exe", error).string();
  std::vector<std::string> words = {program,       "worker",
                                    "--connect",   options_.endpoint,
                                    "--name",      process.name,
                                    "--spool-dir", (home / "spool").string(),
                                    "--slots",     fmt::format("{}", process.slots),
                                    "--lifeline",  fmt::format("{}", kLifelineFd)};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int failed =
      posix_spawn(&process.pid, program.c_str(), &files, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  close(ends[0]);
  if (failed != 0) {
    close(ends[1]);
    return Error{ErrorCode::Io,
                 fmt::format("cannot start worker {}: {}", process.name, std::strerror(failed))};
  }
  process.lifeline = ends[1];
  process.pidfd = OpenPidfd(process.pid);
  process.start_again = kNever;
  return {};
}

void LocalWorkers::AddTo(std::vector<WaitFd>& fds) const {
  for (const Process& process : processes_) {
    if (process.pidfd >= 0) fds.push_back({process.pidfd});
  }
}

void LocalWorkers::Reap(Process& process, Instant now) {
  int status = 0;
  if (process.pidfd < 0 || waitpid(process.pid, &status, WNOHANG) != process.pid) return;
  close(process.pidfd);
  close(process.lifeline);
  process.pidfd = process.lifeline = -1;
  ++process.deaths;
  process.start_again = process.deaths == 1 ? now : now + kPause;
}

void LocalWorkers::Joined(const std::string& name) {
  for (Process& process : processes_) {
    if (process.name == name) process.deaths = 0;
  }
}

Status LocalWorkers::Check(Instant now) {
  for (Process& process : processes_) {
    Reap(process, now);
    if (process.deaths >= kDeathsMax) {
      return Error{ErrorCode::Unavailable,
                   fmt::format("worker {} ends as soon as it starts; see {}", process.name,
                               (options_.directory / process.name / "log").string())};
    }
    if (process.start_again > now) continue;
    if (Status started = StartProcess(process); !started) return started;
  }
  return {};
}

Instant LocalWorkers::next_check() const {
  Instant next = kNever;
  for (const Process& process : processes_) next = std::min(next, process.start_again);
  return next;
}

LocalWorkers::~LocalWorkers() {
  for (Process& process : processes_) {
    if (process.lifeline >= 0) close(process.lifeline);
  }
  for (Process& process : processes_) {
    if (process.pidfd < 0) continue;
    pollfd wait{.fd = process.pidfd, .events = POLLIN, .revents = 0};
    poll(&wait, 1, 1'000);
    waitpid(process.pid, nullptr, WNOHANG);
    close(process.pidfd);
  }
}

}  // namespace troupe
