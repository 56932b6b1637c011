#include "coordinator/tally.h"

#include <algorithm>
#include <numeric>

namespace troupe {
namespace {

double InSeconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

void Count(CountsByClass& counts, std::optional<FailureClass> failure) {
  if (failure) ++counts[static_cast<std::size_t>(*failure)];
}

std::size_t RecordsIn(const Batch& batch) {
  return batch.runs.size() + batch.texts.size() + batch.tasks.size() + batch.attempts.size() +
         batch.hooks.size() + batch.agents.size() + batch.deleted_runs.size();
}

}  // namespace

void Distribution::Add(double value, std::uint64_t times) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  counts_[static_cast<std::size_t>(bound - bounds_.begin())] += times;
  sum_ += value * static_cast<double>(times);
}

std::uint64_t Distribution::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

AgentTally& Tally::Of(const std::string& agent) {
  const auto it = agents_.find(agent);
  if (it != agents_.end()) return it->second;
  const bool full = agents_.size() >= kAgentsMax;
  return agents_[full ? std::string(kOtherAgents) : agent];
}

void Tally::OnCommit(const Batch& batch, Duration took) {
  commit_seconds.Add(InSeconds(took));
  commit_records.Add(static_cast<double>(RecordsIn(batch)));
  for (const AttemptRecord& attempt : batch.attempts) {
    if (!attempt.accepted) {
      ++stale_outcomes;
      continue;
    }
    if (attempt.outcome.id.subject != Subject::Task) continue;
    AgentTally& agent = Of(attempt.agent);
    if (attempt.outcome.failure) {
      Count(agent.failed, attempt.outcome.failure);
    } else {
      ++agent.succeeded;
    }
  }
  // A running task's record may be written again: it has left the queue once.
  Instant latest = started_until_;
  for (const TaskRecord& task : batch.tasks) {
    if (task.state != TaskState::Running || task.attempt_started <= started_until_) continue;
    latest = std::max(latest, task.attempt_started);
    queue_seconds.Add(InSeconds(task.attempt_started - task.ready_since));
  }
  started_until_ = latest;
}

void Tally::OnEvent(const RunEvent& event) {
  using Kind = RunEvent::Kind;
  switch (event.kind) {
    case Kind::RunStarted:
      ++runs_started;
      break;
    case Kind::RunFinished:
      ++runs_finished_[event.status];
      break;
    case Kind::HookFinished:
      ++hooks_finished_[event.status];
      break;
    case Kind::TaskRetrying:
      Count(retries_, event.failure);
      break;
    case Kind::TaskFallback:
      ++Of(event.agent).taken_over;
      break;
    case Kind::TaskDeadLettered:
      Count(dead_letters_, event.failure);
      break;
    case Kind::AgentShut:
      ++Of(event.agent).shut;
      break;
    case Kind::WorkerJoined:
      ++workers_joined;
      break;
    case Kind::WorkerLost:
      ++workers_lost;
      break;
    case Kind::RunResumed:
    case Kind::RunPaused:
    case Kind::HookStarted:
    case Kind::StageCompleted:
    case Kind::TaskStarted:
    case Kind::TaskCompleted:
    case Kind::TaskFailed:
    case Kind::TaskSkipped:
    case Kind::TaskBlocked:
    case Kind::TaskCancelled:
      break;
  }
}

void Tally::OnDispatch(std::uint64_t attempts, Duration took) {
  dispatched += attempts;
  dispatch_seconds.Add(InSeconds(took), attempts);
}

Gauges GaugesOf(const Coordinator& coordinator, Instant now) {
  Gauges gauges;
  for (const auto& [id, run] : coordinator.runs()) {
    ++(run.record().state == RunState::Paused ? gauges.runs_paused : gauges.runs_running);
    const LiveRun::StateCounts tasks = run.CountTasks();
    for (std::size_t i = 0; i < tasks.size(); ++i) gauges.tasks[i] += tasks[i];
    const LiveRun::ShutCounts shut = run.CountShut(now);
    gauges.breakers_open += shut.open;
    gauges.breakers_half_open += shut.half_open;
    gauges.rate_limited += shut.rate_limited;
  }
  for (const auto& [name, worker] : coordinator.pool().all()) {
    if (worker.peer.empty()) {
      ++gauges.workers_away;
      continue;
    }
    ++(worker.draining ? gauges.workers_draining : gauges.workers_connected);
    gauges.slots += worker.slots;
    gauges.slots_used += worker.used;
  }
  return gauges;
}

}  // namespace troupe
