#include "protocol/key_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "protocol/access.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFileBytesMax = 4'096;

Error BadKeyFile(const fs::path& file, std::string_view why) {
  return {ErrorCode::Invalid, fmt::format("cannot use the key file {}: {}", file.string(), why)};
}

Status WriteNewFile(const fs::path& file, mode_t mode, const std::string& text) {
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) {
    const std::string why = errno == EEXIST ? "it exists; remove it first, or give another name"
                                            : std::string(std::strerror(errno));
    return Error{ErrorCode::Invalid, fmt::format("cannot write {}: {}", file.string(), why)};
  }
  const bool written = fchmod(fd, mode) == 0 &&
                       write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       fsync(fd) == 0;
  const int error = errno;
  close(fd);
  if (written) return {};
  return Error{ErrorCode::Io,
               fmt::format("cannot write {}: {}", file.string(), std::strerror(error))};
}

// The text of a small file; with `secret` only if nobody else can have read or written it.
Result<std::string> ReadFile(const fs::path& file, bool secret) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return BadKeyFile(file, std::strerror(errno));
  struct stat about {};
  std::string text(kFileBytesMax, '\0');
  const bool known = fstat(fd, &about) == 0;
  const ssize_t size = read(fd, text.data(), text.size());
  close(fd);
  if (!known || !S_ISREG(about.st_mode) || size < 0) return BadKeyFile(file, "it is not a file");
  if (secret && about.st_uid != geteuid() && about.st_uid != 0) {
    return BadKeyFile(file, "it belongs to another user; a secret key must be our own");
  }
  if (secret && (about.st_mode & 077) != 0) {
    return BadKeyFile(file,
                      fmt::format("others may read or write it (mode {:04o}); a secret key must "
                                  "be ours alone: chmod 600 {}",
                                  about.st_mode & 07777, file.string()));
  }
  text.resize(static_cast<std::size_t>(size));
  return text;
}

Result<std::string> ReadKey(const fs::path& file, bool secret) {
  Result<std::string> text = ReadFile(file, secret);
  if (!text) return text.error();
  std::string key;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("# ")) continue;
    if (!key.empty() || !IsKey(line)) {
      return BadKeyFile(file,
                        "it must hold one key of 40 characters, as `troupe keygen` writes it");
    }
    key = line;
  }
  if (key.empty()) return BadKeyFile(file, "it holds no key");
  return key;
}

}  // namespace

Result<std::string> WriteNewKeyFiles(const fs::path& file, std::string_view name) {
  const KeyPair pair = MakeKeyPair();
  const fs::path public_file = file.string() + ".pub";
  std::error_code error;
  if (fs::exists(public_file, error)) {
    return Error{ErrorCode::Invalid, fmt::format("{} exists; remove it first, or give another name",
                                                 public_file.string())};
  }
  Status written = WriteNewFile(
      file, 0600,
      fmt::format("# secret key of {}: keep it to yourself\n{}\n", name, pair.secret_key));
  if (!written) return written.error();
  written = WriteNewFile(public_file, 0644,
                         fmt::format("# public key of {}\n{}\n", name, pair.public_key));
  if (!written) return written.error();
  return pair.public_key;
}

Result<KeyPair> ReadSecretKeyFile(const fs::path& file) {
  Result<std::string> secret = ReadKey(file, true);
  if (!secret) return secret.error();
  Result<std::string> public_key = PublicKeyOf(*secret);
  if (!public_key) return BadKeyFile(file, public_key.error().message);
  return KeyPair{*std::move(public_key), *std::move(secret)};
}

Result<std::string> ReadPublicKeyFile(const fs::path& file) { return ReadKey(file, false); }

}  // namespace troupe
