// The attendants of this daemon: each carries out one attempt at a time, and is kept for the next
// one. So a program is loaded, and a process made, for as many attempts as go on at once, and not
// for each; what one attendant's end costs is still one attempt.
//
// One thread. They are children of this process and outlive it with their attempts.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace troupe {

class AttendantPool {
 public:
  // `program`: troupe-attendant. `spool`: absolute. Nothing is started before the first attempt is.
  AttendantPool(std::filesystem::path program, std::filesystem::path spool)
      : program_(std::move(program)), spool_(std::move(spool)) {}
  // Those that have nothing to do end, and have ended when it returns.
  ~AttendantPool();
  AttendantPool(const AttendantPool&) = delete;
  AttendantPool& operator=(const AttendantPool&) = delete;

  // Has the attempt of this spool directory carried out: the attendant that is to do it, a file
  // descriptor that is readable when there may be something to hear.
  Result<int> Attend(const std::string& directory);
  void Stop(int attendant, const std::string& directory);

  enum class Heard { Nothing, Ended, Gone };
  // Ended: its attempt has an outcome. Gone: it has ended itself, and the spool tells what became
  // of its attempt; the descriptor is closed. Either way the attempt is no longer its own.
  Heard Hear(int attendant);

  // Ends those that have had nothing to do for `longer_than`.
  void EndIdle(Duration longer_than, Instant now);

 private:
  struct Idle {
    int attendant;
    Instant since;  // Set when EndIdle() first sees it.
  };

  Status StartOne();
  void Forget(int attendant);

  std::filesystem::path program_;
  std::filesystem::path spool_;
  std::map<int, pid_t> attendants_;
  std::vector<Idle> idle_;      // The one that was idle last is the next to be used.
  std::vector<pid_t> leaving_;  // To be waited for.
};

}  // namespace troupe
