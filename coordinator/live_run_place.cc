// What starts where: ready tasks and hooks meet workers with free slots.
#include <fmt/format.h>

#include "coordinator/live_run.h"
#include "coordinator/make_spec.h"

namespace troupe {

void LiveRun::Place(Turn& turn) {
  if (dormant_ || record_.state != RunState::Running) return;
  for (bool moved = true; moved;) {
    moved = false;
    const std::set<std::uint32_t> hooks = ready_hooks_;
    for (std::uint32_t execution : hooks) moved |= PlaceHook(execution, turn);
    while (TakesTasks() && PlaceNextTask(turn)) moved = true;
    NextPhase(turn);
  }
}

bool LiveRun::PlaceHook(std::uint32_t execution, Turn& turn) {
  LiveHook& hook = hooks_[execution];
  HookRecord& r = hook.record;
  Worker* worker = turn.pool.Pick({.provider = "", .labels = hook.hook->runs_on}, {}, {}, false);
  if (worker == nullptr) return false;

  const AttemptId id{record_.id, Subject::Hook, execution, r.attempts + 1};
  const TaskValues values(*plan_, record_.id, inputs_, *this, nullptr, 0);
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
  worker->outbox.push_back(*std::move(spec));
  turn.effects.tell.push_back(std::move(event));
  return true;
}

Worker* LiveRun::WorkerFor(std::uint32_t task, const ReadyGroup& group, Turn& turn) {
  const TaskRecord& r = tasks_[task].record;
  static const std::vector<std::string> kNobody;
  const auto& avoid = plan_->tasks[task].rules->prefer_other_worker ? r.failed_workers : kNobody;
  return turn.pool.Pick(group.requirement, r.unfit_workers, avoid, true);
}

// Starts the first ready task that can start: lowest priority, then place in the file.
bool LiveRun::PlaceNextTask(Turn& turn) {
  if (running_ >= plan_->max_parallel) return false;
  std::pair<std::uint32_t, std::uint32_t> best{kNone, kNone};
  Worker* best_worker = nullptr;
  for (const ReadyGroup& group : groups_) {
    if (group.tasks.empty() || (best_worker != nullptr && best < *group.tasks.begin())) continue;
    if (group.agent != kNone) {
      const AgentState& agent = agents_[group.agent];
      if (agent.running >= plan_->agents[group.agent].max_concurrent) continue;
      if (agent.shut_until > turn.now) continue;
    }
    for (const auto& key : group.tasks) {
      if (Worker* worker = WorkerFor(key.second, group, turn)) {
        best = key;
        best_worker = worker;
        break;
      }
      if (tasks_[key.second].record.unfit_workers.empty()) break;  // So for the others as well.
    }
  }
  if (best_worker == nullptr) return false;
  StartTask(best.second, *best_worker, turn);
  return true;
}

void LiveRun::StartTask(std::uint32_t task, Worker& worker, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  const PlannedTask& planned = plan_->tasks[task];
  const std::uint32_t agent = AgentOf(task);
  const AttemptId id{record_.id, Subject::Task, r.task.value, r.attempts + 1};
  const TaskValues values(*plan_, record_.id, inputs_, *this, &planned, id.number);
  Result<AttemptSpec> spec = MakeTaskSpec(*plan_, record_, task, agent, r, id, values);
  LeaveReady(task);
  if (!spec) {  // No attempt was made.
    r.state = TaskState::Pending;
    r.message = spec.error().message;
    Setback(task,
            spec.error().code == ErrorCode::Unresolved ? FailureClass::Unresolved
                                                       : FailureClass::InvalidRequest,
            {}, turn);
    return;
  }
  spec->token = turn.random.Uuid();
  r.attempts = id.number;
  ++r.step_attempts;
  r.state = TaskState::Running;
  r.worker = worker.name;
  r.attempt_started = turn.now;
  if (r.first_started == Instant{}) r.first_started = turn.now;
  ++running_;
  ++agents_[agent].running;
  MarkTask(task);
  turn.pool.Hold(worker, id);

  RunEvent event = Say(RunEvent::Kind::TaskStarted, turn);
  event.task = planned.id;
  event.attempt = id.number;
  event.agent = spec->agent;
  event.worker = worker.name;
  worker.outbox.push_back(*std::move(spec));
  turn.effects.tell.push_back(std::move(event));
}

}  // namespace troupe
