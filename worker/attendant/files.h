// Files as the attendant and the spool need them: private, never inherited.
//
// Plain functions; any thread may call them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace troupe {

// An open file. Closes it at the end of its life.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { Close(); }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void Close();

 private:
  int fd_ = -1;
};

// "cannot write /a/b: No space left on device"; the code follows the number. `what` is a verb.
Error SystemError(std::string_view what, const std::filesystem::path& path, int error_number);

// Fails with Invalid if the file holds more than `bytes_max` or is not a regular file. A named pipe
// does not make it wait.
Result<std::string> ReadWholeFile(const std::filesystem::path& path, std::size_t bytes_max);
// From where it stands. `path`: for the error.
Result<std::string> ReadRest(int fd, const std::filesystem::path& path, std::size_t bytes_max);

// Writes all of it or says why not. Sets errno.
bool WriteAll(int fd, std::string_view bytes);

// In place, mode 0600: whoever may read it meanwhile sees a part of it.
Status WriteFile(const std::filesystem::path& path, std::string_view text);

// To append to, mode 0600; its directory is made if that is missing. Not open: errno says why.
Fd OpenLog(const std::filesystem::path& path);

// What was written to the file, and that it is there, stays so from here on.
Status SyncFile(const std::filesystem::path& path);

// Makes one directory of mode 0700; one that exists is left as it is.
Status MakePrivateDirectory(const std::filesystem::path& path);

// What was renamed or made in `directory` stays so from here on.
Status SyncDirectory(const std::filesystem::path& directory);

// Removes it with all it holds, also what its owner has made read-only. `likely`: what it holds
// most often, in an order in which that can be removed, which saves to look.
Status RemoveTree(const std::filesystem::path& path,
                  std::initializer_list<const char*> likely = {});

}  // namespace troupe
