#include "worker/attendant/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace troupe {

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
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return SystemError("read", path, errno);
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::Invalid, fmt::format("{} is not a regular file", path.string())};
  }
  std::string text;
  std::string chunk(65536, '\0');
  for (;;) {
    const ssize_t n = ::read(file.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError("read", path, errno);
    if (n == 0) return text;
    text.append(chunk, 0, static_cast<std::size_t>(n));
    if (text.size() > bytes_max) {
      return Error{ErrorCode::Invalid,
                   fmt::format("{} holds more than {} bytes", path.string(), bytes_max)};
    }
  }
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

Status WriteWholeFile(const std::filesystem::path& path, std::string_view text, bool durable) {
  const std::filesystem::path temporary = path.string() + ".tmp";
  {
    const Fd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.open()) return SystemError("write", temporary, errno);
    if (!WriteAll(file.get(), text)) return SystemError("write", temporary, errno);
    if (durable && ::fsync(file.get()) != 0) return SystemError("sync", temporary, errno);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return SystemError("write", path, errno);
  return durable ? SyncDirectory(path.parent_path()) : Status();
}

Status MakePrivateDirectory(const std::filesystem::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return SystemError("make", path, errno);
}

Status SyncDirectory(const std::filesystem::path& directory) {
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.open()) return SystemError("sync", directory, errno);
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return SystemError("sync", directory, errno);
  return {};
}

Status RemoveTree(const std::filesystem::path& path) {
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
