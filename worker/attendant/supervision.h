// The life of an attempt's processes: one loop that reads, writes and watches the clocks.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/attempt.h"
#include "worker/attendant/agent_protocol.h"
#include "worker/attendant/event_log.h"
#include "worker/attendant/orders.h"
#include "worker/attendant/output_capture.h"
#include "worker/attendant/output_file.h"
#include "worker/attendant/process_tree.h"

namespace troupe {

inline constexpr Duration kStopGrace = std::chrono::seconds(5);      // SIGTERM to SIGKILL.
inline constexpr Duration kLeftoverGrace = std::chrono::seconds(2);  // For what outlives the child.
inline constexpr Duration kFinishedGrace =
    std::chrono::seconds(10);  // After the agent's last word.
inline constexpr Duration kKillPatience = std::chrono::seconds(30);

// Why we ended it, if we did.
enum class StopReason { None, Cancelled, TimedOut, Silent, Finished };

// What the loop reads into; all of it outlives the loop.
struct Sinks {
  AgentProtocol& protocol;
  StreamCapture& standard_output;
  StreamCapture& standard_error;
  OutputFile* output_file;  // None: the output goes to no file while it runs.
  EventLog& events;
};

// Where stops come from.
struct Stops {
  int signals;  // A signalfd for SIGTERM and SIGCHLD, both blocked.
  Orders& orders;
  const std::string& directory;  // The attempt's, as orders name it.
};

class Supervision {
 public:
  // A stop is a SIGTERM or an order; the second one ends at once. The clocks run from here.
  Supervision(const AttemptSpec& spec, ProcessTree& tree, Sinks sinks, Stops stops);

  // A stop has come before anything runs.
  bool StoppedEarly();

  // Returns when nothing of the tree is left and all it wrote has been read. `standard_input`
  // outlives the call.
  void Run(Pipes pipes, std::string_view standard_input);

  StopReason stop_reason() const { return stop_reason_; }

 private:
  using Clock = std::chrono::steady_clock;

  bool Over() const;
  int PollTimeout() const;
  void ReadSignals();
  void ReadOrders();
  void OnStops(int count);
  void ReadOutput();
  void ReadErrors();
  void WriteInput();
  void CheckClocks();
  void Stop(StopReason reason);
  // The moment of the next thing CheckClocks would do.
  std::optional<Clock::time_point> NextDeadline() const;
  void EndAll();

  const AttemptSpec& spec_;
  ProcessTree& tree_;
  Sinks sinks_;
  Stops stops_;
  Pipes pipes_ = {};
  std::string_view input_left_;
  Clock::time_point started_;
  Clock::time_point last_activity_;
  std::optional<Clock::time_point> kill_at_ = {};
  StopReason stop_reason_ = StopReason::None;
  int stops_taken_ = 0;
  bool child_ended_ = false;
  std::array<char, 65536> buffer_;
};

}  // namespace troupe
