#include "worker/attendant_pool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "worker/attendant/orders.h"

extern char** environ;

namespace troupe {
namespace {

constexpr std::size_t kTitleBytes = 300;  // For the names that the attendants give themselves.

Error CannotStart(const std::filesystem::path& program, int error) {
  return {ErrorCode::Io,
          fmt::format("cannot start {}: {}", program.string(), std::strerror(error))};
}

void WaitFor(pid_t pid) {
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

AttendantPool::~AttendantPool() {
  EndIdle(Duration::zero(), kNever);
  for (const pid_t pid : leaving_) WaitFor(pid);
  for (const auto& [attendant, pid] : attendants_) close(attendant);
}

Status AttendantPool::StartOne() {
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
  std::string spool = spool_.string();
  std::string word = "--serve";
  std::string title(kTitleBytes, '-');
  char* argv[] = {program.data(), word.data(), spool.data(), title.data(), nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, program.c_str(), &files, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    return CannotStart(program_, error);
  }
  attendants_.emplace(ends[0], pid);
  idle_.push_back({ends[0], {}});
  return {};
}

// Of one that has ended: once it has been waited for, its lock is free.
void AttendantPool::Forget(int attendant) {
  const pid_t pid = attendants_.at(attendant);
  close(attendant);
  attendants_.erase(attendant);
  WaitFor(pid);
}

Result<int> AttendantPool::Attend(const std::string& directory) {
  for (;;) {
    const bool fresh = idle_.empty();
    if (fresh) {
      if (Status started = StartOne(); !started) return started.error();
    }
    const int attendant = idle_.back().attendant;
    idle_.pop_back();
    if (SendPacket(attendant, OrderWord::Attend, directory)) return attendant;
    // It has ended while it had nothing to do, and has not seen the order.
    Forget(attendant);
    if (fresh) {
      return Error{ErrorCode::Io,
                   fmt::format("{} ended as soon as it was started", program_.string())};
    }
  }
}

void AttendantPool::Stop(int attendant, const std::string& directory) {
  SendPacket(attendant, OrderWord::Stop, directory);
}

AttendantPool::Heard AttendantPool::Hear(int attendant) {
  const Received received = ReceivePacket(attendant);
  if (received.closed) {
    Forget(attendant);
    return Heard::Gone;
  }
  if (!received.packet || received.packet->word != OrderWord::Ended) return Heard::Nothing;
  idle_.push_back({attendant, {}});
  return Heard::Ended;
}

void AttendantPool::EndIdle(Duration longer_than, Instant now) {
  std::erase_if(leaving_, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
  std::erase_if(idle_, [&](Idle& idle) {
    if (idle.since == Instant{}) idle.since = now;
    if (now - idle.since < longer_than) return false;
    leaving_.push_back(attendants_.at(idle.attendant));
    close(idle.attendant);
    attendants_.erase(idle.attendant);
    return true;
  });
}

}  // namespace troupe
