// What starts where: ready tasks and hooks meet workers with free slots.
#include <fmt/format.h>

#include <algorithm>

#include "coordinator/live_run.h"
#include "coordinator/make_spec.h"

namespace troupe {

bool LiveRun::Place(std::uint32_t most, Turn& turn) {
  if (dormant_ || record_.state != RunState::Running) return false;
  for (bool moved = true; moved;) {
    moved = false;
    const std::set<std::uint32_t> hooks = ready_hooks_;
    for (std::uint32_t execution : hooks) moved |= PlaceHook(execution, turn);
    while (TakesTasks()) {
      if (most == 0) return true;
      if (!PlaceNextTask(turn)) break;
      --most;
      moved = true;
    }
    NextPhase(turn);
  }
  return false;
}

bool LiveRun::PlaceHook(std::uint32_t execution, Turn& turn) {
  LiveHook& hook = hooks_[execution];
  HookRecord& r = hook.record;
  Worker* worker = turn.pool.Pick({.provider = "", .labels = hook.hook->runs_on}, {}, {}, false);
  if (worker == nullptr) return false;

  const AttemptId id{record_.id, Subject::Hook, execution, r.attempts + 1};
  const TextOwner owner;
  const TaskValues values(record_.id, inputs_, *this, owner);
  Result<AttemptSpec> spec = MakeHookSpec(*hook.hook, record_, r, id, values, HookEnvironment(r));
  if (!spec) {
    r.message = spec.error().message;
    HookEnded(execution, HookState::Failed, turn);
    return true;
  }
  spec->token = turn.random.Uuid();
  r.attempts = id.number;
  r.state = HookState::Running;
  r.worker = worker->name;
  r.started = turn.now;
  ready_hooks_.erase(execution);
  MarkHook(execution);
  turn.pool.Hold(*worker, id);
  RunEvent event = Say(RunEvent::Kind::HookStarted, turn);
  event.task = spec->task;
  event.attempt = id.number;
  event.stage = r.stage;
  event.worker = worker->name;
  event.message = r.description.empty() ? r.command : r.description;
  turn.pool.Order(*worker, std::move(*spec));
  turn.effects.tell.push_back(std::move(event));
  return true;
}

Worker* LiveRun::WorkerFor(std::uint32_t task, const ReadyGroup& group, Turn& turn) {
  const TaskRecord& r = tasks_[task].record;
  static const std::vector<std::string> kNobody;
  const auto& avoid = Planned(task).rules->prefer_other_worker ? r.extra->failed_workers : kNobody;
  return turn.pool.Pick(group.requirement, r.extra->unfit_workers, avoid, true);
}

// May another attempt start with the group's agent?
bool LiveRun::AgentTakes(const ReadyGroup& group, Instant now) const {
  if (group.agent == kNone) return true;
  if (agent_running_[group.agent] >= plan_->agents[group.agent].max_concurrent) return false;
  const auto gate = gates_.find(group.agent);
  return gate == gates_.end() || gate->second.gate.Open(now);
}

// Starts the first ready task that can start: lowest priority, then place in the file.
bool LiveRun::PlaceNextTask(Turn& turn) {
  if (running_ >= plan_->max_parallel) return false;
  const ReadyPlace* best = nullptr;
  Worker* best_worker = nullptr;
  for (const ReadyGroup& group : groups_) {
    if (group.tasks.empty() || (best != nullptr && *best < *group.tasks.begin())) continue;
    if (!AgentTakes(group, turn.now)) continue;
    for (const ReadyPlace& place : group.tasks) {
      if (best != nullptr && *best < place) break;
      if (Worker* worker = WorkerFor(place.task, group, turn)) {
        best = &place;
        best_worker = worker;
        break;
      }
      // None that it may not use: so for the others as well.
      if (tasks_[place.task].record.extra->unfit_workers.empty()) break;
    }
  }
  if (best_worker == nullptr) return false;
  StartTask(best->task, *best_worker, turn);
  return true;
}

// The order for the next attempt at the task.
Result<AttemptSpec> LiveRun::MakeSpec(std::uint32_t task, const AttemptId& id) const {
  const TextOwner owner = OwnerOf(task, id.number);
  const TaskValues values(record_.id, inputs_, *this, owner);
  if (IsReader(task)) return MakeCollectionSpec(*plan_, record_, Planned(task), id, values);
  return MakeTaskSpec(*plan_, record_, owner, AgentOf(task), tasks_[task].record, id, values);
}

void LiveRun::StartTask(std::uint32_t task, Worker& worker, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  const std::uint32_t agent = AgentOf(task);
  const AttemptId id{record_.id, Subject::Task, r.task.value, r.attempts + 1};
  Result<AttemptSpec> spec = MakeSpec(task, id);
  LeaveReady(task);
  if (!spec) {  // No attempt was made.
    r.state = TaskState::Pending;
    r.extra.Change().message = spec.error().message;
    Setback(task,
            spec.error().code == ErrorCode::Unresolved ? FailureClass::Unresolved
                                                       : FailureClass::InvalidRequest,
            {}, turn);
    return;
  }
  spec->token = turn.random.Uuid();
  r.attempts = id.number;
  r.attempts_by_step.Increment(r.step);
  r.state = TaskState::Running;
  r.worker = worker.name;
  r.attempt_started = turn.now;
  if (r.first_started == Instant{}) r.first_started = turn.now;
  ++running_;
  if (agent != kNone) {
    ++agent_running_[agent];
    const auto gate = gates_.find(agent);
    if (gate != gates_.end() && gate->second.gate.OnStarted(r.task, id.number, turn.now)) {
      gate->second.dirty = true;
    }
  }
  MarkTask(task);
  turn.pool.Hold(worker, id);
  if (IsIteration(task)) MakeIterations(tasks_[task].planned, turn);

  RunEvent event = Say(RunEvent::Kind::TaskStarted, turn);
  event.task = spec->task;
  event.attempt = id.number;
  event.agent = spec->agent;
  event.worker = worker.name;
  turn.pool.Order(worker, std::move(*spec));
  turn.effects.tell.push_back(std::move(event));
}

}  // namespace troupe
