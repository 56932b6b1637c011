// The spool's `events`: what an agent says of its progress, one JSON object a line, within bounds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/time.h"
#include "worker/attendant/agent_protocol.h"
#include "worker/attendant/files.h"

namespace troupe {

inline constexpr std::uint64_t kEventLogBytesMax = std::uint64_t{16} << 20;
inline constexpr std::size_t kEventTextBytesMax = 4096;

class EventLog {
 public:
  explicit EventLog(std::filesystem::path path);

  // Texts are cut, and when the file is full or cannot be written, events are dropped.
  void Append(Instant at, const std::vector<AgentEvent>& events);

  // The last lines of it, for the outcome.
  const std::string& tail() const { return tail_; }

 private:
  std::filesystem::path path_;
  Fd file_;  // Opened by the first event.
  std::uint64_t left_ = kEventLogBytesMax;
  std::string tail_;
};

}  // namespace troupe
