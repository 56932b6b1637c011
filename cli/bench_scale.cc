#include "cli/bench_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "cli/bench_fleet.h"
#include "cli/remote_store.h"
#include "protocol/access.h"
#include "protocol/codec.h"
#include "protocol/zmq_endpoint.h"
#include "worker/worker.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr Duration kIdleFor = std::chrono::seconds(5);

// One half of a loop can run; the other waits for a label that no worker has. `last` runs when the
// first half is done.
std::string HalfOf(std::uint32_t tasks) {
  const auto loop = [&](const char* name, const char* more) {
    return fmt::format(
        "  {}: {{agent: none, description: x{}, loop: {{type: for_each, iterator: i, parallel: "
        "true, collection: {{source: range, start: 0, end: {}}}}}}}\n",
        name, more, tasks / 2);
  };
  return "name: bench\nagents: {none: {mock: {output: ok}}}\ntasks:\n" + loop("done", "") +
         loop("waits", ", requires: {labels: [none]}") +
         "  last: {agent: none, description: x, depends_on: [done]}\n";
}

}  // namespace

Result<double> RestartSeconds(const fs::path& directory, std::uint32_t tasks) {
  BenchFleet fleet(directory, 1, 1'024);
  if (Status up = fleet.WaitFor(1); !up) return up.error();
  const Result<RunId> run = fleet.Submit(HalfOf(tasks));
  if (!run) return run.error();
  const RemoteStore store(fleet.client());
  constexpr std::uint32_t kLast = 2;  // Tasks have the numbers of their places in the file.
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto attempts = store.Attempts(*run, Subject::Task, kLast);
    if (!attempts) return attempts.error();
    if (!attempts->empty()) break;
  }
  fleet.KillCoordinator();
  const Clock clock;
  const Instant began = clock.Now();
  fleet.StartCoordinator();
  if (Status up = fleet.WaitFor(0); !up) return up.error();
  return ToSeconds(clock.Now() - began);
}

Result<double> BytesPerTask(const fs::path& directory, std::uint32_t tasks, bool loop) {
  BenchFleet fleet(directory, 0, 0);
  if (Status up = fleet.WaitFor(0); !up) return up.error();
  std::string text = LoopOf(tasks, "agent: none\n    description: x");
  if (!loop) {
    text = "name: bench\nagents: {none: {mock: {output: ok}}}\ntasks:\n";
    for (std::uint32_t i = 0; i < tasks; ++i) {
      text += fmt::format("  t{}: {{agent: none, description: x}}\n", i);
    }
  }
  // A first run makes what every run needs.
  if (const Result<RunId> first = fleet.Submit(LoopOf(1, "agent: none\n    description: x"));
      !first) {
    return first.error();
  }
  const std::uint64_t before = fleet.coordinator().ResidentBytes();
  if (const Result<RunId> run = fleet.Submit(text); !run) return run.error();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // What only compiling took goes.
  const std::uint64_t after = fleet.coordinator().ResidentBytes();
  return static_cast<double>(after - std::min(before, after)) / tasks;
}

Result<double> IdleWorkersCost(const fs::path& directory, std::uint32_t workers) {
  BenchFleet fleet(directory, 0, 0);
  if (Status up = fleet.WaitFor(0); !up) return up.error();
  // Real cores on real connections, on one thread here.
  struct Peer {
    DealerEndpoint dealer;
    WorkerCore core;
    Instant wake_at{};
  };
  std::vector<Peer> peers;
  peers.reserve(workers);
  const Clock clock;
  const auto carry_out = [&](Peer& peer, WorkerEffects& effects) {
    peer.core.EndTurn(clock.Now(), effects);
    for (const ToCoordinator& message : effects.send) (void)peer.dealer.Send(Encode(message));
    peer.wake_at = effects.wake_at;
  };
  for (std::uint32_t n = 0; n < workers; ++n) {
    const std::string name = fmt::format("w{}", n);
    auto dealer = DealerEndpoint::Connect(fleet.endpoint(), PeerOfWorker(name, 1));
    if (!dealer) return dealer.error();
    Peer& peer = peers.emplace_back(
        Peer{*std::move(dealer), WorkerCore({.name = name, .incarnation = 1, .spool = n + 1})});
    WorkerEffects effects;
    peer.core.Begin({}, {}, clock.Now(), effects);
    carry_out(peer, effects);
  }
  double cpu = 0;
  Instant began{};  // When all had joined.
  for (;;) {
    std::size_t joined = 0;
    for (Peer& peer : peers) {
      joined += peer.core.joined() ? 1 : 0;
      WorkerEffects effects;
      bool heard = false;
      while (const auto bytes = peer.dealer.Receive()) {
        const auto message = DecodeFromCoordinator(*bytes);
        if (message) peer.core.OnMessage(*message, clock.Now(), effects);
        heard = true;
      }
      if (heard || clock.Now() >= peer.wake_at) carry_out(peer, effects);
    }
    if (began == Instant{} && joined == workers) {
      began = clock.Now();
      cpu = fleet.coordinator().CpuSeconds();
    }
    if (began != Instant{} && clock.Now() >= began + kIdleFor) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return (fleet.coordinator().CpuSeconds() - cpu) / ToSeconds(clock.Now() - began) * 100;
}

}  // namespace troupe
