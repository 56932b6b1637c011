#include "cli/bench_peers.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "protocol/access.h"
#include "protocol/codec.h"

namespace troupe {
namespace {

constexpr std::chrono::milliseconds kPause(2);  // All slots once in it are more than can be done.

}  // namespace

Result<BenchPeers> BenchPeers::Connect(const std::string& endpoint, std::uint32_t count,
                                       std::uint32_t slots) {
  BenchPeers all;
  for (std::uint32_t n = 0; n < count; ++n) {
    const std::string name = fmt::format("w{}", n);
    auto dealer = DealerEndpoint::Connect(endpoint, PeerOfWorker(name, 1));
    if (!dealer) return dealer.error();
    Peer& peer = all.peers_.emplace_back(
        Peer{*std::move(dealer),
             WorkerCore({.name = name, .incarnation = 1, .spool = n + 1, .slots = slots})});
    WorkerEffects effects;
    peer.core.Begin({}, {}, all.clock_.Now(), effects);
    all.CarryOut(peer, effects);
  }
  return all;
}

void BenchPeers::CarryOut(Peer& peer, WorkerEffects& effects) {
  peer.core.EndTurn(clock_.Now(), effects);
  for (const ToCoordinator& message : effects.send) (void)peer.dealer.Send(Encode(message));
  peer.wake_at = effects.wake_at;
}

void BenchPeers::Turn() {
  for (Peer& peer : peers_) {
    WorkerEffects effects;
    bool heard = false;
    while (const auto bytes = peer.dealer.Receive()) {
      auto message = DecodeFromCoordinator(*bytes);
      if (message) peer.core.OnMessage(*std::move(message), clock_.Now(), effects);
      heard = true;
    }
    if (heard || clock_.Now() >= peer.wake_at) CarryOut(peer, effects);
  }
  std::this_thread::sleep_for(kPause);
}

bool BenchPeers::AllJoined() const {
  return std::all_of(peers_.begin(), peers_.end(),
                     [](const Peer& peer) { return peer.core.joined(); });
}

}  // namespace troupe
