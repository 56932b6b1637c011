// What the coordinator believes is what a restart would find: memory equals a reload of the store.
#include <fmt/format.h>

#include <algorithm>

#include "coordinator/resume.h"
#include "simulation/checkers.h"

namespace troupe {
namespace {

// Times that are no record's business until something else writes the record.
TaskRecord Comparable(TaskRecord record) {
  record.fingerprint = 0;
  record.ready_since = Instant{};
  return record;
}

std::string Describe(const TaskRecord& r) {
  return fmt::format(
      "{} attempts {} step {} failures {} losses {} rate limits {} waited {} due {} worker {} "
      "failure {} dead {} joins {} iterations {} first {} started {} ended {} unfit {} failed {} "
      "notice {} message {}",
      Name(r.state), r.attempts, r.step, r.extra->step_failures, r.extra->losses,
      r.extra->rate_limits, r.extra->rate_limit_waited.count(), r.due.time_since_epoch().count(),
      r.worker, r.failure ? Name(*r.failure) : "none", r.dead_letter, r.joins, r.iterations,
      r.first_iteration, r.first_started.time_since_epoch().count(),
      r.ended.time_since_epoch().count(), r.extra->unfit_workers.size(),
      r.extra->failed_workers.size(), r.extra->notice, r.extra->message);
}

}  // namespace

void Checkers::CheckMemory(const Coordinator& coordinator, const CheckpointStore& store,
                           Instant now) {
  Coordinator fresh({}, RunId{1'000});
  Effects effects;
  for (const auto& [id, run] : ledger_.runs()) {
    const LiveRun* memory = coordinator.Find(id);
    if (IsFinal(run.run.state)) {
      if (memory != nullptr) {
        judge_.Complain("memory", fmt::format("run {} has ended only on the disk", id.value));
      }
      continue;
    }
    if (memory == nullptr) {
      judge_.Complain("memory", fmt::format("run {} is not in memory", id.value));
      continue;
    }
    Resumable saved{.checkpoint = *store.Load(id), .plan = run.plan};
    saved.outcomes = *LoadOutcomes(store, saved.checkpoint, *saved.plan);
    fresh.Restore(saved, false, now, effects);
    CompareRuns(*memory, *fresh.Find(id), now);
  }
}

void Checkers::CompareRuns(const LiveRun& memory, const LiveRun& loaded, Instant now) {
  const std::uint64_t id = memory.record().id.value;
  const auto differ = [&](const std::string& what) {
    judge_.Complain("memory", fmt::format("run {} after a reload: {}", id, what));
  };
  std::map<std::uint32_t, const TaskRecord*> mine;
  std::map<std::uint32_t, std::uint32_t> index_of;
  for (std::uint32_t i = 0; i < memory.size(); ++i) {
    mine[memory.Record(i).task.value] = &memory.Record(i);
    index_of[memory.Record(i).task.value] = i;
  }
  for (std::uint32_t i = 0; i < loaded.size(); ++i) {
    const TaskRecord& theirs = loaded.Record(i);
    const auto it = mine.find(theirs.task.value);
    if (it == mine.end()) {
      if (theirs.state != TaskState::Ready && theirs.state != TaskState::Pending) {
        differ(fmt::format("{} was not in memory", loaded.FullId(i)));
      }
      continue;
    }
    const std::uint32_t index = index_of[theirs.task.value];
    TaskRecord a = Comparable(*it->second);
    TaskRecord b = Comparable(theirs);
    // Iterations are made as places get free.
    const auto waits = [](TaskState s) { return s == TaskState::Ready || s == TaskState::Pending; };
    // A retry that has become due is ready with the first tick.
    if (a.state == TaskState::Ready && b.state == TaskState::Waiting && b.due <= now) {
      b.state = TaskState::Ready;
      b.due = Instant{};
    }
    if (loaded.IsIteration(i) && waits(a.state) && waits(b.state)) a.state = b.state;
    if (!(a == b)) {
      differ(fmt::format("{}\n    memory: {}\n    disk:   {}", loaded.FullId(i), Describe(a),
                         Describe(b)));
    }
    mine.erase(it);
    const TaskResult* x = memory.ResultOf(index);
    const TaskResult* y = loaded.ResultOf(i);
    const bool same =
        (x == nullptr) == (y == nullptr) &&
        (x == nullptr || (x->output == y->output && x->result_json == y->result_json));
    if (!same) differ("the result of " + loaded.FullId(i));
  }
  for (const auto& [task, record] : mine) {
    if (record->state != TaskState::Ready && record->state != TaskState::Pending) {
      differ(fmt::format("{} was lost", memory.FullId(index_of[task])));
    }
  }
  RunRecord a = memory.record();
  RunRecord b = loaded.record();
  if (memory.plan().retry_budget == kNone) a.retries_used = b.retries_used;
  if (!(a == b)) {
    differ(fmt::format(
        "the run: phase {} and {}, failures {} and {}, settled {} and {}, tasks {} "
        "and {}, retries {} and {}, state {} and {}",
        static_cast<int>(a.phase), static_cast<int>(b.phase), a.failures, b.failures, a.settled,
        b.settled, a.tasks, b.tasks, a.retries_used, b.retries_used, a.state_json, b.state_json));
  }
  std::vector<HookRecord> hooks = memory.Hooks();
  std::vector<HookRecord> again = loaded.Hooks();
  for (std::vector<HookRecord>* list : {&hooks, &again}) {
    for (HookRecord& hook : *list) hook.ready_since = Instant{};
  }
  if (hooks != again) {
    differ(fmt::format("hooks: {} and {} executions", hooks.size(), again.size()));
  }
  for (std::uint32_t agent = 0; agent < memory.plan().agents.size(); ++agent) {
    if (memory.ShutUntil(agent, now) != loaded.ShutUntil(agent, now) ||
        memory.BreakerOpen(agent) != loaded.BreakerOpen(agent) ||
        memory.HasProbe(agent) != loaded.HasProbe(agent)) {
      differ("agent " + memory.plan().agents[agent].name + " is shut otherwise");
    }
  }
  if (memory.running() != loaded.running() || memory.Busy() != loaded.Busy()) {
    differ(fmt::format("running {} and {}, busy {} and {}", memory.running(), loaded.running(),
                       memory.Busy(), loaded.Busy()));
  }
}

}  // namespace troupe
