// Starts attendants for the daemon, through a zygote that it keeps (worker/attendant/zygote.h).
//
// One thread. The attendants are children of this process, and outlive it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace troupe {

class AttendantStarter {
 public:
  // `program`: troupe-attendant. Nothing is started before the first attempt is.
  explicit AttendantStarter(std::filesystem::path program) : program_(std::move(program)) {}
  ~AttendantStarter() { EndZygote(); }
  AttendantStarter(const AttendantStarter&) = delete;
  AttendantStarter& operator=(const AttendantStarter&) = delete;

  // One for each of these spool directories: its pid, or why none is known: then the spool tells
  // whether there is one. If the zygote dies meanwhile another one begins anew; the spool lets no
  // attempt run twice.
  std::vector<Result<pid_t>> Start(const std::vector<std::string>& directories);

 private:
  Status StartZygote();
  void EndZygote();
  bool Order(const std::string& directory);
  // False: the zygote is gone.
  bool TakeAnswer(std::vector<Result<pid_t>>& pids);

  std::filesystem::path program_;
  pid_t zygote_ = -1;
  int socket_ = -1;
};

}  // namespace troupe
