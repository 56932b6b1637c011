// Is a stream of events whole? Tells when a snapshot is needed because some were missed, and which
// events a snapshot has already.
//
// Pure. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/run_event.h"
#include "base/time.h"
#include "protocol/client_messages.h"

namespace troupe {

class EventStream {
 public:
  // The stream is of a run that begins with it: no snapshot is needed for its first message.
  void BeginWhole() { whole_ = true; }

  // A message of the watch has come. If it does not follow on what came before, events were missed:
  // from here on a snapshot is needed, and events are kept until there is one.
  void On(ClientEvents message);

  // A snapshot was read after the message that made it necessary. `until`: the latest time in it.
  // Of the events that came meanwhile those are dropped that it has already.
  void Snapshot(Instant until);

  // The events that are to be shown now, in order. None while a snapshot is missing.
  std::vector<RunEvent> Take();

  bool needs_snapshot() const { return needs_snapshot_; }
  bool empty() const { return stream_ == 0; }  // Nothing has come yet.
  // Of the run, as last told; 0 tasks: not known.
  std::uint32_t tasks() const { return tasks_; }
  std::uint32_t settled() const { return settled_; }

 private:
  std::uint64_t stream_ = 0;
  std::uint64_t next_ = 0;
  bool needs_snapshot_ = true;
  bool whole_ = false;
  std::vector<RunEvent> events_;
  std::uint32_t tasks_ = 0;
  std::uint32_t settled_ = 0;
};

}  // namespace troupe
