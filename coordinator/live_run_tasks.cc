// Tasks: how each goes from pending to settled, and what a failure leads to.
#include <fmt/format.h>

#include <algorithm>

#include "coordinator/live_run.h"
#include "coordinator/make_spec.h"

namespace troupe {

// The agent that runs the task at its present step; kNone: its own work.
std::uint32_t LiveRun::AgentOf(std::uint32_t task) const {
  const std::uint32_t step = tasks_[task].record.step;
  const PlannedTask& planned = plan_->tasks[task];
  if (step == 0) return planned.agent;
  const auto& fallbacks = planned.rules->fallback_agents;
  return step <= fallbacks.size() ? fallbacks[step - 1] : planned.agent;
}

// May tasks still start?
bool LiveRun::TakesTasks() const {
  return record_.phase == RunPhase::Tasks && !record_.aborting && !record_.cancelling;
}

// Changes of the graph: what they make ready, block, and complete.
void LiveRun::Apply(const TaskGraph::Change& change, Turn& turn) {
  for (std::uint32_t task : change.ready) {
    if (tasks_[task].record.state == TaskState::Pending) MakeReady(task, turn);
    if (tasks_[task].record.state == TaskState::Ready && restoring_) MakeReady(task, turn);
  }
  for (std::uint32_t task : change.blocked) {
    if (!IsSettled(tasks_[task].record.state)) Settle(task, TaskState::Blocked, turn);
  }
  for (std::uint32_t stage : change.met) StageMet(stage, turn);
}

std::uint32_t LiveRun::GroupOf(std::uint32_t task) {
  const std::uint32_t agent = AgentOf(task);
  Requirement requirement{ProviderFor(*plan_, agent),
                          SettingsFor(*plan_, plan_->tasks[task], agent).labels};
  const auto [it, added] = group_index_.try_emplace({agent, std::move(requirement)},
                                                    static_cast<std::uint32_t>(groups_.size()));
  if (added) groups_.push_back({.agent = agent, .requirement = it->first.second});
  return it->second;
}

void LiveRun::MakeReady(std::uint32_t task, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  r.state = TaskState::Ready;
  r.due = Instant{};
  if (!restoring_ || r.ready_since == Instant{}) r.ready_since = turn.now;
  tasks_[task].group = GroupOf(task);
  groups_[tasks_[task].group].tasks.insert({plan_->tasks[task].priority, task});
  const Duration limit = SettingsFor(*plan_, plan_->tasks[task], AgentOf(task)).queue_timeout;
  if (limit > Duration{}) {
    queue_deadlines_.insert({r.ready_since + limit, task});
    MarkTask(task);  // The time it has waited survives a restart.
  }
}

void LiveRun::LeaveReady(std::uint32_t task) {
  const TaskRecord& r = tasks_[task].record;
  if (r.state != TaskState::Ready) return;
  groups_[tasks_[task].group].tasks.erase({plan_->tasks[task].priority, task});
  const Duration limit = SettingsFor(*plan_, plan_->tasks[task], AgentOf(task)).queue_timeout;
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
  return r.state == TaskState::Running && r.attempts == id.number && r.worker == worker;
}

void LiveRun::OnOutcome(const AttemptOutcome& outcome, const std::string& worker, Turn& turn) {
  if (!IsCurrent(outcome.id, worker)) {
    // An outcome that was accepted may come again; one of a lost attempt comes too late.
    if (outcome.id.subject != Subject::Task) return;
    const std::uint32_t task = IndexOf(TaskId{outcome.id.index});
    if (task == kNone) return;
    const auto& lost = tasks_[task].record.lost_attempts;
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
  outcome.ended = turn.now;
  OnOutcome(outcome, worker, turn);
}

void LiveRun::RecordAttempt(std::uint32_t task, const AttemptOutcome& outcome, bool accepted,
                            const std::string& worker, Turn& turn) {
  const TaskRecord& r = tasks_[task].record;
  const std::uint32_t agent = AgentOf(task);
  AttemptRecord record{.outcome = outcome, .worker = worker, .accepted = accepted};
  record.agent = agent == kNone ? "" : plan_->agents[agent].name;
  record.dispatched = r.attempt_started;
  if (record.outcome.started == Instant{}) record.outcome.started = r.attempt_started;
  if (record.outcome.ended == Instant{}) record.outcome.ended = turn.now;
  turn.effects.save.attempts.push_back(std::move(record));
}

// The rules of docs/language.md, "The next step". Rule 1 was OnOutcome().
void LiveRun::TaskEnded(std::uint32_t task, const AttemptOutcome& outcome, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  --running_;
  --agents_[AgentOf(task)].running;
  RecordAttempt(task, outcome, true, r.worker, turn);
  MarkTask(task);

  if (!outcome.failure) {  // Rule 2: also if the run is aborting or being cancelled.
    Complete(task, outcome, turn);
    return;
  }
  const FailureClass failure = *outcome.failure;
  if (record_.cancelling) {
    r.message = outcome.message;
    Settle(task, TaskState::Cancelled, turn);
    return;
  }
  const bool handed_back = outcome.never_started || failure == FailureClass::Cancelled;
  if (handed_back && record_.aborting) {
    Settle(task, TaskState::Cancelled, turn);
    return;
  }
  if (handed_back) {
    r.step_attempts -= r.step_attempts > 0 ? 1 : 0;
    MakeReady(task, turn);
    return;
  }
  r.message = outcome.message;
  Setback(task, failure, outcome.retry_after, turn);
}

void LiveRun::KeepResult(std::uint32_t task, const AttemptOutcome& outcome) {
  if (!plan_->tasks[task].referenced) return;
  TaskResult& result = results_[task];
  result.output = outcome.output;
  while (!result.output.empty() && (result.output.back() == '\n' || result.output.back() == '\r')) {
    result.output.pop_back();
  }
  result.result_json = outcome.result_json;
}

void LiveRun::Complete(std::uint32_t task, const AttemptOutcome& outcome, Turn& turn) {
  KeepResult(task, outcome);
  const TaskRecord& r = tasks_[task].record;
  RunEvent event = Say(RunEvent::Kind::TaskCompleted, turn);
  event.task = plan_->tasks[task].id;
  event.attempt = r.attempts;
  if (const std::uint32_t agent = AgentOf(task); agent != kNone) {
    event.agent = plan_->agents[agent].name;
  }
  event.worker = r.worker;
  if (outcome.started != Instant{}) event.duration = outcome.ended - outcome.started;
  turn.effects.tell.push_back(std::move(event));
  Settle(task, TaskState::Completed, turn);
}

void LiveRun::Setback(std::uint32_t task, FailureClass failure, Duration retry_after, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  const PlannedTask& planned = plan_->tasks[task];
  r.failure = failure;
  MarkTask(task);
  if (Counts(*planned.rules, failure)) ++r.step_failures;
  if (failure == FailureClass::WorkerLost) {
    ++r.losses;
    r.lost_attempts.push_back(r.attempts);
  }
  r.rate_limits = failure == FailureClass::RateLimited ? r.rate_limits + 1 : 0;
  const bool ran = failure != FailureClass::QueueTimeout && failure != FailureClass::Unresolved;
  if (ran && !r.worker.empty() &&
      std::find(r.failed_workers.begin(), r.failed_workers.end(), r.worker) ==
          r.failed_workers.end()) {
    r.failed_workers.push_back(r.worker);
  }
  if (Traits(failure).by_default == DefaultStep::OtherWorker) r.unfit_workers.push_back(r.worker);

  RunEvent event = Say(RunEvent::Kind::TaskFailed, turn);
  event.task = planned.id;
  event.attempt = r.attempts;
  if (const std::uint32_t agent = AgentOf(task); agent != kNone) {
    event.agent = plan_->agents[agent].name;
  }
  event.worker = r.worker;
  event.failure = failure;
  event.message = r.message;
  turn.effects.tell.push_back(std::move(event));

  if (record_.aborting) {  // Rule 2.
    GiveUpTask(task, OnExhausted::Abort, turn);
    return;
  }
  const RunBudget budget{.retries_left = plan_->retry_budget == kNone
                                             ? kNone
                                             : plan_->retry_budget - std::min(record_.retries_used,
                                                                              plan_->retry_budget),
                         .worker_losses_max = plan_->worker_losses_max,
                         .rate_limit_wait_max = plan_->rate_limit_wait_max};
  Follow(task,
         DecideRecovery(*planned.rules, budget, StandingOf(task, failure, retry_after, turn),
                        turn.random.Draw()),
         turn);
}

Standing LiveRun::StandingOf(std::uint32_t task, FailureClass failure, Duration retry_after,
                             Turn& turn) {
  const TaskRecord& r = tasks_[task].record;
  const ReadyGroup& group = groups_[GroupOf(task)];
  return {.failure = failure,
          .retry_after = retry_after,
          .step = r.step,
          .step_failures = r.step_failures,
          .losses = r.losses,
          .rate_limits = r.rate_limits,
          .rate_limit_waited = r.rate_limit_waited,
          .unfit_workers = static_cast<std::uint32_t>(r.unfit_workers.size()),
          .other_worker = turn.pool.Pick(group.requirement, r.unfit_workers, {}, false) != nullptr};
}

void LiveRun::Follow(std::uint32_t task, const Recovery& recovery, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  const RecoveryRules& rules = *plan_->tasks[task].rules;
  if (const auto* retry = std::get_if<Retry>(&recovery)) {
    ++record_.retries_used;
    run_dirty_ = run_dirty_ || plan_->retry_budget != kNone;
    RunEvent event = Say(RunEvent::Kind::TaskRetrying, turn);
    event.task = plan_->tasks[task].id;
    event.attempt = r.attempts + 1;
    event.delay = retry->after;
    event.retry = r.step_failures;
    event.retries = r.step == 0 ? rules.retry : rules.fallback_retry;
    event.failure = r.failure;
    event.message = r.message;
    turn.effects.tell.push_back(std::move(event));
    WaitUntil(task, turn.now + retry->after);
  } else if (std::holds_alternative<Again>(recovery)) {
    MakeReady(task, turn);
  } else if (const auto* wait = std::get_if<WaitForAgent>(&recovery)) {
    r.rate_limit_waited += wait->after;
    agents_[AgentOf(task)].shut_until = turn.now + wait->after;
    RunEvent event = Say(RunEvent::Kind::TaskRetrying, turn);
    event.task = plan_->tasks[task].id;
    event.attempt = r.attempts + 1;
    event.delay = wait->after;
    event.failure = r.failure;
    event.message = r.message;
    turn.effects.tell.push_back(std::move(event));
    WaitUntil(task, turn.now + wait->after);
  } else if (std::holds_alternative<NextAgent>(recovery)) {
    StepToNextAgent(task, turn);
  } else {
    GiveUpTask(task, std::get<GiveUp>(recovery).how, turn);
  }
}

void LiveRun::WaitUntil(std::uint32_t task, Instant due) {
  TaskRecord& r = tasks_[task].record;
  r.state = TaskState::Waiting;
  r.due = due;
  due_tasks_.insert({due, task});
  MarkTask(task);
}

void LiveRun::StepToNextAgent(std::uint32_t task, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  ++r.step;
  r.step_attempts = 0;
  r.step_failures = 0;
  r.rate_limits = 0;
  r.unfit_workers.clear();
  RunEvent event = Say(RunEvent::Kind::TaskFallback, turn);
  event.task = plan_->tasks[task].id;
  event.attempt = r.attempts + 1;
  event.agent = plan_->agents[AgentOf(task)].name;
  event.failure = r.failure;
  event.message = r.message;
  turn.effects.tell.push_back(std::move(event));
  MarkTask(task);
  MakeReady(task, turn);
}

void LiveRun::GiveUpTask(std::uint32_t task, OnExhausted how, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  if (how == OnExhausted::Skip) {
    Settle(task, TaskState::Skipped, turn);
    return;
  }
  r.dead_letter = true;
  const std::uint32_t stage = plan_->tasks[task].stage;
  NoteFailure(
      fmt::format("task \"{}\": {}: {}", plan_->tasks[task].id, Name(*r.failure), r.message),
      stage == kNone ? "" : plan_->stages[stage].name);
  RunEvent event = Say(RunEvent::Kind::TaskDeadLettered, turn);
  event.task = plan_->tasks[task].id;
  event.attempt = r.attempts;
  event.failure = r.failure;
  event.message = r.message;
  turn.effects.tell.push_back(std::move(event));
  if (how == OnExhausted::Abort && !record_.aborting) {
    record_.aborting = true;
    run_dirty_ = true;
    Settle(task, TaskState::Failed, turn);
    AbortRun(turn);
    return;
  }
  Settle(task, TaskState::Failed, turn);
}

// What runs may finish; nothing else starts.
void LiveRun::AbortRun(Turn& turn) { CancelUnstarted(turn); }

void LiveRun::Settle(std::uint32_t task, TaskState state, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  LeaveReady(task);
  r.state = state;
  r.ended = turn.now;
  r.due = Instant{};
  ++record_.settled;
  MarkTask(task);
  if (state == TaskState::Skipped || state == TaskState::Blocked || state == TaskState::Cancelled) {
    RunEvent event = Say(state == TaskState::Skipped   ? RunEvent::Kind::TaskSkipped
                         : state == TaskState::Blocked ? RunEvent::Kind::TaskBlocked
                                                       : RunEvent::Kind::TaskCancelled,
                         turn);
    event.task = plan_->tasks[task].id;
    if (state == TaskState::Skipped) event.message = r.message;
    turn.effects.tell.push_back(std::move(event));
  }
  if (const std::uint32_t stage = plan_->tasks[task].stage; stage != kNone) {
    StageTaskSettled(stage, state, turn);
  }
  if (state == TaskState::Completed || state == TaskState::Skipped) {
    Apply(graph_.Pass({Dependency::On::Task, task}), turn);
  } else if (state == TaskState::Failed) {
    Apply(graph_.Fail(task), turn);
  }
}

}  // namespace troupe
