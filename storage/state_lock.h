// One coordinator per state directory: whoever holds this may open its store and bind its socket.
//
// Released when the object goes or the process dies, however that comes.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "base/result.h"

namespace troupe {

class StateLock {
 public:
  // Makes the directory (0700) if it is missing. Locked if another process holds it; the message
  // names it.
  static Result<StateLock> Take(const std::filesystem::path& state_dir);
  // Is another process at work in this directory? Changes nothing.
  static bool IsHeld(const std::filesystem::path& state_dir);

  StateLock(StateLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  StateLock& operator=(StateLock&& other) noexcept;
  ~StateLock();

 private:
  explicit StateLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace troupe
