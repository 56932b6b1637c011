#include "worker/attendant_starter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "worker/attendant/zygote.h"

extern char** environ;

namespace troupe {
namespace {

constexpr std::size_t kOrdersMax = 64;    // Unanswered: both directions fit into the buffers.
constexpr std::size_t kTitleBytes = 300;  // For the names that the attendants give themselves.
constexpr int kZygotesMax = 3;            // For one call.

Error CannotStart(const std::filesystem::path& program, int error) {
  return {ErrorCode::Io,
          fmt::format("cannot start {}: {}", program.string(), std::strerror(error))};
}

}  // namespace

Status AttendantStarter::StartZygote() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return CannotStart(program_, errno);
  }
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, ends[1], 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);

  std::string program = program_.string();
  std::string word = "--zygote";
  std::string title(kTitleBytes, '-');
  char* argv[] = {program.data(), word.data(), title.data(), nullptr};
  const int error = posix_spawn(&zygote_, program.c_str(), &files, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  close(ends[1]);
  socket_ = ends[0];
  if (error == 0) return {};
  zygote_ = -1;
  EndZygote();
  return CannotStart(program_, error);
}

void AttendantStarter::EndZygote() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
  while (zygote_ > 0 && waitpid(zygote_, nullptr, 0) < 0 && errno == EINTR) {
  }
  zygote_ = -1;
}

bool AttendantStarter::Order(const std::string& directory) {
  ssize_t n = 0;
  do {
    n = send(socket_, directory.data(), directory.size(), MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n >= 0;
}

bool AttendantStarter::TakeAnswer(std::vector<Result<pid_t>>& pids) {
  ZygoteAnswer answer;
  ssize_t n = 0;
  do {
    n = recv(socket_, &answer, sizeof answer, 0);
  } while (n < 0 && errno == EINTR);
  if (n != static_cast<ssize_t>(sizeof answer)) return false;
  if (answer.pid > 0) {
    pids.emplace_back(answer.pid);
  } else {
    pids.emplace_back(CannotStart(program_, answer.error));
  }
  return true;
}

std::vector<Result<pid_t>> AttendantStarter::Start(const std::vector<std::string>& directories) {
  std::vector<Result<pid_t>> pids;
  Error why{ErrorCode::Io, fmt::format("cannot start {}: it does not answer", program_.string())};
  for (int zygotes = 0; pids.size() < directories.size() && zygotes < kZygotesMax; ++zygotes) {
    if (socket_ < 0) {
      if (Status started = StartZygote(); !started) {
        why = started.error();
        break;
      }
    }
    std::size_t ordered = pids.size();
    bool alive = true;
    while (alive && pids.size() < directories.size()) {
      if (ordered < directories.size() && ordered - pids.size() < kOrdersMax) {
        alive = Order(directories[ordered]);
        ++ordered;
      } else {
        alive = TakeAnswer(pids);
      }
    }
    if (!alive) EndZygote();
  }
  while (pids.size() < directories.size()) pids.emplace_back(why);
  return pids;
}

}  // namespace troupe
