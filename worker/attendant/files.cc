#include "worker/attendant/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace troupe {

namespace {

constexpr std::size_t kReadBytesMin = 4096;

// Some file systems cannot sync a directory, and need not.
Status Sync(const std::filesystem::path& path, int flags) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags));
  if (!fd.open()) return SystemError("sync", path, errno);
  if (::fsync(fd.get()) != 0 && !(errno == EINVAL && flags == O_DIRECTORY)) {
    return SystemError("sync", path, errno);
  }
  return {};
}

}  // namespace

void Fd::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Error SystemError(std::string_view what, const std::filesystem::path& path, int error_number) {
  ErrorCode code = ErrorCode::Io;
  if (error_number == ENOENT) code = ErrorCode::NotFound;
  if (error_number == ENOSPC || error_number == EDQUOT) code = ErrorCode::Full;
  return {code,
          fmt::format("cannot {} {}: {}", what, path.string(), ::strerrordesc_np(error_number))};
}

Result<std::string> ReadWholeFile(const std::filesystem::path& path, std::size_t bytes_max) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.open()) return SystemError("read", path, errno);
  return ReadRest(file.get(), path, bytes_max);
}

Result<std::string> ReadRest(int fd, const std::filesystem::path& path, std::size_t bytes_max) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return SystemError("read", path, errno);
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::Invalid, fmt::format("{} is not a regular file", path.string())};
  }
  // It may grow meanwhile, and those of /proc have no size.
  const auto expected = static_cast<std::size_t>(status.st_size);
  std::string text(expected > bytes_max ? 0 : std::max(expected + 1, kReadBytesMin), '\0');
  std::size_t size = expected > bytes_max ? expected : 0;
  for (;;) {
    if (size > bytes_max) {
      return Error{ErrorCode::Invalid,
                   fmt::format("{} holds more than {} bytes", path.string(), bytes_max)};
    }
    const ssize_t n = ::read(fd, text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError("read", path, errno);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
    if (size == text.size()) text.resize(2 * size);
  }
  text.resize(size);
  return text;
}

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

Status WriteFile(const std::filesystem::path& path, std::string_view text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.open() || !WriteAll(file.get(), text)) return SystemError("write", path, errno);
  return {};
}

Fd OpenLog(const std::filesystem::path& path) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  Fd file(::open(path.c_str(), kFlags, 0600));
  if (!file.open() && errno == ENOENT && MakePrivateDirectory(path.parent_path())) {
    file = Fd(::open(path.c_str(), kFlags, 0600));
  }
  return file;
}

Status MakePrivateDirectory(const std::filesystem::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return SystemError("make", path, errno);
}

Status SyncDirectory(const std::filesystem::path& directory) {
  return Sync(directory, O_DIRECTORY);
}

Status SyncFile(const std::filesystem::path& path) {
  Status synced = Sync(path, 0);
  return synced ? SyncDirectory(path.parent_path()) : synced;
}

Status RemoveTree(const std::filesystem::path& path, std::initializer_list<const char*> likely) {
  if (likely.size() > 0) {
    const Fd inside(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    for (const char* name : likely) {
      if (!inside.open()) break;
      if (::unlinkat(inside.get(), name, 0) != 0 && errno == EISDIR) {
        ::unlinkat(inside.get(), name, AT_REMOVEDIR);
      }
    }
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
  }
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error) return {};
  // Caches of package tools hold directories that even their owner may not write.
  using std::filesystem::directory_options;
  using std::filesystem::perms;
  std::error_code ignored;
  std::filesystem::permissions(path, perms::owner_all, std::filesystem::perm_options::add, ignored);
  std::filesystem::recursive_directory_iterator it(path, directory_options::none, ignored);
  while (!ignored && it != std::filesystem::recursive_directory_iterator()) {
    std::error_code of_entry;
    if (it->is_directory(of_entry) && !it->is_symlink(of_entry)) {
      std::filesystem::permissions(it->path(), perms::owner_all, of_entry);
    }
    it.increment(ignored);
  }
  std::filesystem::remove_all(path, error);
  if (!error) return {};
  return SystemError("remove", path, error.value());
}

}  // namespace troupe
