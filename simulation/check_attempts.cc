// Attempts and their results: numbers, order, what is saved before what, and what stays.
#include <fmt/format.h>

#include <algorithm>

#include "simulation/checkers.h"

namespace troupe {

void Checkers::OnLanded(const Batch& batch, const std::vector<RunEvent>& tell, Instant now) {
  for (const AttemptRecord& attempt : batch.attempts) CheckAttempt(attempt);
  for (const TaskRecord& task : batch.tasks) {
    const LedgerRun* run = ledger_.Find(task.run);
    if (run == nullptr || redriving_ == task.run) continue;
    const auto before = run->tasks.find(task.task.value);
    if (before != run->tasks.end()) CheckResult(*run, before->second, task);
  }
  for (const HookRecord& hook : batch.hooks) {
    const LedgerRun* run = ledger_.Find(hook.run);
    const bool known = run != nullptr && hook.execution < run->hooks.size();
    CheckHookRecord(known ? &run->hooks[hook.execution] : nullptr, hook);
  }
  const std::map<RunId, RunState> before = StatesOf(batch.runs);
  ledger_.Take(batch);
  for (const HookRecord& hook : batch.hooks) {
    if (hook.state == HookState::Ready && hook.attempts == 0) {
      CheckHookBegins(*ledger_.Find(hook.run), hook);
    }
  }
  for (const RunRecord& run : batch.runs) {
    const auto was = before.find(run.id);
    if (IsFinal(run.state) && (was == before.end() || !IsFinal(was->second))) {
      CheckEndedRun(*ledger_.Find(run.id));
    }
  }
  if (redriving_ != RunId{}) {
    rules_.OnReworked(redriving_, batch);
    redriving_ = {};
  } else {
    rules_.OnLanded(batch, tell, before, now);
  }
}

std::map<RunId, RunState> Checkers::StatesOf(const std::vector<RunRecord>& runs) const {
  std::map<RunId, RunState> states;
  for (const RunRecord& record : runs) {
    if (const LedgerRun* run = ledger_.Find(record.id)) states[record.id] = run->run.state;
  }
  return states;
}

// An attempt has one outcome, the one that truly was.
void Checkers::CheckAttempt(const AttemptRecord& attempt) {
  const AttemptOutcome& outcome = attempt.outcome;
  const std::string name = ToString(outcome.id);
  const LedgerRun* run = ledger_.Find(outcome.id.run);
  if (run != nullptr) {
    const auto before = run->attempts.find(outcome.id);
    const bool late = before != run->attempts.end() && !attempt.accepted &&
                      before->second.outcome.failure == FailureClass::WorkerLost;
    if (before != run->attempts.end() && !late && !(before->second == attempt)) {
      judge_.Complain("one-outcome", fmt::format("attempt {} has a second outcome", name));
    }
    const auto task = run->tasks.find(outcome.id.index);
    if (attempt.accepted && task != run->tasks.end() &&
        task->second.attempts != outcome.id.number && task->second.attempts > outcome.id.number) {
      judge_.Complain("fencing", fmt::format("{} was accepted; the current one is {}", name,
                                             task->second.attempts));
    }
  }
  const auto it = truth_.find(outcome.id);
  if (it == truth_.end()) return;  // A mock, or it was never sent.
  const Truth& truth = it->second;
  if (outcome.failure == FailureClass::WorkerLost && outcome.never_started) {
    if (truth.began && !truth.gone) {
      judge_.Complain("nothing-twice",
                      fmt::format("attempt {} is held to have never begun; it has", name));
    }
    return;
  }
  if (outcome.failure == FailureClass::WorkerLost) return;
  const bool changed = outcome.failure == FailureClass::InvalidRequest ||
                       outcome.failure == FailureClass::SchemaFailed;  // By what it returned.
  if (truth.kind == RunnerKind::Mock) return;
  if (!truth.ended || (truth.outcome.failure != outcome.failure && !changed) ||
      (!outcome.failure && truth.outcome.output != outcome.output)) {
    judge_.Complain("true-results", fmt::format("attempt {} did not end as was recorded", name));
  }
}

// What a task that has ended says of it stays; only a redrive puts it back.
void Checkers::CheckResult(const LedgerRun& run, const TaskRecord& before,
                           const TaskRecord& after) {
  const std::string name = run.FullId(after.task.value);
  if (after.attempts < before.attempts) {
    judge_.Complain("attempt-numbers", fmt::format("attempts of {} go back", name));
  }
  if (!IsSettled(before.state)) return;
  if (before.state != after.state || before.attempts != after.attempts) {
    judge_.Complain("results-stay", fmt::format("{} was {} and is {}", name, Name(before.state),
                                                Name(after.state)));
  }
}

void Checkers::OnSend(const Outgoing& outgoing, Instant now) {
  if (const auto* dispatch = std::get_if<Dispatch>(&outgoing.message)) {
    for (const AttemptSpec& spec : dispatch->specs) CheckDispatch(spec, now);
  } else if (const auto* committed = std::get_if<Committed>(&outgoing.message)) {
    for (const AttemptId& id : committed->ids) CheckAcknowledged(id);
  }
}

// Before an outcome is acknowledged it is on the disk, if it was not fenced off or its run deleted.
void Checkers::CheckAcknowledged(const AttemptId& id) {
  const LedgerRun* run = ledger_.Find(id.run);
  if (run == nullptr) return;
  if (id.subject == Subject::Hook) {
    if (id.index >= run->hooks.size()) return;
    const HookRecord& hook = run->hooks[id.index];
    if (hook.state == HookState::Running && hook.attempts == id.number) {
      judge_.Complain("save-then-send",
                      fmt::format("{} is acknowledged and not saved", ToString(id)));
    }
    return;
  }
  const auto task = run->tasks.find(id.index);
  if (task == run->tasks.end()) return;
  if (task->second.attempts == id.number && task->second.state == TaskState::Running &&
      !task->second.joins) {
    judge_.Complain("save-then-send",
                    fmt::format("{} is acknowledged and not saved", ToString(id)));
  }
}

void Checkers::CheckDispatch(const AttemptSpec& spec, Instant now) {
  const AttemptId& id = spec.id;
  Truth& truth = truth_[id];
  const std::string name = ToString(id);
  if (truth.sent && truth.token != spec.token) {
    judge_.Complain("attempt-numbers", fmt::format("{} was given to two attempts", name));
  }
  truth.sent = true;
  truth.token = spec.token;
  truth.kind = spec.kind;
  const LedgerRun* run = ledger_.Find(id.run);
  if (run == nullptr) {
    return judge_.Complain("save-then-send", fmt::format("{} is of a run that is not saved", name));
  }
  if (id.subject == Subject::Hook) {
    const HookRecord* hook = id.index < run->hooks.size() ? &run->hooks[id.index] : nullptr;
    if (hook == nullptr || hook->attempts != id.number || hook->state != HookState::Running) {
      return judge_.Complain("save-then-send", fmt::format("{} is sent and not saved", name));
    }
    CheckHookStart(*run, *hook);
  } else {
    const auto task = run->tasks.find(id.index);
    if (task == run->tasks.end() || task->second.attempts != id.number ||
        task->second.state != TaskState::Running) {
      return judge_.Complain("save-then-send", fmt::format("{} is sent and not saved", name));
    }
    CheckTaskStart(*run, id.index);
  }
  for (std::uint32_t number = 1; number < id.number; ++number) {
    const auto earlier = truth_.find({id.run, id.subject, id.index, number});
    if (earlier != truth_.end() && earlier->second.began && !earlier->second.ended &&
        earlier->second.fenced == Instant{}) {
      earlier->second.fenced = now;
      fenced_.push_back(earlier->first);
    }
  }
}

bool Checkers::IsMet(const LedgerRun& run, const Dependency& need,
                     const std::vector<std::uint32_t>& asks) const {
  if (need.on == Dependency::On::Task) {
    const TaskState s = run.StateOf(need.index);
    if (std::binary_search(asks.begin(), asks.end(), need.index)) return IsSettled(s);
    return s == TaskState::Completed || s == TaskState::Skipped;
  }
  const Gate& gate = run.plan->gates[need.index];
  std::vector<std::uint32_t> asked = asks;  // A subtask asks for what its parents ask for, too.
  if (gate.parent != kNone) {
    const std::vector<std::uint32_t>& more = run.plan->tasks[gate.parent].extra->asks;
    asked.insert(asked.end(), more.begin(), more.end());
    std::sort(asked.begin(), asked.end());
  }
  for (const Dependency& inner : gate.needs) {
    if (!IsMet(run, inner, asked)) return false;
  }
  if (gate.stage == kNone) return true;
  return std::none_of(run.hooks.begin(), run.hooks.end(), [&](const HookRecord& hook) {
    const bool open = hook.state == HookState::Ready || hook.state == HookState::Running;
    const std::vector<Hook>& items = run.plan->hooks[hook.list];
    return open && hook.list == static_cast<std::uint8_t>(HookList::OnStageComplete) &&
           hook.stage == run.plan->stages[gate.stage].name && !items[hook.index].async;
  });
}

// Nothing starts before everything that it needs is durably settled.
void Checkers::CheckTaskStart(const LedgerRun& run, std::uint32_t task) {
  const std::uint32_t planned = run.Planned(task);
  if (planned == kNone) return judge_.Complain("order", "an attempt of no task");
  const PlannedTask& p = run.plan->tasks[planned];
  for (const Dependency& need : p.needs) {
    if (IsMet(run, need, p.extra->asks)) continue;
    judge_.Complain("order", fmt::format("{} starts before what it needs", run.FullId(task)));
  }
  if (run.run.phase == RunPhase::PreHooks) {
    judge_.Complain("order", fmt::format("{} starts before pre_workflow", run.FullId(task)));
  }
}

void Checkers::OnAccepted(const std::string& key, RunId run) {
  const LedgerRun* saved = ledger_.Find(run);
  const auto [it, added] = accepted_.try_emplace(key, run);
  const bool deleted = saved == nullptr && !added;
  if (saved == nullptr && !deleted) {
    judge_.Complain("accepted", fmt::format("run {} was accepted and is not saved", run.value));
  }
  if (it->second != run && ledger_.Find(it->second) != nullptr) {
    judge_.Complain("accepted", fmt::format("key {} stands for two runs", key));
  }
  it->second = run;
}

void Checkers::OnBegan(const Machine&, const AttemptSpec& spec, Instant) {
  ++begun_;
  Truth& truth = truth_[spec.id];
  if (truth.began) {
    judge_.Complain("nothing-twice", fmt::format("attempt {} begins twice", ToString(spec.id)));
  }
  truth.began = true;
}

void Checkers::OnEnded(const Machine&, const AttemptOutcome& outcome) {
  Truth& truth = truth_[outcome.id];
  truth.ended = true;
  truth.outcome = outcome;
}

// A worker may forget an outcome when it is durable, or nobody can want it any more.
void Checkers::OnForgot(const Machine&, const AttemptId& id, bool lost) {
  Truth& truth = truth_[id];
  truth.gone = true;
  if (lost) return;
  const LedgerRun* run = ledger_.Find(id.run);
  if (run == nullptr || id.subject == Subject::Hook) return;
  const auto task = run->tasks.find(id.index);
  if (task == run->tasks.end() || task->second.joins) return;
  if (task->second.state == TaskState::Running && task->second.attempts == id.number) {
    judge_.Complain("results-kept",
                    fmt::format("the outcome of {} is gone before it was saved", ToString(id)));
  }
}

// An attempt whose place another one has taken ends when its lease and the window are over.
void Checkers::OnTime(Instant now, const std::deque<Machine>& machines) {
  if (fenced_.empty()) return;
  std::erase_if(fenced_, [&](const AttemptId& id) { return truth_.at(id).ended; });
  for (const AttemptId& id : fenced_) {
    for (const Machine& machine : machines) {
      if (!machine.spool().contains(id) || !machine.up()) continue;
      const Instant fenced = truth_.at(id).fenced;
      const Instant heard = std::min(machine.heard(), fenced + fence_);
      if (now <= std::max({fenced, machine.up_since(), heard}) + fence_) continue;
      judge_.Complain("fencing",
                      fmt::format("{} still runs on {}, {:.0f} s after it was lost", ToString(id),
                                  machine.name(), ToSeconds(now - truth_.at(id).fenced)));
    }
  }
}

void Checkers::AtTheEnd() {
  for (const auto& [key, run] : accepted_) {
    const LedgerRun* saved = ledger_.Find(run);
    if (saved != nullptr && !IsFinal(saved->run.state)) {
      judge_.Complain("ends", fmt::format("run {} has not ended", run.value));
    }
  }
}

}  // namespace troupe
