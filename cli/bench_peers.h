// Many workers for `troupe bench` in one thread: real cores on real connections, without spools and
// attendants. They answer no-op tasks (`mock`) at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "protocol/zmq_endpoint.h"
#include "worker/worker.h"

namespace troupe {

class BenchPeers {
 public:
  // They have said hello.
  static Result<BenchPeers> Connect(const std::string& endpoint, std::uint32_t count,
                                    std::uint32_t slots);
  // Takes what came and answers it, then sleeps for a moment.
  void Turn();
  bool AllJoined() const;

 private:
  struct Peer {
    DealerEndpoint dealer;
    WorkerCore core;
    Instant wake_at{};
  };
  void CarryOut(Peer& peer, WorkerEffects& effects);

  Clock clock_;
  std::vector<Peer> peers_;
};

}  // namespace troupe
