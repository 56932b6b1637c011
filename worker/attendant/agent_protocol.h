// How one kind of agent is listened to: bytes from the agent in, progress and a verdict out.
//
// A protocol sees standard output in pieces of any size as they arrive and, once the process has
// ended, how it ended. It does no I/O and reads no clock. There is one object per attempt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/attempt.h"
#include "base/failure.h"
#include "base/time.h"

namespace troupe {

// A line of the spool's `events`: {"at":…,"type":"tool","text":"Bash"}. Types: text, tool, denied,
// retry, rate_limit, log, progress (value: percent).
struct AgentEvent {
  std::string type = "";
  std::string text = "";
  std::optional<double> value = {};
  bool operator==(const AgentEvent&) const = default;
};

// How a process ended: by exit (signal 0) or by a signal (exit_code -1).
struct ProcessEnd {
  std::int32_t exit_code = -1;
  std::int32_t signal = 0;
  bool operator==(const ProcessEnd&) const = default;
};

// All that is known when an attempt's process has ended.
struct Ending {
  ProcessEnd process = {};
  // All of standard output with U+FFFD for what is not UTF-8; none if it was too long to keep.
  std::optional<std::string_view> standard_output = {};
  std::string_view last_error_line = "";  // The last of standard error that is not blank.
  // TROUPE_RESULT_FILE: none if it is not there or empty; or why it cannot be read.
  std::optional<std::string> result_file = {};
  std::string result_file_problem = "";
  Instant now{};
};

struct Verdict {
  std::optional<FailureClass> failure = {};
  std::string message = "";
  std::optional<std::string> text = {};  // The output; none: what was captured is.
  std::string result_json = "";
  Usage usage = {};
  std::string session = "";
  Duration retry_after{};
  std::vector<std::string> denied_tools = {};
};

class AgentProtocol {
 public:
  virtual ~AgentProtocol() = default;

  // Appends to `events` what the bytes say of the progress.
  virtual void Read(std::string_view bytes, std::vector<AgentEvent>& events) = 0;

  // The agent has said its last word: its process need not run on.
  virtual bool Finished() const { return false; }

  // Called once, after the last Read.
  virtual Verdict Conclude(const Ending& ending) = 0;
};

}  // namespace troupe
