// What a failure leads to: the rules of docs/language.md, "Recovery", for one task of a run.
#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"
#include "coordinator/live_run.h"

namespace troupe {

LiveRun::LiveGate& LiveRun::GateOf(std::uint32_t agent) {
  const Agent& planned = plan_->agents[agent];
  const BreakerRules* breaker = planned.breaker ? &*planned.breaker : nullptr;
  return gates_.try_emplace(agent, LiveGate{AgentGate(record_.id, planned.name, breaker)})
      .first->second;
}

// Tells the agent's gate how an attempt with it ended.
void LiveRun::TellGate(std::uint32_t task, std::optional<FailureClass> failure, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  const std::uint32_t agent = AgentOf(task);
  if (agent == kNone) {
    if (failure == FailureClass::RateLimited) {
      ++r.extra.Change().rate_limits;
    } else if (r.extra) {
      r.extra.Change().rate_limits = 0;
    }
    return;
  }
  if (!failure && !gates_.contains(agent)) return;
  LiveGate& gate = GateOf(agent);
  const bool open = gate.gate.ShutUntil(turn.now) == Instant{};
  if (!gate.gate.OnEnded(r.task, r.attempts, r.attempt_started, failure, turn.now)) return;
  gate.dirty = true;
  if (!open || gate.gate.ShutUntil(turn.now) == Instant{}) return;
  SayShut(agent, "its circuit breaker is open", turn);
  MoveOnFromShutAgents(turn);
}

void LiveRun::SayShut(std::uint32_t agent, const std::string& why, Turn& turn) {
  RunEvent event = Say(RunEvent::Kind::AgentShut, turn);
  event.agent = plan_->agents[agent].name;
  event.delay = ShutUntil(agent, turn.now) - turn.now;
  event.message = why;
  turn.effects.tell.push_back(std::move(event));
}

// The rules it goes by. A loop's collection is read without fallback agents.
RecoveryRules LiveRun::RulesOf(std::uint32_t task) const {
  RecoveryRules rules = *Planned(task).rules;
  if (IsReader(task)) rules.fallback_agents.clear();
  return rules;
}

void LiveRun::NoteSetback(std::uint32_t task, FailureClass failure) {
  TaskRecord& r = tasks_[task].record;
  RecordExtras& extra = r.extra.Change();
  r.failure = failure;
  MarkTask(task);
  if (Counts(*Planned(task).rules, failure)) ++extra.step_failures;
  if (failure == FailureClass::WorkerLost) {
    if (!Mutant(Defect::LossForgotten)) ++extra.losses;
    extra.lost_attempts.push_back(r.attempts);
  }
  const bool ran = failure != FailureClass::QueueTimeout && failure != FailureClass::Unresolved;
  if (ran && !r.worker.empty() &&
      std::find(extra.failed_workers.begin(), extra.failed_workers.end(), r.worker) ==
          extra.failed_workers.end()) {
    extra.failed_workers.push_back(r.worker);
  }
  // What is to be retried (rule 6) may be so on the same worker: it may be the only one.
  const bool elsewhere = Traits(failure).by_default == DefaultStep::OtherWorker &&
                         !IsRetried(*Planned(task).rules, failure);
  if (elsewhere) extra.unfit_workers.push_back(r.worker);
}

void LiveRun::Setback(std::uint32_t task, FailureClass failure, Duration retry_after, Turn& turn) {
  NoteSetback(task, failure);
  const TaskRecord& r = tasks_[task].record;
  RunEvent event = Say(RunEvent::Kind::TaskFailed, turn);
  event.task = FullId(task);
  event.attempt = r.attempts;
  if (const std::uint32_t agent = AgentOf(task); agent != kNone) {
    event.agent = plan_->agents[agent].name;
  }
  event.worker = r.worker;
  event.failure = failure;
  event.message = r.extra->message;
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
         DecideRecovery(RulesOf(task), budget, StandingOf(task, failure, retry_after, turn),
                        turn.random.Draw()),
         turn);
}

Standing LiveRun::StandingOf(std::uint32_t task, FailureClass failure, Duration retry_after,
                             Turn& turn) {
  const TaskRecord& r = tasks_[task].record;
  const ReadyGroup& group = groups_[GroupOf(task)];
  const std::uint32_t agent = AgentOf(task);
  return {.failure = failure,
          .retry_after = retry_after,
          .step = r.step,
          .step_failures = r.extra->step_failures,
          .losses = r.extra->losses,
          .rate_limits = agent == kNone ? r.extra->rate_limits : GateOf(agent).gate.rate_limits(),
          .rate_limit_waited = r.extra->rate_limit_waited,
          .unfit_workers = static_cast<std::uint32_t>(r.extra->unfit_workers.size()),
          .other_worker =
              turn.pool.Pick(group.requirement, r.extra->unfit_workers, {}, false) != nullptr};
}

void LiveRun::Follow(std::uint32_t task, const Recovery& recovery, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  if (const auto* retry = std::get_if<Retry>(&recovery)) {
    ++record_.retries_used;
    const bool saved = plan_->retry_budget != kNone && !Mutant(Defect::BudgetInMemory);
    run_dirty_ = run_dirty_ || saved;
    const RecoveryRules& rules = *Planned(task).rules;
    RunEvent event = Say(RunEvent::Kind::TaskRetrying, turn);
    event.task = FullId(task);
    event.attempt = r.attempts + 1;
    event.delay = retry->after;
    event.retry = r.extra->step_failures;
    event.retries = r.step == 0 ? rules.retry : rules.fallback_retry;
    event.failure = r.failure;
    event.message = r.extra->message;
    turn.effects.tell.push_back(std::move(event));
    WaitUntil(task, turn.now + retry->after);
  } else if (std::holds_alternative<Again>(recovery)) {
    MakeReady(task, turn);
  } else if (const auto* wait = std::get_if<WaitForAgent>(&recovery)) {
    FollowRateLimit(task, wait->after, turn);
  } else if (std::holds_alternative<NextAgent>(recovery)) {
    MoveToStep(task, r.step + 1, turn);
    MakeReady(task, turn);
  } else {
    GiveUpTask(task, std::get<GiveUp>(recovery).how, turn);
  }
}

// The agent is shut; the task waits for it, or goes on with one that is not.
void LiveRun::FollowRateLimit(std::uint32_t task, Duration after, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  Instant until = turn.now + after;
  if (const std::uint32_t agent = AgentOf(task); agent != kNone) {
    LiveGate& gate = GateOf(agent);
    const bool open = gate.gate.ShutUntil(turn.now) == Instant{};
    gate.gate.Shut(turn.now, until);
    gate.dirty = true;
    if (open) SayShut(agent, r.extra->message, turn);
    MoveOnFromShutAgents(turn);
    if (StepIfShut(task, turn.now) != r.step) {
      MakeReady(task, turn);
      return;
    }
    until = std::max(until, gate.gate.record().shut_until);
  }
  r.extra.Change().rate_limit_waited += until - turn.now;
  RunEvent event = Say(RunEvent::Kind::TaskRetrying, turn);
  event.task = FullId(task);
  event.attempt = r.attempts + 1;
  event.delay = until - turn.now;
  event.failure = r.failure;
  event.message = r.extra->message;
  turn.effects.tell.push_back(std::move(event));
  WaitUntil(task, until);
}

void LiveRun::WaitUntil(std::uint32_t task, Instant due) {
  TaskRecord& r = tasks_[task].record;
  r.state = TaskState::Waiting;
  r.due = due;
  due_tasks_.insert({due, task});
  MarkTask(task);
}

// The step to go on with: another one if the present agent is shut for longer than the task has
// patience, and a later fallback agent is not shut.
std::uint32_t LiveRun::StepIfShut(std::uint32_t task, Instant now) const {
  const std::uint32_t step = tasks_[task].record.step;
  const std::uint32_t agent = AgentOf(task);
  if (agent == kNone || gates_.empty()) return step;
  const RecoveryRules& rules = *Planned(task).rules;
  if (ShutUntil(agent, now) <= now + rules.max_retry_delay) return step;
  for (std::uint32_t next = step + 1; next <= rules.fallback_agents.size(); ++next) {
    if (ShutUntil(rules.fallback_agents[next - 1], now) == Instant{}) return next;
  }
  return step;
}

void LiveRun::MoveToStep(std::uint32_t task, std::uint32_t step, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  r.step = step;
  RecordExtras& extra = r.extra.Change();
  extra.step_failures = 0;
  extra.rate_limits = 0;
  extra.unfit_workers.clear();
  RunEvent event = Say(RunEvent::Kind::TaskFallback, turn);
  event.task = FullId(task);
  event.attempt = r.attempts + 1;
  event.agent = plan_->agents[AgentOf(task)].name;
  event.failure = r.failure;
  event.message = r.extra->message;
  turn.effects.tell.push_back(std::move(event));
  MarkTask(task);
}

// Ready tasks whose agent is shut for too long go on with another one.
void LiveRun::MoveOnFromShutAgents(Turn& turn) {
  std::vector<std::uint32_t> moving;
  for (const ReadyGroup& group : groups_) {
    if (group.agent == kNone || ShutUntil(group.agent, turn.now) == Instant{}) continue;
    for (const ReadyPlace& place : group.tasks) {
      if (StepIfShut(place.task, turn.now) != tasks_[place.task].record.step) {
        moving.push_back(place.task);
      }
    }
  }
  for (std::uint32_t task : moving) {
    LeaveReady(task);
    MakeReady(task, turn);
  }
}

void LiveRun::GiveUpTask(std::uint32_t task, OnExhausted how, Turn& turn) {
  TaskRecord& r = tasks_[task].record;
  if (how == OnExhausted::Skip) {
    Settle(task, TaskState::Skipped, turn);
    return;
  }
  r.dead_letter = true;
  const std::string id = FullId(task);
  const std::uint32_t stage = Planned(task).stage;
  NoteFailure(fmt::format("task \"{}\": {}: {}", id, Name(*r.failure), r.extra->message),
              stage == kNone ? "" : plan_->stages[stage].name);
  RunEvent event = Say(RunEvent::Kind::TaskDeadLettered, turn);
  event.task = id;
  event.attempt = r.attempts;
  event.failure = r.failure;
  event.message = r.extra->message;
  turn.effects.tell.push_back(std::move(event));
  if (how == OnExhausted::Abort && !record_.aborting) {
    record_.aborting = true;  // What runs may finish; nothing else starts.
    run_dirty_ = true;
    cancel_rest_ = true;  // Once it is known what is blocked.
  }
  Settle(task, TaskState::Failed, turn);
}

}  // namespace troupe
