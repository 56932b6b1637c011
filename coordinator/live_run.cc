#include "coordinator/live_run.h"

#include <fmt/format.h>

#include <algorithm>

namespace troupe {

LiveRun::LiveRun(RunRecord record, std::shared_ptr<const Plan> plan)
    : record_(std::move(record)),
      plan_(std::move(plan)),
      inputs_(JsonMembers(record_.inputs_json)),
      graph_(*plan_) {
  for (std::uint32_t i = 0; i < record_.slots.size(); ++i) index_of_[record_.slots[i]] = i;
  tasks_.resize(plan_->tasks.size());
  for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
    tasks_[i].record.run = record_.id;
    tasks_[i].record.task = IdOf(i);
  }
  for (const Stage& stage : plan_->stages) {
    stages_.push_back({.unsettled = static_cast<std::uint32_t>(stage.tasks.size())});
  }
}

std::uint32_t LiveRun::IndexOf(TaskId id) const {
  if (record_.slots.empty()) return id.value < tasks_.size() ? id.value : kNone;
  const auto it = index_of_.find(id.value);
  return it == index_of_.end() ? kNone : it->second;
}

TaskId LiveRun::IdOf(std::uint32_t task) const {
  return TaskId{record_.slots.empty() ? task : record_.slots[task]};
}

const TaskResult* LiveRun::ResultOf(std::uint32_t task) const {
  const auto it = results_.find(task);
  return it == results_.end() ? nullptr : &it->second;
}

Instant LiveRun::ShutUntil(std::uint32_t agent) const {
  const auto it = agents_.find(agent);
  return it == agents_.end() ? Instant{} : it->second.shut_until;
}

std::uint32_t LiveRun::AgentRunning(std::uint32_t agent) const {
  const auto it = agents_.find(agent);
  return it == agents_.end() ? 0 : it->second.running;
}

const std::vector<HookRecord> LiveRun::Hooks() const {
  std::vector<HookRecord> records;
  for (const LiveHook& hook : hooks_) records.push_back(hook.record);
  return records;
}

RunEvent LiveRun::Say(RunEvent::Kind kind, const Turn& turn) const {
  RunEvent event;
  event.kind = kind;
  event.at = turn.now;
  event.run = record_.id;
  return event;
}

void LiveRun::MarkTask(std::uint32_t task) {
  if (tasks_[task].dirty) return;
  tasks_[task].dirty = true;
  dirty_tasks_.push_back(task);
}

void LiveRun::MarkHook(std::uint32_t execution) {
  if (hooks_[execution].dirty) return;
  hooks_[execution].dirty = true;
  dirty_hooks_.push_back(execution);
}

void LiveRun::SaveChanges(Turn& turn) {
  std::sort(dirty_tasks_.begin(), dirty_tasks_.end());
  for (std::uint32_t task : dirty_tasks_) {
    tasks_[task].dirty = false;
    tasks_[task].record.fingerprint = plan_->tasks[task].fingerprint;
    turn.effects.save.tasks.push_back(tasks_[task].record);
  }
  dirty_tasks_.clear();
  for (std::uint32_t execution : dirty_hooks_) {
    hooks_[execution].dirty = false;
    turn.effects.save.hooks.push_back(hooks_[execution].record);
  }
  dirty_hooks_.clear();
  if (run_dirty_) turn.effects.save.runs.push_back(record_);
  run_dirty_ = false;
}

void LiveRun::Begin(Turn& turn) {
  record_.started = turn.now;
  record_.tasks = static_cast<std::uint32_t>(tasks_.size());
  run_dirty_ = true;
  turn.effects.tell.push_back(Say(RunEvent::Kind::RunStarted, turn));
  StartList(HookList::PreWorkflow, kNone, turn);
  NextPhase(turn);
}

// Everything that the phase has to do is done.
bool LiveRun::PhaseDone() const {
  const bool lists_done =
      std::all_of(lists_.begin(), lists_.end(), [](const ListProgress& p) { return p.done; });
  switch (record_.phase) {
    case RunPhase::PreHooks:
      return lists_done;  // Async hooks go on beside the tasks.
    case RunPhase::Tasks:
      return record_.settled == tasks_.size() && lists_done && hooks_open_ == 0;
    case RunPhase::ErrorHooks:
    case RunPhase::PostHooks:
      return lists_done && hooks_open_ == 0;
    case RunPhase::Ended:
      return false;
  }
  return false;
}

void LiveRun::NextPhase(Turn& turn) {
  while (PhaseDone()) {
    switch (record_.phase) {
      case RunPhase::PreHooks:
        EnterPhase(RunPhase::Tasks, turn);
        break;
      case RunPhase::Tasks:
        EnterPhase(record_.failures > 0 && !record_.cancelling ? RunPhase::ErrorHooks
                                                               : RunPhase::PostHooks,
                   turn);
        break;
      case RunPhase::ErrorHooks:
        EnterPhase(RunPhase::PostHooks, turn);
        break;
      case RunPhase::PostHooks:
      case RunPhase::Ended:
        End(turn);
        return;
    }
  }
}

void LiveRun::EnterPhase(RunPhase phase, Turn& turn) {
  record_.phase = phase;
  run_dirty_ = true;
  lists_.clear();
  switch (phase) {
    case RunPhase::Tasks:
      Apply(graph_.Roots(), turn);
      if (record_.failures > 0 || record_.cancelling) CancelUnstarted(turn);
      break;
    case RunPhase::ErrorHooks:
      StartList(HookList::OnError, kNone, turn);
      break;
    case RunPhase::PostHooks:
      StartList(HookList::PostWorkflow, kNone, turn);
      break;
    case RunPhase::PreHooks:
    case RunPhase::Ended:
      break;
  }
}

void LiveRun::End(Turn& turn) {
  record_.phase = RunPhase::Ended;
  record_.ended = turn.now;
  record_.state = record_.cancelling     ? RunState::Cancelled
                  : record_.failures > 0 ? RunState::Failed
                                         : RunState::Succeeded;
  run_dirty_ = true;
  if (record_.state == RunState::Succeeded && !plan_->outputs.empty()) {
    std::vector<std::pair<std::string, std::string>> outputs;
    for (const OutputDeclaration& output : plan_->outputs) {
      const TaskResult* result = output.task == kNone ? nullptr : ResultOf(output.task);
      outputs.emplace_back(output.name, result == nullptr ? "" : result->output);
    }
    record_.outputs_json = JsonObject(outputs);
  }
  RunEvent event = Say(RunEvent::Kind::RunFinished, turn);
  event.status = std::string(Name(record_.state));
  event.duration = record_.ended - record_.started;
  event.message = record_.first_failure;
  turn.effects.tell.push_back(std::move(event));
}

void LiveRun::NoteFailure(const std::string& text, const std::string& stage) {
  if (record_.failures++ == 0) {
    record_.first_failure = text;
    record_.first_failure_stage = stage;
  }
  run_dirty_ = true;
}

void LiveRun::Pause(bool stop_running, Turn& turn) {
  if (ended()) return;
  if (record_.state == RunState::Running) {
    record_.state = RunState::Paused;
    run_dirty_ = true;
    turn.effects.tell.push_back(Say(RunEvent::Kind::RunPaused, turn));
  }
  if (stop_running) StopRunning(turn);
}

void LiveRun::Resume(Turn& turn) {
  if (record_.state != RunState::Paused) return;
  record_.state = RunState::Running;
  run_dirty_ = true;
  turn.effects.tell.push_back(Say(RunEvent::Kind::RunResumed, turn));
}

void LiveRun::Cancel(Turn& turn) {
  if (ended() || record_.cancelling) return;
  record_.cancelling = true;
  record_.state = RunState::Running;  // What is left to do is done also if it was paused.
  run_dirty_ = true;
  StopRunning(turn);
  CancelHooks(turn);
  if (record_.phase != RunPhase::PreHooks) CancelUnstarted(turn);
  NextPhase(turn);
}

// Orders all that runs to end; the outcomes come as usual. post_workflow runs also when cancelled.
void LiveRun::StopRunning(Turn& turn) {
  std::map<std::string, Stop> stops;
  for (const LiveTask& task : tasks_) {
    const TaskRecord& r = task.record;
    if (r.state != TaskState::Running) continue;
    stops[r.worker].ids.push_back({record_.id, Subject::Task, r.task.value, r.attempts});
  }
  for (const LiveHook& hook : hooks_) {
    const HookRecord& r = hook.record;
    if (r.state != HookState::Running) continue;
    if (record_.cancelling && r.list == static_cast<std::uint8_t>(HookList::PostWorkflow)) continue;
    stops[r.worker].ids.push_back({record_.id, Subject::Hook, r.execution, r.attempts});
  }
  for (auto& [name, stop] : stops) {
    const Worker* worker = turn.pool.Find(name);
    if (worker == nullptr || worker->peer.empty()) continue;
    turn.effects.send.push_back({worker->peer, std::move(stop)});
  }
}

void LiveRun::CancelUnstarted(Turn& turn) {
  for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
    const TaskState state = tasks_[i].record.state;
    if (IsSettled(state) || state == TaskState::Running) continue;
    LeaveReady(i);
    due_tasks_.erase({tasks_[i].record.due, i});
    Settle(i, TaskState::Cancelled, turn);
  }
}

void LiveRun::Restore(const Checkpoint& checkpoint, const std::vector<AttemptRecord>& outcomes,
                      bool dormant, Turn& turn) {
  dormant_ = dormant;
  restoring_ = true;
  record_.settled = 0;
  for (const TaskRecord& saved : checkpoint.tasks) {
    const std::uint32_t task = IndexOf(saved.task);
    if (task != kNone) tasks_[task].record = saved;
  }
  for (const AttemptRecord& attempt : outcomes) {
    const std::uint32_t task = IndexOf(TaskId{attempt.outcome.id.index});
    if (task != kNone) KeepResult(task, attempt.outcome);
  }
  RestoreTasks(turn);
  RestoreHooks(checkpoint, turn);
  if (record_.phase == RunPhase::Tasks) RestoreGraph(turn);
  restoring_ = false;
  if (!dormant) turn.effects.tell.push_back(Say(RunEvent::Kind::RunResumed, turn));
  NextPhase(turn);
}

// What was running is expected from its worker, which is made known so that it is waited for.
void LiveRun::RestoreTasks(Turn& turn) {
  for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
    const TaskRecord& r = tasks_[i].record;
    if (IsSettled(r.state)) {
      ++record_.settled;
      if (const std::uint32_t stage = plan_->tasks[i].stage; stage != kNone) {
        StageTaskSettled(stage, r.state, turn);
      }
    } else if (r.state == TaskState::Running) {
      ++running_;
      ++agents_[AgentOf(i)].running;
      turn.pool.Hold(turn.pool.Know(r.worker),
                     {record_.id, Subject::Task, r.task.value, r.attempts});
    } else if (r.state == TaskState::Waiting) {
      due_tasks_.insert({r.due, i});
      if (r.failure == FailureClass::RateLimited) {
        Instant& until = agents_[AgentOf(i)].shut_until;
        until = std::max(until, r.due);
      }
    }
  }
}

// Counts the graph down by what is settled; what then waits for nothing is ready.
void LiveRun::RestoreGraph(Turn& turn) {
  Apply(graph_.Roots(), turn);
  for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
    const TaskState state = tasks_[i].record.state;
    if (state == TaskState::Completed || state == TaskState::Skipped) {
      Apply(graph_.Pass({Dependency::On::Task, i}), turn);
    } else if (state == TaskState::Failed) {
      Apply(graph_.Fail(i), turn);
    }
  }
  if (record_.failures > 0 && record_.aborting) CancelUnstarted(turn);
  if (record_.cancelling) CancelUnstarted(turn);
}

void LiveRun::OnTime(Turn& turn) {
  if (dormant_) return;
  while (!due_tasks_.empty() && due_tasks_.begin()->first <= turn.now) {
    const std::uint32_t task = due_tasks_.begin()->second;
    due_tasks_.erase(due_tasks_.begin());
    MakeReady(task, turn);
  }
  while (!queue_deadlines_.empty() && queue_deadlines_.begin()->first <= turn.now) {
    const std::uint32_t task = queue_deadlines_.begin()->second;
    LeaveReady(task);
    tasks_[task].record.message = "no worker took it in time";
    Setback(task, FailureClass::QueueTimeout, {}, turn);
  }
  for (auto& [agent, state] : agents_) {
    if (state.shut_until <= turn.now) state.shut_until = Instant{};
  }
  const std::set<std::uint32_t> hooks = ready_hooks_;
  for (std::uint32_t execution : hooks) {
    LiveHook& hook = hooks_[execution];
    if (hook.record.ready_since + hook.hook->timeout > turn.now) continue;
    hook.record.message = "no worker took it in time";
    HookEnded(execution, HookState::Failed, turn);
  }
  NextPhase(turn);
}

Instant LiveRun::NextTime() const {
  Instant next = kNever;
  if (ended() || dormant_ || record_.state == RunState::Paused) return next;
  if (!due_tasks_.empty()) next = std::min(next, due_tasks_.begin()->first);
  if (!queue_deadlines_.empty()) next = std::min(next, queue_deadlines_.begin()->first);
  for (std::uint32_t execution : ready_hooks_) {
    const LiveHook& hook = hooks_[execution];
    next = std::min(next, hook.record.ready_since + hook.hook->timeout);
  }
  for (const auto& [agent, state] : agents_) {
    if (state.shut_until != Instant{}) next = std::min(next, state.shut_until);
  }
  return next;
}

}  // namespace troupe
