#include "storage/state_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace troupe {
namespace {

namespace fs = std::filesystem;

std::string HolderOf(int fd) {
  char text[32] = {};
  const ssize_t size = pread(fd, text, sizeof text - 1, 0);
  std::string pid(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  return pid.empty() ? "" : fmt::format(" (pid {})", pid);
}

}  // namespace

Result<StateLock> StateLock::Take(const fs::path& state_dir) {
  std::error_code error;
  const bool made = fs::create_directories(state_dir, error);
  if (error) {
    return Error{ErrorCode::Io, fmt::format("cannot make the state directory {}: {}",
                                            state_dir.string(), error.message())};
  }
  if (made) fs::permissions(state_dir, fs::perms::owner_all, error);
  const std::string path = state_dir / "lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return Error{ErrorCode::Io, fmt::format("cannot open {}: {}", path, std::strerror(errno))};
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const Error locked{ErrorCode::Locked,
                       fmt::format("another troupe{} is at work in {}; wait for it, or give "
                                   "another --state-dir",
                                   HolderOf(fd), state_dir.string())};
    close(fd);
    return locked;
  }
  const std::string pid = fmt::format("{}\n", getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    const int why = errno;
    close(fd);
    return Error{why == ENOSPC ? ErrorCode::Full : ErrorCode::Io,
                 fmt::format("cannot write {}: {}", path, std::strerror(why))};
  }
  return StateLock(fd);
}

bool StateLock::IsHeld(const fs::path& state_dir) {
  const int fd = open((state_dir / "lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool held = flock(fd, LOCK_SH | LOCK_NB) != 0;
  close(fd);
  return held;
}

StateLock& StateLock::operator=(StateLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

StateLock::~StateLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace troupe
