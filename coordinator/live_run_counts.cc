#include <algorithm>
#include <functional>
#include <numeric>

#include "coordinator/live_run.h"

namespace troupe {

LiveRun::StateCounts LiveRun::CountTasks() const {
  StateCounts counts = settled_as_;
  const auto at = [&](TaskState state) -> std::uint32_t& {
    return counts[static_cast<std::size_t>(state)];
  };
  for (const ReadyGroup& group : groups_) {
    at(TaskState::Ready) += static_cast<std::uint32_t>(group.tasks.size());
  }
  at(TaskState::Waiting) = static_cast<std::uint32_t>(due_tasks_.size());
  at(TaskState::Running) = running_;
  at(TaskState::Pending) = std::accumulate(counts.begin(), counts.end(), size(), std::minus<>());
  return counts;
}

LiveRun::ShutCounts LiveRun::CountShut(Instant now) const {
  ShutCounts counts;
  for (const auto& [agent, live] : gates_) {
    const AgentGate& gate = live.gate;
    const bool shut = gate.ShutUntil(now) > now;
    counts.half_open += gate.breaker_open() && !shut;
    counts.open += gate.breaker_open() && shut;
    counts.rate_limited += !gate.breaker_open() && shut;
  }
  return counts;
}

}  // namespace troupe
