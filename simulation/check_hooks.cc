// Hooks: each execution once, in order, and the right lists.
#include <fmt/format.h>

#include <algorithm>

#include "simulation/checkers.h"

namespace troupe {
namespace {

bool IsOpen(HookState state) { return state == HookState::Ready || state == HookState::Running; }

HookList ListOf(const HookRecord& hook) { return static_cast<HookList>(hook.list); }

std::string NameOf(const HookRecord& hook) {
  return fmt::format("hook {}[{}]{}{} (execution {})", Name(ListOf(hook)), hook.index,
                     hook.stage.empty() ? "" : " of stage ", hook.stage, hook.execution);
}

const Hook& ItemOf(const LedgerRun& run, const HookRecord& hook) {
  return run.plan->hooks[hook.list][hook.index];
}

// Did this execution end its list?
bool EndedList(const LedgerRun& run, const HookRecord& hook) {
  return hook.state == HookState::Cancelled ||
         (hook.state == HookState::Failed && ItemOf(run, hook).fail);
}

}  // namespace

// What has finished stays as it is.
void Checkers::CheckHookRecord(const HookRecord* before, const HookRecord& after) {
  if (before == nullptr || before->command.empty()) return;
  if (!IsOpen(before->state) && !(*before == after)) {
    judge_.Complain("hooks", NameOf(after) + " had finished and has changed");
  }
  if (after.attempts < before->attempts) {
    judge_.Complain("attempt-numbers", "attempts of " + NameOf(after) + " go back");
  }
}

// A new execution: its list has come to it, and it is no repetition.
void Checkers::CheckHookBegins(const LedgerRun& run, const HookRecord& hook) {
  for (const HookRecord& other : run.hooks) {
    if (other.execution >= hook.execution) break;
    if (other.list != hook.list || other.stage != hook.stage) continue;
    if (other.index == hook.index) {
      const bool again =
          ListOf(hook) == HookList::OnError || ListOf(hook) == HookList::PostWorkflow;
      const bool new_round = other.round != hook.round;
      if (new_round && again) continue;
      // What had failed is run again in a new round, with what comes after it; and a stage that was
      // put back completes once more.
      if (new_round) continue;
      judge_.Complain("hooks", NameOf(hook) + " is run again");
    }
    if (other.round != hook.round || other.index > hook.index) continue;
    if (IsOpen(other.state) && !ItemOf(run, other).async) {
      judge_.Complain("hooks", NameOf(hook) + " does not wait for " + NameOf(other));
    }
    if (EndedList(run, other)) {
      judge_.Complain("hooks", NameOf(hook) + " runs after the end of its list");
    }
  }
}

void Checkers::CheckHookStart(const LedgerRun& run, const HookRecord& hook) {
  const RunRecord& r = run.run;
  const auto open_task = [&](const auto& entry) {
    return !IsSettled(entry.second.state) && entry.second.state != TaskState::Pending;
  };
  const bool tasks_open = std::any_of(run.tasks.begin(), run.tasks.end(), open_task);
  bool good = true;
  switch (ListOf(hook)) {
    case HookList::PreWorkflow:
      good = r.phase == RunPhase::PreHooks || ItemOf(run, hook).async ||
             (r.phase == RunPhase::Tasks && !tasks_open);
      break;
    case HookList::OnStageComplete:
      for (const Stage& stage : run.plan->stages) {
        if (stage.name != hook.stage) continue;
        for (std::uint32_t task : stage.tasks) {
          const TaskState s = run.StateOf(task);
          good = good && IsSettled(s) && s != TaskState::Blocked && s != TaskState::Cancelled;
        }
      }
      break;
    case HookList::OnError:
      good = r.failures > 0 && !r.cancelling && !tasks_open && r.phase == RunPhase::ErrorHooks;
      if (r.cancelling) good = true;  // It was on its way.
      break;
    case HookList::PostWorkflow:
      good = !tasks_open && r.phase == RunPhase::PostHooks;
      for (const HookRecord& other : run.hooks) {
        if (other.list != hook.list && IsOpen(other.state)) good = false;
      }
      break;
  }
  if (!good) judge_.Complain("hooks", NameOf(hook) + " runs too early");
}

// on_error ran if and only if the run failed, post_workflow always: as far as a list comes.
void Checkers::CheckEndedRun(const LedgerRun& run) {
  const auto check = [&](HookList list, bool wanted) {
    const std::vector<Hook>& items = run.plan->hooks[static_cast<std::size_t>(list)];
    std::vector<const HookRecord*> ran(items.size());
    bool ended = false;
    for (const HookRecord& hook : run.hooks) {
      if (ListOf(hook) != list || hook.round != run.run.round) continue;
      ran[hook.index] = &hook;
      ended = ended || EndedList(run, hook);
      if (IsOpen(hook.state)) judge_.Complain("hooks", NameOf(hook) + " is open at the end");
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (wanted && ran[i] == nullptr && !ended) {
        judge_.Complain("hooks", fmt::format("{}[{}] was not run", Name(list), i));
      }
      if (!wanted && ran[i] != nullptr) {
        judge_.Complain("hooks", NameOf(*ran[i]) + " was run for nothing");
      }
    }
  };
  const RunState state = run.run.state;
  if (state == RunState::Succeeded) check(HookList::OnError, false);
  check(HookList::PostWorkflow, true);
  const bool post_failed =
      std::any_of(run.hooks.begin(), run.hooks.end(), [&](const HookRecord& hook) {
        return ListOf(hook) == HookList::PostWorkflow && hook.round == run.run.round &&
               EndedList(run, hook);
      });
  if (state == RunState::Failed && !post_failed) check(HookList::OnError, true);
  std::uint32_t bad = 0;
  for (const auto& [id, task] : run.tasks) {
    if (!IsSettled(task.state) && !(task.state == TaskState::Pending)) {
      judge_.Complain("ends", fmt::format("run {} has ended and {} is {}", run.run.id.value,
                                          run.FullId(id), Name(task.state)));
    }
    if (task.state == TaskState::Failed && !task.joins) ++bad;
  }
  if (state == RunState::Succeeded && bad > 0) {
    judge_.Complain("ends", "a run has succeeded with failed tasks");
  }
}

}  // namespace troupe
