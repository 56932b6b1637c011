#include "simulation/rules_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace troupe {
namespace {

using Kind = RunEvent::Kind;
using std::chrono::seconds;

bool Listed(std::uint32_t classes, FailureClass c) {
  return (classes & (1u << static_cast<std::uint32_t>(c))) != 0;
}

// 8.1: retry_on in place of the defaults, no_retry_on taken away.
bool IsToBeRetried(const RecoveryRules& rules, FailureClass c) {
  const bool by_default = Traits(c).by_default == DefaultStep::Retry;
  const bool wanted = rules.retry_on.has_value() ? Listed(*rules.retry_on, c) : by_default;
  return wanted && !Listed(rules.no_retry_on, c);
}

Duration DelayBefore(const RecoveryRules& rules, std::uint32_t retry) {
  Duration delay = rules.retry_delay;
  if (!rules.exponential_backoff) return delay;
  for (std::uint32_t n = 1; n < retry && delay < seconds(100'000'000); ++n) delay = delay * 2;
  return delay < rules.max_retry_delay ? delay : rules.max_retry_delay;
}

bool HandedBack(const AttemptOutcome& outcome) {
  return outcome.never_started || outcome.failure == FailureClass::Cancelled;
}

}  // namespace

const PlannedTask& RulesModel::Planned(const Run& run, std::uint32_t id) const {
  return run.ledger->plan->tasks[run.ledger->Planned(id)];
}

bool RulesModel::IsReader(const Run& run, std::uint32_t id) const {
  return id < run.ledger->plan->tasks.size() && Planned(run, id).extra->loop != nullptr;
}

std::size_t RulesModel::Ladder(const Run& run, std::uint32_t id) const {
  return IsReader(run, id) ? 0 : Planned(run, id).rules->fallback_agents.size();
}

std::uint32_t RulesModel::AgentOf(const Run& run, std::uint32_t id, std::uint32_t step) const {
  if (IsReader(run, id)) return kNone;
  const PlannedTask& planned = Planned(run, id);
  return step == 0 ? planned.agent : planned.rules->fallback_agents[step - 1];
}

void RulesModel::Complain(const Run& run, std::uint32_t id, const std::string& what) {
  judge_.Complain("rules", fmt::format("run {}, {}: {}", run.ledger->run.id.value,
                                       run.ledger->FullId(id), what));
}

void RulesModel::OnLanded(const Batch& batch, const std::vector<RunEvent>& tell,
                          const std::map<RunId, RunState>& before, Instant now) {
  for (RunId run : batch.deleted_runs) runs_.erase(run);
  for (const TaskRecord& record : batch.tasks) {  // Loops that have read what they go over.
    const auto run = runs_.find(record.run);
    if (!record.joins || run == runs_.end()) continue;
    const auto task = run->second.tasks.find(record.task.value);
    if (task != run->second.tasks.end()) Leaves(run->second, record.task.value, task->second);
  }
  // Nothing starts before the end of a turn: what was handed back was so before.
  for (const AttemptRecord& attempt : batch.attempts) {
    const AttemptId& a = attempt.outcome.id;
    const auto run = runs_.find(a.run);
    if (a.subject != Subject::Task || run == runs_.end()) continue;
    const auto task = run->second.tasks.find(a.index);
    if (task != run->second.tasks.end()) {
      TakeBack(run->second, a.index, task->second, attempt.outcome, now);
    }
  }
  for (const RunEvent& event : tell) {
    const LedgerRun* ledger = ledger_.Find(event.run);
    if (ledger == nullptr) continue;
    Run& run = runs_[event.run];
    run.ledger = ledger;
    const auto was = before.find(event.run);
    const RunState state = was == before.end() ? ledger->run.state : was->second;
    Follow(run, batch, event, state == RunState::Paused && ledger->run.state == RunState::Paused);
  }
  for (auto& [id, run] : runs_) Compare(run, batch);
}

void RulesModel::OnReworked(RunId id, const Batch& batch) {
  Run& run = runs_[id];
  for (const TaskRecord& record : batch.tasks) {
    if (record.state != TaskState::Pending) continue;
    Task fresh;
    fresh.attempts = record.attempts;
    run.tasks[record.task.value] = fresh;
  }
  if (batch.runs.empty()) return;  // Dead letters were discarded.
  run.retries = 0;
  run.aborting = false;
}

void RulesModel::Shut(Run& run, const RunEvent& event) {
  const std::vector<troupe::Agent>& agents = run.ledger->plan->agents;
  for (std::uint32_t i = 0; i < agents.size(); ++i) {
    if (agents[i].name == event.agent) run.agents[i].told = event.at + *event.delay;
  }
}

void RulesModel::Follow(Run& run, const Batch& batch, const RunEvent& event, bool was_paused) {
  if (event.kind == Kind::AgentShut) return Shut(run, event);
  if (event.task.empty() || event.kind == Kind::HookStarted || event.kind == Kind::HookFinished) {
    return;
  }
  const std::uint32_t id = run.ledger->Find(event.task);
  if (id == kNone) return judge_.Complain("rules", "there is no task " + event.task);
  const auto record = run.ledger->tasks.find(id);
  const bool joins = record != run.ledger->tasks.end() && record->second.joins;
  if (Planned(run, id).kind == TaskKind::Parent || (IsReader(run, id) && joins)) {
    if (const auto it = run.tasks.find(id); it != run.tasks.end()) Leaves(run, id, it->second);
    return;
  }
  Task& task = run.tasks[id];
  switch (event.kind) {
    case Kind::TaskStarted:
      return Began(run, id, task, event, was_paused);
    case Kind::TaskFailed:
      return Failed(run, id, task, batch, event);
    case Kind::TaskRetrying:
      return Retrying(run, id, task, event);
    case Kind::TaskFallback:
      return FellBack(run, id, task, event);
    case Kind::TaskDeadLettered:
    case Kind::TaskSkipped:
      return GivenUp(run, id, task, event);
    case Kind::TaskCompleted:
      if (task.state != TaskState::Running) Complain(run, id, "completed without an attempt");
      Tell(run, id, task, std::nullopt, event.at);
      Leaves(run, id, task);
      task.state = TaskState::Completed;
      return;
    case Kind::TaskCancelled:
      if (!run.ledger->run.aborting && !run.ledger->run.cancelling) {
        Complain(run, id, "cancelled, and the run is not");
      }
      if (task.state == TaskState::Running) {
        Tell(run, id, task, ClassOf(batch, event.run, id, task.attempts), event.at);
      }
      Leaves(run, id, task);
      task.state = TaskState::Cancelled;
      task.expect = Expect::Nothing;
      return;
    case Kind::TaskBlocked:
      task.state = TaskState::Blocked;
      return;
    default:
      return;
  }
}

// It is on no worker any more.
void RulesModel::Leaves(Run& run, std::uint32_t id, Task& task) {
  if (task.state != TaskState::Running) return;
  task.state = TaskState::Pending;
  --run.running;
  if (const std::uint32_t agent = AgentOf(run, id, task.step); agent != kNone) {
    --run.agents[agent].running;
  }
}

// How the batch says that the attempt ended.
std::optional<FailureClass> RulesModel::ClassOf(const Batch& batch, RunId run, std::uint32_t id,
                                                std::uint32_t number) {
  for (const AttemptRecord& attempt : batch.attempts) {
    const AttemptId& a = attempt.outcome.id;
    const bool mine = a.run == run && a.subject == Subject::Task && a.index == id;
    if (mine && a.number == number) return attempt.outcome.failure;
  }
  return FailureClass::Cancelled;
}

// An attempt that never began, or was stopped, is none.
void RulesModel::TakeBack(Run& run, std::uint32_t id, Task& task, const AttemptOutcome& outcome,
                          Instant now) {
  if (task.state != TaskState::Running || outcome.id.number != task.attempts) return;
  if (!HandedBack(outcome)) return;
  Tell(run, id, task, outcome.failure, now);
  Leaves(run, id, task);
}

void RulesModel::Began(Run& run, std::uint32_t id, Task& task, const RunEvent& event,
                       bool was_paused) {
  const Plan& plan = *run.ledger->plan;
  const std::uint32_t agent = AgentOf(run, id, task.step);
  const std::string name = agent == kNone ? "" : plan.agents[agent].name;
  const RunRecord& record = run.ledger->run;
  if (task.state != TaskState::Pending && task.state != TaskState::Waiting) {
    Complain(run, id, fmt::format("an attempt begins; it is {}", Name(task.state)));
  }
  if (task.state == TaskState::Waiting && event.at < task.due) {
    Complain(run, id, "an attempt begins before its delay is over");
  }
  if (task.expect != Expect::Nothing && task.expect != Expect::AgainOrFallback) {
    Complain(run, id, "an attempt begins, and something else was to happen");
  }
  if (event.attempt != task.attempts + 1) {
    Complain(run, id, fmt::format("attempt {} follows attempt {}", event.attempt, task.attempts));
  }
  if (event.agent != name) {
    Complain(run, id, fmt::format("it runs with \"{}\", not with \"{}\"", event.agent, name));
  }
  if (task.unfit.contains(event.worker)) {
    Complain(run, id, fmt::format("it runs on {}, where it cannot", event.worker));
  }
  if (was_paused || run.aborting) Complain(run, id, "it starts although the run does not go on");
  if (record.phase == RunPhase::PreHooks) Complain(run, id, "it starts before pre_workflow");
  task.expect = Expect::Nothing;
  task.attempts = event.attempt;
  task.state = TaskState::Running;
  task.worker = event.worker;
  task.started = event.at;
  if (++run.running > plan.max_parallel) Complain(run, id, "more run than max_parallel");
  if (agent == kNone) return;
  Agent& gate = run.agents[agent];
  if (++gate.running > plan.agents[agent].max_concurrent) {
    Complain(run, id, "more run than max_concurrent");
  }
  if (ShutUntil(run, agent, event.at) > event.at) Complain(run, id, "its agent is shut");
  if (!gate.open) return;
  if (gate.probe) Complain(run, id, "its agent is half open, and is being tried");
  gate.probe = {id, event.attempt};
}

Instant RulesModel::ShutUntil(const Run& run, std::uint32_t agent, Instant now) const {
  const auto it = run.agents.find(agent);
  if (it == run.agents.end()) return Instant{};
  Instant until{};
  if (it->second.shut_until > now) until = it->second.shut_until;
  if (it->second.open && it->second.opens > now) until = std::max(until, it->second.opens);
  if (it->second.told > now) until = std::max(until, it->second.told);
  return until;
}

std::optional<std::uint32_t> RulesModel::MovesOn(const Run& run, std::uint32_t id, const Task& task,
                                                 Instant now) const {
  const std::uint32_t agent = AgentOf(run, id, task.step);
  if (agent == kNone) return std::nullopt;
  if (ShutUntil(run, agent, now) <= now + Planned(run, id).rules->max_retry_delay) {
    return std::nullopt;
  }
  for (std::uint32_t step = task.step + 1; step <= Ladder(run, id); ++step) {
    if (ShutUntil(run, AgentOf(run, id, step), now) == Instant{}) return step;
  }
  return std::nullopt;
}

// 8.5 and rule 4: what an end says of the agent.
void RulesModel::Tell(Run& run, std::uint32_t id, Task& task, std::optional<FailureClass> c,
                      Instant now) {
  const std::uint32_t agent = AgentOf(run, id, task.step);
  if (agent == kNone) {
    task.rate_limits = c == FailureClass::RateLimited ? task.rate_limits + 1 : 0;
    return;
  }
  Agent& gate = run.agents[agent];
  const bool probe = gate.probe && *gate.probe == std::pair(id, task.attempts);
  if (probe) gate.probe.reset();
  if (!c) {
    gate.rate_limits = 0;
    if (probe) gate.open = false;
    return;
  }
  // Attempts that ran into the same limit count once.
  if (*c == FailureClass::RateLimited &&
      (gate.rate_limits == 0 || task.started >= gate.shut_since)) {
    ++gate.rate_limits;
  }
  const std::optional<BreakerRules>& rules = run.ledger->plan->agents[agent].breaker;
  if (!rules || !Traits(*c).trips_breaker) return;
  if (probe) {
    gate.opens = now + rules->cooldown;
    return;
  }
  if (gate.open) return;
  gate.failures.push_back(now);
  std::vector<Instant> recent;
  for (Instant at : gate.failures) {
    if (at > now - rules->window) recent.push_back(at);
  }
  gate.failures = recent;
  if (recent.size() < rules->failures) return;
  gate.failures.clear();
  gate.open = true;
  gate.opens = now + rules->cooldown;
}

void RulesModel::Failed(Run& run, std::uint32_t id, Task& task, const Batch& batch,
                        const RunEvent& event) {
  const FailureClass c = *event.failure;
  const bool ran = task.state == TaskState::Running;
  const bool none = c == FailureClass::QueueTimeout || c == FailureClass::Unresolved;
  if (ran && none) Complain(run, id, "fails as if it had not begun");
  if (!ran && !none && c != FailureClass::InvalidRequest) {
    Complain(run, id, fmt::format("{} without an attempt", Name(c)));
  }
  Duration retry_after{};
  if (ran) {
    if (event.attempt != task.attempts) Complain(run, id, "another attempt than the current one");
    for (const AttemptRecord& attempt : batch.attempts) {
      const AttemptId& a = attempt.outcome.id;
      const bool mine = a.run == event.run && a.subject == Subject::Task && a.index == id &&
                        a.number == task.attempts;
      if (mine) retry_after = attempt.outcome.retry_after;
    }
    Tell(run, id, task, c, event.at);
    Leaves(run, id, task);
  }
  task.state = TaskState::Pending;
  Decide(run, id, task, c, retry_after, event.at);
}

// 8.3, in its order.
void RulesModel::Decide(Run& run, std::uint32_t id, Task& task, FailureClass c,
                        Duration retry_after, Instant now) {
  const Plan& plan = *run.ledger->plan;
  const RecoveryRules& rules = *Planned(run, id).rules;
  const bool retried = IsToBeRetried(rules, c);
  if (Traits(c).counts || (c == FailureClass::SpawnFailed && retried)) ++task.failures;
  if (c == FailureClass::WorkerLost) ++task.losses;
  const bool elsewhere = c == FailureClass::Auth || (c == FailureClass::SpawnFailed && !retried);
  if (elsewhere) task.unfit.insert(task.worker);

  const bool poison = c == FailureClass::WorkerLost && task.losses >= plan.worker_losses_max;
  if (run.aborting || poison || c == FailureClass::Unresolved) {
    task.expect = Expect::GiveUp;
  } else if (c == FailureClass::WorkerLost) {
    return;  // Again at once.
  } else if (c == FailureClass::RateLimited) {
    const std::uint32_t agent = AgentOf(run, id, task.step);
    const std::uint32_t nth = agent == kNone ? task.rate_limits : run.agents[agent].rate_limits;
    Duration wait = retry_after;
    if (wait == Duration{}) {
      wait = seconds(30);
      for (std::uint32_t n = 1; n < nth && wait < seconds(1'800); ++n) wait = wait * 2;
      wait = std::min<Duration>(wait, seconds(1'800));
    }
    if (task.waited + wait > plan.rate_limit_wait_max) return NextAgent(run, id, task);
    task.expect = Expect::RateWait;
    task.delay = wait;
    if (agent == kNone) return;
    run.agents[agent].shut_since = now;
    run.agents[agent].shut_until = std::max(run.agents[agent].shut_until, now + wait);
  } else if (elsewhere) {
    if (task.unfit.size() >= 3) return NextAgent(run, id, task);
    task.expect = Expect::AgainOrFallback;
  } else {
    const std::uint32_t retries = task.step == 0 ? rules.retry : rules.fallback_retry;
    const bool budget = plan.retry_budget == kNone || run.retries < plan.retry_budget;
    if (!retried || task.failures > retries || !budget) return NextAgent(run, id, task);
    task.expect = Expect::Retry;
    task.delay = DelayBefore(rules, task.failures);
  }
}

// Rule 7.
void RulesModel::NextAgent(Run& run, std::uint32_t id, Task& task) {
  task.expect = task.step < Ladder(run, id) ? Expect::Fallback : Expect::GiveUp;
}

void RulesModel::Retrying(Run& run, std::uint32_t id, Task& task, const RunEvent& event) {
  const Duration delay = event.delay.value_or(Duration{});
  if (task.expect == Expect::Retry) {
    ++run.retries;
    const double least = 1.0 - Planned(run, id).rules->jitter;
    if (delay > task.delay ||
        static_cast<double>(delay.count()) + 1 < static_cast<double>(task.delay.count()) * least) {
      Complain(run, id,
               fmt::format("a retry after {} s, not after {} s", ToSeconds(delay),
                           ToSeconds(task.delay)));
    }
  } else if (task.expect == Expect::RateWait) {
    Instant until = event.at + task.delay;
    const std::uint32_t agent = AgentOf(run, id, task.step);
    if (agent != kNone) until = std::max(until, run.agents[agent].shut_until);
    if (event.at + delay != until)
      Complain(run, id, "it waits for another time than its rate limit");
    if (MovesOn(run, id, task, event.at)) Complain(run, id, "it waits, and a fallback is open");
    task.waited += delay;
  } else {
    Complain(run, id, "it is retried, and should not be");
  }
  task.expect = Expect::Nothing;
  task.state = TaskState::Waiting;
  task.due = event.at + delay;
}

void RulesModel::FellBack(Run& run, std::uint32_t id, Task& task, const RunEvent& event) {
  std::optional<std::uint32_t> step = MovesOn(run, id, task, event.at);
  const bool by_failure = task.expect == Expect::Fallback || task.expect == Expect::AgainOrFallback;
  const auto is_told = [&](std::uint32_t s) {
    return run.ledger->plan->agents[AgentOf(run, id, s)].name == event.agent;
  };
  // With another worker the same agent would go on, but that may be shut by now.
  const bool shut = task.expect == Expect::AgainOrFallback && step && is_told(*step);
  if (by_failure && !shut) {
    if (task.step >= Ladder(run, id)) return Complain(run, id, "there is no such fallback");
    step = task.step + 1;
  }
  if (!step || task.expect == Expect::Retry || task.expect == Expect::GiveUp) {
    return Complain(run, id, "it goes on with a fallback agent, and should not");
  }
  if (!is_told(*step)) {
    Complain(run, id, fmt::format("it falls back to {}", event.agent));
  }
  task.expect = Expect::Nothing;
  task.state = TaskState::Pending;
  task.step = *step;
  task.failures = 0;
  task.rate_limits = 0;
  task.unfit.clear();
}

void RulesModel::GivenUp(Run& run, std::uint32_t id, Task& task, const RunEvent& event) {
  const bool letter = event.kind == Kind::TaskDeadLettered;
  if (task.expect == Expect::Nothing) {
    if (letter) Complain(run, id, "it is given up, and should not be");
    task.state = TaskState::Skipped;  // Its condition, or its parent's.
    return;
  }
  const OnExhausted how = Planned(run, id).rules->on_exhausted;
  const bool last = task.expect == Expect::GiveUp ||
                    (task.expect == Expect::AgainOrFallback && task.step >= Ladder(run, id));
  // A hook may have aborted the run within this turn.
  const bool by_hook = run.ledger->run.aborting && !run.aborting && letter;
  if (!last && !by_hook) Complain(run, id, "it is given up too early");
  if (!run.aborting && !by_hook && letter != (how != OnExhausted::Skip)) {
    Complain(run, id, "on_exhausted says otherwise");
  }
  task.expect = Expect::Nothing;
  task.state = letter ? TaskState::Failed : TaskState::Skipped;
  if (letter && how == OnExhausted::Abort) run.aborting = true;
}

// The records say what the rules say.
void RulesModel::Compare(Run& run, const Batch& batch) {
  const RunId id = run.ledger->run.id;
  for (auto& [index, agent] : run.agents) {
    const Instant told = std::exchange(agent.told, Instant{});
    if (std::max(agent.shut_until, agent.open ? agent.opens : Instant{}) < told) {
      judge_.Complain(
          "rules", fmt::format("run {}: agent {} is said to be shut, and is not", id.value, index));
    }
  }
  for (const TaskRecord& record : batch.tasks) {
    if (record.run != id || record.joins) continue;
    if (run.ledger->Planned(record.task.value) == kNone) continue;
    if (Planned(run, record.task.value).kind == TaskKind::Parent) continue;
    Task& task = run.tasks[record.task.value];
    if (task.expect == Expect::AgainOrFallback) task.expect = Expect::Nothing;
    const auto of = [](TaskState s) { return s == TaskState::Ready ? TaskState::Pending : s; };
    const TaskState due = task.state == TaskState::Waiting && of(record.state) == TaskState::Pending
                              ? TaskState::Pending
                              : task.state;
    task.state = due;
    if (of(record.state) != due || task.expect != Expect::Nothing) {
      Complain(run, record.task.value,
               fmt::format("it is {}, and by the rules {} (expected {})", Name(record.state),
                           Name(task.state), static_cast<int>(task.expect)));
    }
    if (record.attempts != task.attempts || record.step != task.step ||
        record.extra->step_failures != task.failures || record.extra->losses != task.losses) {
      Complain(
          run, record.task.value,
          fmt::format("attempts {} step {} failures {} losses {}, by the rules {} {} {} {}",
                      record.attempts, record.step, record.extra->step_failures,
                      record.extra->losses, task.attempts, task.step, task.failures, task.losses));
    }
    if (record.state == TaskState::Waiting && record.due != task.due) {
      Complain(run, record.task.value, "it waits for another time than was told");
    }
  }
  for (const RunRecord& record : batch.runs) {
    if (record.id != id) continue;
    if (run.aborting && !record.aborting) {
      judge_.Complain("rules", fmt::format("run {} does not abort", id.value));
    }
    run.aborting = record.aborting;
    if (run.ledger->plan->retry_budget != kNone && record.retries_used != run.retries) {
      judge_.Complain("rules", fmt::format("run {} has used {} retries, by the rules {}", id.value,
                                           record.retries_used, run.retries));
    }
  }
}

}  // namespace troupe
