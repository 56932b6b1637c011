#include "cli/bench_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "cli/bench_fleet.h"
#include "cli/bench_peers.h"
#include "cli/remote_store.h"

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
  Result<BenchPeers> peers = BenchPeers::Connect(fleet.endpoint(), workers, 1);
  if (!peers) return peers.error();
  while (!peers->AllJoined()) peers->Turn();
  const Clock clock;
  const Instant began = clock.Now();
  const double cpu = fleet.coordinator().CpuSeconds();
  while (clock.Now() < began + kIdleFor) peers->Turn();
  return (fleet.coordinator().CpuSeconds() - cpu) / ToSeconds(clock.Now() - began) * 100;
}

Result<LargeFleet> MeasureLargeFleet(const fs::path& directory, std::uint32_t workers,
                                     std::uint32_t slots, std::uint32_t tasks) {
  BenchFleet fleet(directory, 0, 0);
  if (Status up = fleet.WaitFor(0); !up) return up.error();
  std::atomic<bool> done = false;
  std::thread thread([&] {  // If they cannot connect, WaitFor() says that they are not there.
    Result<BenchPeers> peers = BenchPeers::Connect(fleet.endpoint(), workers, slots);
    while (peers && !done) peers->Turn();
  });
  Result<LargeFleet> measured = [&]() -> Result<LargeFleet> {
    if (Status up = fleet.WaitFor(workers); !up) return up.error();
    const std::string work = "agent: none\n    description: x";
    if (const auto first = fleet.Run(LoopOf(tasks / 5, work)); !first) return first.error();
    const double cpu = fleet.coordinator().CpuSeconds();
    const auto run = fleet.Run(LoopOf(tasks, work));
    if (!run) return run.error();
    return LargeFleet{.tasks_per_second = tasks / ToSeconds(run->ended - run->started),
                      .cpu_per_task = (fleet.coordinator().CpuSeconds() - cpu) / tasks};
  }();
  done = true;
  thread.join();
  return measured;
}

}  // namespace troupe
