// The parts of the spool that only its own code and the attendant use.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "worker/attendant/files.h"

namespace troupe {

// The line `start`: what it takes to know an attendant again, and to end its processes when it has
// died. Written before the agent is started.
struct StartRecord {
  pid_t attendant = 0;
  std::uint64_t start_ticks = 0;
  std::string boot_id = "";
  Instant started{};
  std::string token = "";
  std::string cgroup = "";         // Where one may have been made; empty: none.
  std::string private_files = "";  // Likewise.
  bool operator==(const StartRecord&) const = default;
};

std::string ToJson(const StartRecord& start);
Result<StartRecord> StartFromJson(const std::string& text);
// NotFound if the attendant never came that far.
Result<StartRecord> ReadStart(const std::filesystem::path& directory);

// What the name of an attempt says.
AttemptId IdOfDirectory(const std::filesystem::path& directory);

// The file of an attempt, locked until the end of this object or the process.
class AttemptFile {
 public:
  // Locked if another process has it; NotFound if the attempt has been forgotten.
  static Result<AttemptFile> Lock(const std::filesystem::path& directory);

  // What follows the word in the last line that begins with it; none: there is no such line.
  std::optional<std::string> Line(std::string_view word) const;
  // All of it or nothing.
  Status Append(std::string_view word, const std::string& text);
  Status Sync() const;

 private:
  AttemptFile(std::filesystem::path path, Fd file, std::string text);

  std::filesystem::path path_;
  Fd file_;
  std::string text_;   // Its whole lines; the file stands behind them,
  bool torn_ = false;  // or behind a part of another one.
};

}  // namespace troupe
