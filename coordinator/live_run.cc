#include "coordinator/live_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"

namespace troupe {

LiveRun::LiveRun(RunRecord record, std::shared_ptr<const Plan> plan)
    : record_(std::move(record)),
      plan_(std::move(plan)),
      inputs_(JsonMembers(record_.inputs_json)),
      state_(record_.state_json.empty() ? inputs_ : JsonMembers(record_.state_json)),
      graph_(*plan_) {
  for (std::uint32_t i = 0; i < record_.slots.size(); ++i) index_of_[record_.slots[i]] = i;
  open_ = static_cast<std::uint32_t>(plan_->tasks.size());
  record_.tasks = 0;
  record_.settled = 0;
  for (std::uint32_t i = 0; i < open_; ++i) {
    LiveTask& task = tasks_.emplace_back();
    task.planned = i;
    task.record.run = record_.id;
    task.record.task = IdOf(i);
    next_id_ = std::max(next_id_, task.record.task.value + 1);
    if (plan_->tasks[i].kind == TaskKind::Parent) {
      task.record.joins = true;
    } else {
      ++record_.tasks;
    }
  }
  for (const Stage& stage : plan_->stages) {
    stages_.push_back({.unsettled = static_cast<std::uint32_t>(stage.tasks.size())});
  }
  agent_running_.assign(plan_->agents.size(), 0);
}

std::uint32_t LiveRun::IndexOf(TaskId id) const {
  const auto planned = static_cast<std::uint32_t>(plan_->tasks.size());
  if (record_.slots.empty() && id.value < planned) return id.value;
  if (const auto it = index_of_.find(id.value); it != index_of_.end()) return it->second;
  auto it = loop_at_.upper_bound(id.value);
  if (it == loop_at_.begin()) return kNone;
  --it;
  return loops_.at(it->second).Made(id.value - it->first);
}

TaskId LiveRun::IdOf(std::uint32_t planned) const {
  return TaskId{record_.slots.empty() ? planned : record_.slots[planned]};
}

std::string LiveRun::FullId(std::uint32_t task) const {
  if (!IsIteration(task)) return Planned(task).id;
  const std::string& loop = Planned(task).id;
  const fmt::format_int number(tasks_[task].iteration);
  std::string id;
  id.reserve(loop.size() + number.size() + 2);
  id.append(loop).append(1, '[').append(number.data(), number.size()).append(1, ']');
  return id;
}

std::vector<std::uint32_t> LiveRun::InOrder() const {
  std::vector<std::uint32_t> order;
  order.reserve(tasks_.size());
  for (std::uint32_t i = 0; i < plan_->tasks.size(); ++i) {
    order.push_back(i);
    const auto it = loops_.find(i);
    if (it == loops_.end()) continue;
    for (const std::uint32_t task : it->second.made) {
      if (task != kNone) order.push_back(task);
    }
  }
  return order;
}

const TaskResult* LiveRun::ResultOf(std::uint32_t task) const {
  const auto it = results_.find(task);
  return it == results_.end() ? nullptr : &it->second;
}

Instant LiveRun::ShutUntil(std::uint32_t agent, Instant now) const {
  const auto it = gates_.find(agent);
  return it == gates_.end() ? Instant{} : it->second.gate.ShutUntil(now);
}

bool LiveRun::BreakerOpen(std::uint32_t agent) const {
  const auto it = gates_.find(agent);
  return it != gates_.end() && it->second.gate.breaker_open();
}

bool LiveRun::HasProbe(std::uint32_t agent) const {
  const auto it = gates_.find(agent);
  return it != gates_.end() && it->second.gate.HasProbe();
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
    tasks_[task].record.fingerprint = Planned(task).fingerprint;
    turn.effects.save.tasks.push_back(tasks_[task].record);
  }
  dirty_tasks_.clear();
  for (std::uint32_t execution : dirty_hooks_) {
    hooks_[execution].dirty = false;
    if (Mutant(Defect::HookForgotten)) continue;
    turn.effects.save.hooks.push_back(hooks_[execution].record);
  }
  dirty_hooks_.clear();
  for (auto& [key, gate] : gates_) {
    if (gate.dirty && !Mutant(Defect::GateInMemory))
      turn.effects.save.agents.push_back(gate.gate.record());
    gate.dirty = false;
  }
  if (run_dirty_) turn.effects.save.runs.push_back(record_);
  run_dirty_ = false;
}

void LiveRun::Begin(Turn& turn) {
  record_.started = turn.now;
  run_dirty_ = true;
  turn.effects.tell.push_back(Say(RunEvent::Kind::RunStarted, turn));
  StartList(HookList::PreWorkflow, kNone, 0, turn);
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
      return open_ == 0 && lists_done && hooks_open_ == 0;
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
      // Those that completed in a round before this one.
      for (std::uint32_t i = 0; i < stages_.size(); ++i) RestoreStage(i, turn);
      RestoreGraph(turn);
      break;
    case RunPhase::ErrorHooks:
      StartList(HookList::OnError, kNone, 0, turn);
      break;
    case RunPhase::PostHooks:
      StartList(HookList::PostWorkflow, kNone, 0, turn);
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
  if (record_.state == RunState::Succeeded) FinishOutputs();
  RunEvent event = Say(RunEvent::Kind::RunFinished, turn);
  event.status = std::string(Name(record_.state));
  event.duration = record_.ended - record_.started;
  event.message = record_.first_failure;
  turn.effects.tell.push_back(std::move(event));
}

// The run's declared outputs, read when it succeeds.
void LiveRun::FinishOutputs() {
  if (plan_->outputs.empty()) return;
  std::vector<std::pair<std::string, std::string>> outputs;
  for (const OutputDeclaration& output : plan_->outputs) {
    if (output.task != kNone) {
      const TaskResult* result = ResultOf(output.task);
      outputs.emplace_back(output.name, JsonText(result == nullptr ? "" : result->output));
      continue;
    }
    const auto it = state_.find(output.state_key);
    outputs.emplace_back(output.name, it == state_.end() ? "null" : it->second);
  }
  record_.outputs_json = JsonObject(outputs);
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
  for (std::uint32_t i = 0; i < size(); ++i) {
    const TaskRecord& r = tasks_[i].record;
    if (!OnWorker(i)) continue;
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

// What has not started will not. Parents follow from their subtasks, loops from their iterations.
void LiveRun::CancelUnstarted(Turn& turn) {
  cancelled_ = true;
  for (auto& [index, loop] : loops_) loop.closed = true;
  for (std::uint32_t i = 0; i < size(); ++i) {
    const TaskRecord& r = tasks_[i].record;
    if (IsSettled(r.state) || OnWorker(i) || Planned(i).kind == TaskKind::Parent) continue;
    if (r.joins) {
      FinishLoop(i, turn);
      continue;
    }
    if (IsIteration(i) && r.state == TaskState::Pending) ++loops_.at(tasks_[i].planned).open;
    LeaveReady(i);
    due_tasks_.erase({r.due, i});
    Settle(i, TaskState::Cancelled, turn);
  }
}

void LiveRun::Restore(const Checkpoint& checkpoint, const std::vector<AttemptRecord>& outcomes,
                      bool dormant, Turn& turn) {
  dormant_ = dormant;
  restoring_ = true;
  RestoreTasks(checkpoint, outcomes, turn);
  RestoreAgents(checkpoint);
  RestoreHooks(checkpoint, turn);
  if (record_.phase == RunPhase::Tasks) RestoreGraph(turn);
  restoring_ = false;
  if (!dormant) turn.effects.tell.push_back(Say(RunEvent::Kind::RunResumed, turn));
  NextPhase(turn);
}

void LiveRun::RestoreTasks(const Checkpoint& checkpoint, const std::vector<AttemptRecord>& outcomes,
                           Turn& turn) {
  for (const TaskRecord& saved : checkpoint.tasks) {
    next_id_ = std::max({next_id_, saved.task.value + 1, saved.first_iteration + saved.iterations});
    const std::uint32_t task = IndexOf(saved.task);
    if (task == kNone) continue;
    tasks_[task].record = saved;
    if (Planned(task).kind == TaskKind::Parent) tasks_[task].record.joins = true;
    if (!saved.joins || Planned(task).extra->loop == nullptr) continue;
    loops_[task].closed = record_.aborting || record_.cancelling;
    if (saved.iterations > 0) loop_at_[saved.first_iteration] = task;
    record_.tasks += saved.iterations;
    record_.tasks -= 1;
  }
  // Iterations have higher numbers than what stands in the file, so that their loops are known now.
  for (const TaskRecord& saved : checkpoint.tasks) {
    auto it = loop_at_.upper_bound(saved.task.value);
    if (it == loop_at_.begin()) continue;
    --it;
    const std::uint32_t iteration = saved.task.value - it->first;
    if (iteration >= tasks_[it->second].record.iterations) continue;
    tasks_[AddIteration(it->second, iteration)].record = saved;
  }
  for (const AttemptRecord& attempt : outcomes) {
    const std::uint32_t task = IndexOf(TaskId{attempt.outcome.id.index});
    if (task == kNone) continue;
    if (const auto it = loops_.find(task); it != loops_.end()) {
      it->second.items =
          JsonItems(attempt.outcome.result_json).value_or(std::vector<std::string>());
    } else if (Planned(task).referenced) {
      results_[task] = ResultFrom(attempt.outcome);
    }
  }
  for (std::uint32_t i = 0; i < size(); ++i) RestoreTask(i, turn);
  for (std::uint32_t i = 0; i < plan_->tasks.size(); ++i) {
    const TaskRecord& r = tasks_[i].record;
    if (r.joins && r.state == TaskState::Completed) KeepJoined(i);
  }
}

// What was running is expected from its worker, which is made known so that it is waited for.
void LiveRun::RestoreTask(std::uint32_t task, Turn& turn) {
  const TaskRecord& r = tasks_[task].record;
  if (IsSettled(r.state)) ++settled_as_[static_cast<std::size_t>(r.state)];
  if (IsIteration(task)) {
    LiveLoop& loop = loops_.at(tasks_[task].planned);
    loop.open += IsSettled(r.state) || r.state == TaskState::Pending ? 0 : 1;
    loop.failed += r.state == TaskState::Failed ? 1 : 0;
    loop.cancelled += r.state == TaskState::Cancelled ? 1 : 0;
  }
  if (IsSettled(r.state)) {
    record_.settled += r.joins ? 0 : 1;
    if (IsIteration(task)) return;
    --open_;
    NoteStageTask(task, r.state);
  } else if (OnWorker(task)) {
    ++running_;
    if (const std::uint32_t agent = AgentOf(task); agent != kNone) ++agent_running_[agent];
    turn.pool.Hold(turn.pool.Know(r.worker), {record_.id, Subject::Task, r.task.value, r.attempts});
  } else if (r.state == TaskState::Waiting) {
    due_tasks_.insert({r.due, task});
  }
}

void LiveRun::RestoreAgents(const Checkpoint& checkpoint) {
  for (const AgentRecord& saved : checkpoint.agents) {
    for (std::uint32_t i = 0; i < plan_->agents.size(); ++i) {
      if (plan_->agents[i].name == saved.agent) GateOf(i).gate.Restore(saved);
    }
  }
}

// The tasks of the plan, parents behind their subtasks: as they settle in life. Why a parent is bad
// is asked of its subtasks.
std::vector<std::uint32_t> LiveRun::PartsFirst() const {
  std::vector<std::uint32_t> order;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> parents;  // Depth and index.
  for (std::uint32_t i = 0; i < plan_->tasks.size(); ++i) {
    if (plan_->tasks[i].kind != TaskKind::Parent) {
      order.push_back(i);
      continue;
    }
    std::uint32_t depth = 0;
    for (std::uint32_t p = plan_->tasks[i].parent; p != kNone; p = plan_->tasks[p].parent) ++depth;
    parents.emplace_back(depth, i);
  }
  std::stable_sort(parents.begin(), parents.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [depth, parent] : parents) order.push_back(parent);
  return order;
}

// Counts the graph down by what is settled; what then waits for nothing may start.
void LiveRun::RestoreGraph(Turn& turn) {
  const bool before = std::exchange(restoring_, true);
  TaskGraph::Change change;
  graph_.Roots(change);
  Apply(change, turn);
  for (const std::uint32_t i : PartsFirst()) {
    const TaskState state = tasks_[i].record.state;
    if (!IsSettled(state)) continue;
    const bool good = state == TaskState::Completed || state == TaskState::Skipped;
    settled_.push_back({Settled::What::Task, i, good});
  }
  Propagate(turn);
  for (std::uint32_t i = 0; i < size(); ++i) {
    if (IsIteration(i) && tasks_[i].record.state == TaskState::Ready) MakeReady(i, turn);
  }
  restoring_ = before;
  std::vector<std::uint32_t> begun;
  for (const auto& [index, loop] : loops_) begun.push_back(index);
  for (std::uint32_t index : begun) {
    MakeIterations(index, turn);
    FinishLoop(index, turn);
  }
  if (record_.aborting || record_.cancelling) CancelUnstarted(turn);
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
    tasks_[task].record.extra.Change().message = "no worker took it in time";
    Setback(task, FailureClass::QueueTimeout, {}, turn);
  }
  const bool opened = std::any_of(gates_.begin(), gates_.end(), [&](const auto& entry) {
    return entry.second.gate.NextTime(last_time_) <= turn.now;
  });
  if (opened) MoveOnFromShutAgents(turn);  // A fallback may be open again.
  last_time_ = turn.now;
  const std::set<std::uint32_t> hooks = ready_hooks_;
  for (std::uint32_t execution : hooks) {
    LiveHook& hook = hooks_[execution];
    if (hook.record.ready_since + hook.hook->timeout > turn.now) continue;
    hook.record.message = "no worker took it in time";
    HookEnded(execution, HookState::Failed, turn);
  }
  NextPhase(turn);
}

Instant LiveRun::NextTime(Instant now) const {
  Instant next = kNever;
  if (ended() || dormant_ || record_.state == RunState::Paused) return next;
  if (!due_tasks_.empty() && !Mutant(Defect::DueForgotten))
    next = std::min(next, due_tasks_.begin()->first);
  if (!queue_deadlines_.empty()) next = std::min(next, queue_deadlines_.begin()->first);
  for (std::uint32_t execution : ready_hooks_) {
    const LiveHook& hook = hooks_[execution];
    next = std::min(next, hook.record.ready_since + hook.hook->timeout);
  }
  for (const auto& [key, gate] : gates_) next = std::min(next, gate.gate.NextTime(now));
  return next;
}

}  // namespace troupe
