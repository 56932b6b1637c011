// Who gets the next attempt.
#include "coordinator/worker_pool.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "coordinator/random.h"

namespace troupe {
namespace {

TEST(WorkerPool, AWorkerFitsIfItHostsTheProviderAndHasAllLabels) {
  Worker worker;
  worker.providers = {"command"};
  worker.labels = {"gpu", "disk"};

  EXPECT_TRUE(WorkerPool::Fits(worker, {.provider = "command", .labels = {"gpu", "disk"}}));
  EXPECT_TRUE(WorkerPool::Fits(worker, {.provider = "", .labels = {}}));
  EXPECT_FALSE(WorkerPool::Fits(worker, {.provider = "claude", .labels = {}}));
  EXPECT_FALSE(WorkerPool::Fits(worker, {.provider = "command", .labels = {"gpu", "tpu"}}));
}

// The rule as its header says it, by a look at everyone.
const Worker* PickByLooking(const WorkerPool& pool, const Requirement& requirement,
                            const std::string& never, const std::string& avoid, bool slot) {
  const Worker* best = nullptr;
  const auto room = [](const Worker& w) { return w.slots > w.used ? w.slots - w.used : 0; };
  for (const auto& [name, worker] : pool.all()) {
    if (worker.peer.empty() || worker.draining || name == never) continue;
    if (!WorkerPool::Fits(worker, requirement) || (slot && room(worker) == 0)) continue;
    if (best == nullptr || (best->name == avoid && name != avoid) ||
        ((best->name == avoid) == (name == avoid) && room(worker) > room(*best))) {
      best = &worker;
    }
  }
  return best;
}

TEST(WorkerPool, PicksAsItsRuleSaysWhateverHasHappened) {
  WorkerPool pool;
  Random random(7);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random.Next() % n); };
  const auto any_name = [&] { return "w" + std::to_string(below(12)); };
  std::uint32_t attempts = 0;
  std::uint32_t picked = 0;

  for (int step = 0; step < 20'000; ++step) {
    Worker& worker = pool.Know(any_name());
    switch (below(10)) {
      case 0:
        worker.slots = below(5);
        worker.labels = {below(2) == 0 ? "gpu" : "disk"};
        worker.draining = below(4) == 0;
        pool.Connect(worker, "peer of " + worker.name);
        break;
      case 1:
        if (below(3) == 0) pool.Disconnect(worker);
        break;
      case 2:
        pool.Drain(worker, below(3) == 0);
        break;
      case 3:
        if (below(3) == 0) {
          Worker gone = pool.Forget(std::string(worker.name));
          while (!gone.held.empty()) pool.Release(gone, AttemptId(*gone.held.begin()));
        }
        break;
      case 4:
      case 5:
      case 6:
        if (!worker.held.empty()) pool.Release(worker, AttemptId(*worker.held.begin()));
        break;
      default:
        pool.Hold(worker, {RunId{1}, below(4) == 0 ? Subject::Hook : Subject::Task, ++attempts, 1});
    }
    const Requirement requirement{.labels = below(2) == 0 ? std::vector<std::string>{"gpu"}
                                                          : std::vector<std::string>{}};
    const std::string never = below(2) == 0 ? any_name() : "";
    const std::string avoid = any_name();
    const bool slot = below(3) != 0;
    const Worker* best =
        pool.Pick(requirement, never.empty() ? std::vector<std::string>{} : std::vector{never},
                  {avoid}, slot);
    ASSERT_EQ(best, PickByLooking(pool, requirement, never, avoid, slot)) << "step " << step;
    picked += best != nullptr ? 1 : 0;
  }

  EXPECT_GT(picked, 5'000U);
}

}  // namespace
}  // namespace troupe
