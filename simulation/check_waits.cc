// Nothing waits without a cause, and every run ends.
#include <fmt/format.h>

#include <algorithm>

#include "coordinator/explain.h"
#include "simulation/checkers.h"

namespace troupe {

// What `why` says of a run that stands still.
void Checkers::DoesNotEnd(const Coordinator* coordinator, Instant now) {
  std::string text = "without faults";
  for (const auto& [id, run] : ledger_.runs()) {
    if (IsFinal(run.run.state)) continue;
    text += fmt::format(", run {} does not end: it is {}, in phase {}", id.value,
                        Name(run.run.state), static_cast<int>(run.run.phase));
    const LiveRun* live = coordinator == nullptr ? nullptr : coordinator->Find(id);
    if (live == nullptr) {
      text += "; no coordinator has it";
      continue;
    }
    for (std::uint32_t task : live->InOrder()) {
      if (IsSettled(live->Record(task).state)) continue;
      text += "\n    " + Explain(*live, task, true, now, &coordinator->pool());
    }
    for (const HookRecord& hook : live->Hooks()) {
      if (hook.state != HookState::Ready && hook.state != HookState::Running) continue;
      text += fmt::format("\n    hook execution {} (list {}, item {}) is {}", hook.execution,
                          hook.list, hook.index, Name(hook.state));
    }
  }
  judge_.Complain("ends", std::move(text));
}

void Checkers::OnTurn(const Coordinator& coordinator, const CheckpointStore& store, Instant now,
                      Instant wake_at) {
  if (dice_.OneIn(6)) CheckMemory(coordinator, store, now);
  if (!dice_.OneIn(3)) return;
  for (const auto& [id, run] : ledger_.runs()) {
    if (const LiveRun* live = coordinator.Find(id))
      CheckWaits(*live, coordinator.pool(), now, wake_at);
  }
}

// The turn has placed all that it could: what is ready cannot start, for a cause that `why` names.
bool Checkers::CouldStart(const LiveRun& run, std::uint32_t task, const WorkerPool& pool,
                          Instant now) const {
  if (run.record().state != RunState::Running || run.record().phase != RunPhase::Tasks)
    return false;
  if (run.record().aborting || run.record().cancelling) return false;
  if (run.running() >= run.plan().max_parallel) return false;
  const std::uint32_t agent = run.AgentOf(task);
  if (agent != kNone) {
    if (run.ShutUntil(agent, now) > now || run.HasProbe(agent)) return false;
    if (run.AgentRunning(agent) >= run.plan().agents[agent].max_concurrent) return false;
  }
  const Requirement requirement = run.RequirementOf(task);
  const std::vector<std::string>& unfit = run.Record(task).extra->unfit_workers;
  return std::any_of(pool.all().begin(), pool.all().end(), [&](const auto& entry) {
    const Worker& w = entry.second;
    return !w.peer.empty() && w.session != 0 && !w.draining && w.used < w.slots &&
           WorkerPool::Fits(w, requirement) &&
           std::find(unfit.begin(), unfit.end(), w.name) == unfit.end();
  });
}

void Checkers::CheckWaits(const LiveRun& run, const WorkerPool& pool, Instant now,
                          Instant wake_at) {
  const auto complain = [&](std::uint32_t task, const char* what) {
    judge_.Complain(
        "waits", fmt::format("run {}: {} {}; why says: {}", run.record().id.value, run.FullId(task),
                             what, Explain(run, task, true, now, &pool)));
  };
  bool moving = run.Busy() > 0;
  for (std::uint32_t task = 0; task < run.size(); ++task) {
    const TaskRecord& r = run.Record(task);
    if (r.state == TaskState::Ready || r.state == TaskState::Waiting) moving = true;
    if (r.state == TaskState::Ready && CouldStart(run, task, pool, now)) {
      complain(task, "is ready and could start");
    }
    if (r.state == TaskState::Waiting && r.due < wake_at &&
        run.record().state == RunState::Running) {
      complain(task, "waits for a time at which nobody wakes");
    }
    if (r.state == TaskState::Ready && run.record().phase == RunPhase::Tasks) {
      CheckWhy(run, task, pool, now);
    }
  }
  const std::vector<HookRecord> hooks = run.Hooks();
  for (const HookRecord& hook : hooks) {
    moving = moving || hook.state == HookState::Ready || hook.state == HookState::Running;
  }
  if (!moving && run.record().state == RunState::Running) {
    judge_.Complain("waits", fmt::format("run {} stands still in phase {}", run.record().id.value,
                                         static_cast<int>(run.record().phase)));
  }
}

// What `why` says is true.
void Checkers::CheckWhy(const LiveRun& run, std::uint32_t task, const WorkerPool& pool,
                        Instant now) {
  const std::string text = Explain(run, task, true, now, &pool);
  const Requirement requirement = run.RequirementOf(task);
  const std::vector<std::string>& unfit = run.Record(task).extra->unfit_workers;
  const auto usable = [&](const auto& entry) {
    const Worker& w = entry.second;
    return !w.peer.empty() && w.session != 0 && WorkerPool::Fits(w, requirement);
  };
  const bool fits = std::any_of(pool.all().begin(), pool.all().end(), usable);
  const bool others = std::any_of(pool.all().begin(), pool.all().end(), [&](const auto& entry) {
    return usable(entry) && !entry.second.draining &&
           std::find(unfit.begin(), unfit.end(), entry.first) == unfit.end();
  });
  const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
  const char* wrong = nullptr;
  if ((says("no worker") || says("no connected worker")) && fits) wrong = "there is one";
  if ((says("no other connected worker") || says("draining")) && others) wrong = "there is one";
  if (says("waits for a free slot") && !others) wrong = "there is no such worker";
  if (wrong == nullptr) return;
  judge_.Complain("waits",
                  fmt::format("run {}: why says: {} But {}", run.record().id.value, text, wrong));
}

}  // namespace troupe
