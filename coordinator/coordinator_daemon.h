// The coordinator's shell: socket, store and clock around Coordinator.
//
// One thread calls everything. A turn drains the socket, steps every message, commits once, then
// sends. After an error of Turn() nothing more may be done with it: the process must end, and what
// is in the store is what happened.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "coordinator/coordinator.h"
#include "protocol/zmq_endpoint.h"
#include "storage/checkpoint_store.h"

namespace troupe {

class CoordinatorDaemon {
 public:
  // `store` outlives it. `tell` hears every event after its commit.
  CoordinatorDaemon(RouterEndpoint endpoint, CheckpointStore& store, CoordinatorOptions options,
                    RunId next_run, std::function<void(const RunEvent&)> tell);

  // The run goes on; if `dormant`, only what its attempts have to say is taken.
  void Restore(const Resumable& saved, bool dormant);

  // Waits for something to happen, at most for `timeout`; then does a turn. `fds` are the caller's
  // own descriptors to wait for.
  Status Turn(std::vector<WaitFd>& fds, Duration timeout);
  // Does a turn with this event at once.
  Status Do(const Event& event);

  RunId last_submitted() const { return last_submitted_; }
  const Coordinator& coordinator() const { return coordinator_; }
  Instant Now() const { return clock_.Now(); }

 private:
  Status Finish();
  void Send(const Outgoing& outgoing);
  void Flush();

  RouterEndpoint endpoint_;
  CheckpointStore& store_;
  Clock clock_;
  Coordinator coordinator_;
  std::function<void(const RunEvent&)> tell_;
  Effects effects_;
  Instant wake_at_{};
  RunId last_submitted_{};
  std::map<std::string, std::deque<std::string>> waiting_;  // By peer: what did not fit yet.
  std::vector<std::string> gone_;                           // Peers found gone while sending.
};

}  // namespace troupe
