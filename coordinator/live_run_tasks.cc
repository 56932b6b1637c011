// Tasks: how each goes from pending to settled.
#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"
#include "coordinator/live_run.h"
#include "coordinator/make_spec.h"

namespace troupe {

// The agent that runs the task at its present step; kNone: its own work.
std::uint32_t LiveRun::AgentOf(std::uint32_t task) const {
  if (IsReader(task)) return kNone;
  const std::uint32_t step = tasks_[task].record.step;
  const PlannedTask& planned = Planned(task);
  if (step == 0) return planned.agent;
  const auto& fallbacks = planned.rules->fallback_agents;
  return step <= fallbacks.size() ? fallbacks[step - 1] : planned.agent;
}

// May tasks still start?
bool LiveRun::TakesTasks() const {
  return record_.phase == RunPhase::Tasks && !record_.aborting && !record_.cancelling;
}

// Does a worker have an attempt of it? Parents and loops are running without one.
bool LiveRun::OnWorker(std::uint32_t task) const {
  const TaskRecord& r = tasks_[task].record;
  return r.state == TaskState::Running && !r.joins;
}

bool LiveRun::IsReader(std::uint32_t task) const {
  return Planned(task).extra->loop != nullptr && !IsIteration(task);
}

// Tells the graph what was settled, and does what follows, until nothing follows any more.
void LiveRun::Propagate(Turn& turn) {
  if (propagating_) return;
  propagating_ = true;
  while (!settled_.empty() || cancel_rest_) {
    if (settled_.empty()) {
      cancel_rest_ = false;
      CancelUnstarted(turn);
      continue;
    }
    const Settled settled = settled_.front();
    settled_.pop_front();
    TaskGraph::Change change;
    switch (settled.what) {
      case Settled::What::Task:
        graph_.SettleTask(settled.index, settled.good, change);
        break;
      case Settled::What::StageGate:
        graph_.SettleStageGate(settled.index, change);
        break;
      case Settled::What::ParentGate:
        graph_.SettleParentGate(settled.index, settled.good, change);
        break;
    }
    Apply(change, turn);
  }
  propagating_ = false;
}

void LiveRun::Apply(const TaskGraph::Change& change, Turn& turn) {
  for (std::uint32_t task : change.doomed) {
    if (IsSettled(tasks_[task].record.state)) continue;
    Settle(task, cancelled_ ? TaskState::Cancelled : TaskState::Blocked, turn);
  }
  for (std::uint32_t task : change.ready) MayStart(task, turn);
  for (std::uint32_t task : change.judged) MayStart(task, turn);
  for (std::uint32_t parent : change.entered) EnterParent(parent, turn);
  for (std::uint32_t parent : change.joined) JoinParent(parent, turn);
  for (std::uint32_t stage : change.met) StageMet(stage, turn);
}

// All that the task waits for has settled.
void LiveRun::MayStart(std::uint32_t task, Turn& turn) {
  const TaskState state = tasks_[task].record.state;
  if (state == TaskState::Ready && restoring_) MakeReady(task, turn);
  if (state == TaskState::Running && !restoring_ && loops_.contains(task)) {
    MakeIterations(task, turn);
    FinishLoop(task, turn);
  }
  if (state != TaskState::Pending || !TakesTasks()) return;
  const PlannedTask& planned = Planned(task);
  if (!planned.extra->asks.empty() && graph_.BadBesidesAsked(task)) {
    Settle(task, TaskState::Blocked, turn);
    return;
  }
  if (planned.extra->condition != nullptr) {
    if (!Holds(*planned.extra->condition)) {
      tasks_[task].record.extra.Change().message = "its condition was false";
      Settle(task, TaskState::Skipped, turn);
      return;
    }
    MarkTask(task);  // It is looked at once, also over a restart.
  }
  if (planned.extra->loop != nullptr) {
    BeginLoop(task, turn);
  } else {
    MakeReady(task, turn);
  }
}

Requirement LiveRun::RequirementOf(std::uint32_t task) const {
  const std::uint32_t agent = AgentOf(task);
  return {IsReader(task) ? "" : ProviderFor(*plan_, agent),
          SettingsFor(*plan_, Planned(task), agent).labels};
}

std::uint32_t LiveRun::GroupOf(std::uint32_t task) {
  const std::uint32_t agent = AgentOf(task);
  LiveLoop* loop = IsIteration(task) ? &loops_.at(tasks_[task].planned) : nullptr;
  if (loop != nullptr && loop->group != kNone && groups_[loop->group].agent == agent) {
    return loop->group;
  }
  const auto [it, added] = group_index_.try_emplace({agent, RequirementOf(task)},
                                                    static_cast<std::uint32_t>(groups_.size()));
  if (added) groups_.push_back({.agent = agent, .requirement = it->first.second});
  if (loop != nullptr) loop->group = it->second;
  return it->second;
}

LiveRun::ReadyPlace LiveRun::PlaceOf(std::uint32_t task) const {
  const LiveTask& t = tasks_[task];
  return {Planned(task).priority, t.planned, IsIteration(task) ? t.iteration : 0, task};
}

void LiveRun::MakeReady(std::uint32_t task, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  if (const std::uint32_t step = StepIfShut(task, turn.now); step != r.step) {
    MoveToStep(task, step, turn);
  }
  r.state = TaskState::Ready;
  r.due = Instant{};
  if (!restoring_ || r.ready_since == Instant{}) r.ready_since = turn.now;
  tasks_[task].group = GroupOf(task);
  const bool added = groups_[tasks_[task].group].tasks.insert(PlaceOf(task)).second;
  if (added && IsIteration(task)) ++loops_.at(tasks_[task].planned).ready;
  const Duration limit = QueueTimeoutFor(*plan_, Planned(task), AgentOf(task));
  if (limit > Duration{}) {
    queue_deadlines_.insert({r.ready_since + limit, task});
    MarkTask(task);  // The time it has waited survives a restart.
  }
}

void LiveRun::LeaveReady(std::uint32_t task) {
  const TaskRecord& r = tasks_[task].record;
  if (r.state != TaskState::Ready) return;
  const bool removed = groups_[tasks_[task].group].tasks.erase(PlaceOf(task)) > 0;
  if (removed && IsIteration(task)) --loops_.at(tasks_[task].planned).ready;
  const Duration limit = QueueTimeoutFor(*plan_, Planned(task), AgentOf(task));
  if (limit > Duration{}) queue_deadlines_.erase({r.ready_since + limit, task});
}

bool LiveRun::IsCurrent(const AttemptId& id, const std::string& worker) const {
  if (id.run != record_.id) return false;
  if (id.subject == Subject::Hook) {
    if (id.index >= hooks_.size()) return false;
    const HookRecord& r = hooks_[id.index].record;
    return r.state == HookState::Running && r.attempts == id.number && r.worker == worker;
  }
  const std::uint32_t task = IndexOf(TaskId{id.index});
  if (task == kNone) return false;
  const TaskRecord& r = tasks_[task].record;
  if (Mutant(Defect::OutcomeTakenTwice) && r.attempts == id.number && !r.joins) return true;
  if (!OnWorker(task)) return false;
  if (Mutant(Defect::FencingRemoved)) return true;
  return r.attempts == id.number && r.worker == worker;
}

void LiveRun::OnOutcome(const AttemptOutcome& outcome, const std::string& worker, Turn& turn) {
  if (!IsCurrent(outcome.id, worker)) {
    // An outcome that was accepted may come again; one of a lost attempt comes too late.
    if (outcome.id.subject != Subject::Task) return;
    const std::uint32_t task = IndexOf(TaskId{outcome.id.index});
    if (task == kNone) return;
    const auto& lost = tasks_[task].record.extra->lost_attempts;
    if (std::find(lost.begin(), lost.end(), outcome.id.number) == lost.end()) return;
    RecordAttempt(task, outcome, false, worker, turn);
    return;
  }
  if (outcome.id.subject == Subject::Hook) {
    FinishHook(outcome.id.index, outcome, turn);
  } else {
    TaskEnded(IndexOf(TaskId{outcome.id.index}), outcome, turn);
  }
  NextPhase(turn);
}

void LiveRun::OnLost(const AttemptId& id, const std::string& worker, Turn& turn) {
  AttemptOutcome outcome;
  outcome.id = id;
  outcome.failure = FailureClass::WorkerLost;
  outcome.message = fmt::format("worker {} fell silent", worker);
  outcome.ended = turn.now;
  OnOutcome(outcome, worker, turn);
}

void LiveRun::OnReturned(const AttemptId& id, const std::string& worker, Turn& turn) {
  AttemptOutcome outcome;
  outcome.id = id;
  outcome.failure = FailureClass::WorkerLost;
  outcome.never_started = true;
  outcome.message = fmt::format("it never began on worker {}", worker);
  if (Mutant(Defect::NumberReused) && id.subject == Subject::Task && IsCurrent(id, worker)) {
    OnOutcome(outcome, worker, turn);
    --tasks_[IndexOf(TaskId{id.index})].record.attempts;
    return;
  }
  outcome.ended = turn.now;
  OnOutcome(outcome, worker, turn);
}

AttemptRecord& LiveRun::RecordAttempt(std::uint32_t task, const AttemptOutcome& outcome,
                                      bool accepted, const std::string& worker, Turn& turn) {
  const TaskRecord& r = tasks_[task].record;
  const std::uint32_t agent = AgentOf(task);
  AttemptRecord& record = turn.effects.save.attempts.emplace_back();
  record.outcome = outcome;
  record.worker = worker;
  record.accepted = accepted;
  if (accepted) {
    if (agent != kNone) record.agent = plan_->agents[agent].name;
    record.dispatched = r.attempt_started;
    if (outcome.started == Instant{}) record.outcome.started = r.attempt_started;
  } else {  // The task is with another attempt by now, and maybe with another agent.
    record.dispatched = outcome.started;
  }
  if (outcome.ended == Instant{}) record.outcome.ended = turn.now;
  return record;
}

TaskResult ResultFrom(const AttemptOutcome& outcome) {
  TaskResult result{.output = outcome.output, .result_json = outcome.result_json};
  while (!result.output.empty() && (result.output.back() == '\n' || result.output.back() == '\r')) {
    result.output.pop_back();
  }
  return result;
}

// The rules of docs/language.md, "The next step". Rule 1 was OnOutcome().
void LiveRun::TaskEnded(std::uint32_t task, const AttemptOutcome& outcome, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  --running_;
  if (const std::uint32_t agent = AgentOf(task); agent != kNone) --agent_running_[agent];
  const PlannedTask& planned = Planned(task);
  const bool read =
      planned.referenced || !planned.extra->set.empty() || !planned.extra->notify.empty();
  const TaskResult result = read ? ResultFrom(outcome) : TaskResult();
  std::optional<FailureClass> failure = outcome.failure;
  std::string message = outcome.failure ? outcome.message : "";
  Result<JsonMap> writes = JsonMap();
  std::optional<std::vector<std::string>> items;
  if (!failure && IsReader(task)) {
    items = JsonItems(outcome.result_json);
    if (!items) {
      failure = FailureClass::InvalidRequest;
      message = "the collection is no list";
    }
  } else if (!failure && !planned.extra->set.empty()) {
    writes = StateWrites(task, result);
    if (!writes) {
      failure = FailureClass::SchemaFailed;
      message = "\"set\" cannot be carried out: " + writes.error().message;
    }
  }
  AttemptRecord& record = RecordAttempt(task, outcome, true, r.worker, turn);
  if (failure != outcome.failure) {
    record.outcome.failure = failure;
    record.outcome.message = message;
  }
  MarkTask(task);
  TellGate(task, failure, turn);

  if (items) {
    const auto count = static_cast<std::uint32_t>(items->size());
    Expand(task, count, *std::move(items), turn);
    return;
  }
  if (!failure) {  // Rule 2: also if the run is aborting or being cancelled.
    for (const auto& [key, value] : *writes) state_[key] = value;
    if (!writes->empty()) {
      record_.state_json = JsonObject({state_.begin(), state_.end()});
      run_dirty_ = true;
    }
    Complete(task, outcome, result, turn);
    return;
  }
  if (record_.cancelling) {
    r.extra.Change().message = message;
    Settle(task, TaskState::Cancelled, turn);
    return;
  }
  const bool handed_back = outcome.never_started || failure == FailureClass::Cancelled;
  if (handed_back && record_.aborting) {
    Settle(task, TaskState::Cancelled, turn);
    return;
  }
  if (handed_back) {
    r.attempts_by_step.Decrement(r.step);
    MakeReady(task, turn);
    return;
  }
  r.extra.Change().message = message;
  Setback(task, *failure, outcome.retry_after, turn);
}

TextOwner LiveRun::OwnerOf(std::uint32_t task, std::uint32_t attempt) const {
  TextOwner owner{.task = &Planned(task), .id = FullId(task), .attempt = attempt};
  if (!IsIteration(task)) return owner;
  owner.iteration = tasks_[task].iteration;
  owner.item_json = ItemOf(tasks_[task].planned, owner.iteration);
  return owner;
}

// What its `set` writes; Unresolved if a value does not exist.
Result<JsonMap> LiveRun::StateWrites(std::uint32_t task, const TaskResult& result) const {
  JsonMap writes;
  if (Planned(task).extra->set.empty()) return writes;
  TextOwner owner = OwnerOf(task, tasks_[task].record.attempts);
  owner.result = &result;
  const TaskValues values(record_.id, inputs_, *this, owner);
  for (const StateWrite& write : Planned(task).extra->set) {
    Result<std::string> value =
        write.json ? FillJson(write.value, values) : FillTyped(write.value, values);
    if (!value) return value.error();
    writes[write.key] = *std::move(value);
  }
  return writes;
}

void LiveRun::Complete(std::uint32_t task, const AttemptOutcome& outcome, const TaskResult& result,
                       Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  if (Planned(task).referenced) results_[task] = result;
  if (!IsIteration(task)) Notice(task, &result);
  RunEvent event = Say(RunEvent::Kind::TaskCompleted, turn);
  event.task = FullId(task);
  event.attempt = r.attempts;
  if (const std::uint32_t agent = AgentOf(task); agent != kNone) {
    event.agent = plan_->agents[agent].name;
  }
  event.worker = r.worker;
  event.message = r.extra->notice;
  if (outcome.started != Instant{}) event.duration = outcome.ended - outcome.started;
  turn.effects.tell.push_back(std::move(event));
  Settle(task, TaskState::Completed, turn);
}

// What on_complete says. That it cannot be said fails nothing.
void LiveRun::Notice(std::uint32_t task, const TaskResult* result) {
  if (Planned(task).extra->notify.empty()) return;
  TextOwner owner = OwnerOf(task, tasks_[task].record.attempts);
  owner.result = result;
  const Result<std::string> text =
      Fill(Planned(task).extra->notify, TaskValues(record_.id, inputs_, *this, owner));
  tasks_[task].record.extra.Change().notice =
      text ? *text : fmt::format("(on_complete cannot be said: {})", text.error().message);
}

void LiveRun::SaySettled(std::uint32_t task, TaskState state, Turn& turn) {
  if (state == TaskState::Completed || state == TaskState::Failed) return;  // Told before.
  RunEvent event = Say(state == TaskState::Skipped   ? RunEvent::Kind::TaskSkipped
                       : state == TaskState::Blocked ? RunEvent::Kind::TaskBlocked
                                                     : RunEvent::Kind::TaskCancelled,
                       turn);
  event.task = FullId(task);
  if (state == TaskState::Skipped) event.message = tasks_[task].record.extra->message;
  turn.effects.tell.push_back(std::move(event));
}

void LiveRun::Settle(std::uint32_t task, TaskState state, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  LeaveReady(task);
  r.state = state;
  r.ended = turn.now;
  r.due = Instant{};
  if (!r.joins) ++record_.settled;
  ++settled_as_[static_cast<std::size_t>(state)];
  MarkTask(task);
  SaySettled(task, state, turn);
  if (IsIteration(task)) {
    IterationSettled(task, state, turn);
  } else {
    --open_;
    const bool good = state == TaskState::Completed || state == TaskState::Skipped;
    settled_.push_back({Settled::What::Task, task, good});
    StageTaskSettled(task, state, turn);
  }
  Propagate(turn);
}

}  // namespace troupe
