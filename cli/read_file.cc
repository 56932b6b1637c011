#include "cli/read_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace troupe {
namespace {

constexpr std::size_t kBytesMax = (64u << 20) + 1;

}  // namespace

Result<std::string> ReadWorkflowFile(const std::string& path) {
  const auto failed = [&](const char* why) {
    return Error{ErrorCode::Invalid, fmt::format("cannot read {}: {}", path, why)};
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed(std::strerror(errno));
  struct stat about {};
  if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode)) {
    close(fd);
    return failed("it is a directory");
  }
  std::string text;
  char buffer[65'536];
  ssize_t count = 0;
  while (text.size() < kBytesMax && (count = read(fd, buffer, sizeof buffer)) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    text.append(buffer, static_cast<std::size_t>(count));
  }
  const int error = errno;
  close(fd);
  if (count < 0) return failed(std::strerror(error));
  return text;
}

}  // namespace troupe
