// The parts of the spool that only its own code and the attendant use.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "worker/attendant/files.h"

namespace troupe {

// started.json: what it takes to know an attendant again, and to end its processes when it has
// died. Written before the agent is started.
struct StartRecord {
  pid_t attendant = 0;
  std::uint64_t start_ticks = 0;
  std::string boot_id = "";
  Instant started{};
  std::string token = "";
  std::string cgroup = "";  // Where one may have been made; empty: none.
  bool operator==(const StartRecord&) const = default;
};

Status WriteStart(const std::filesystem::path& directory, const StartRecord& start);
// NotFound if the attendant never came that far.
Result<StartRecord> ReadStart(const std::filesystem::path& directory);

// What the name of an attempt's directory says.
AttemptId IdOfDirectory(const std::filesystem::path& directory);

// What was made for the agent's eyes, and what it left there.
void RemovePrivateFiles(const std::filesystem::path& directory);

// Held until the Fd is closed or the process ends. Locked if another process has it.
Result<Fd> LockSpool(const std::filesystem::path& directory);

}  // namespace troupe
