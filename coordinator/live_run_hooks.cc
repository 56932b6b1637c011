// Hooks: lists of them run item after item; stages complete and let their hooks run.
#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"
#include "coordinator/live_run.h"

namespace troupe {
namespace {

constexpr std::size_t kErrorBytesMax = 8'192;

std::string OneLine(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r' || c == '\0') c = ' ';
  }
  if (text.size() > kErrorBytesMax) {
    text.resize(kErrorBytesMax);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) {
      text.pop_back();
    }
    if (!text.empty() && (static_cast<unsigned char>(text.back()) & 0x80) != 0) text.pop_back();
  }
  return text;
}

std::string WithOthers(const std::string& first, std::uint32_t failures) {
  if (failures < 2) return OneLine(first);
  const std::string others = fmt::format(" (and {} more)", failures - 1);
  std::string text = first.substr(0, kErrorBytesMax - others.size());
  return OneLine(text) + others;
}

bool IsOpen(HookState state) { return state == HookState::Ready || state == HookState::Running; }

}  // namespace

// A stage counts its top-level tasks; a parent stands for its subtasks.
void LiveRun::NoteStageTask(std::uint32_t task, TaskState state) {
  const PlannedTask& planned = Planned(task);
  if (planned.stage == kNone || planned.parent != kNone) return;
  LiveStage& s = stages_[planned.stage];
  if (state == TaskState::Blocked || state == TaskState::Cancelled) s.broken = true;
  --s.unsettled;
}

void LiveRun::StageTaskSettled(std::uint32_t task, TaskState state, Turn& turn) {
  NoteStageTask(task, state);
  const PlannedTask& planned = Planned(task);
  if (planned.stage == kNone || planned.parent != kNone) return;
  const LiveStage& s = stages_[planned.stage];
  if (s.unsettled == 0 && !s.broken) CompleteStage(planned.stage, turn);
}

void LiveRun::CompleteStage(std::uint32_t stage, Turn& turn) {
  LiveStage& s = stages_[stage];
  if (s.completed) return;
  s.completed = true;
  if (!restoring_) {  // Else it was told before the restart.
    RunEvent event = Say(RunEvent::Kind::StageCompleted, turn);
    event.stage = plan_->stages[stage].name;
    turn.effects.tell.push_back(std::move(event));
  }
  if (record_.aborting || record_.cancelling) return;
  StartList(HookList::OnStageComplete, stage, 0, turn);
}

// All that the stage's gate needs has settled. A stage without tasks is complete as soon as the
// stages before it are.
void LiveRun::StageMet(std::uint32_t stage, Turn& turn) {
  LiveStage& s = stages_[stage];
  s.met = true;
  const Gate& gate = plan_->gates[plan_->stages[stage].gate];
  if (plan_->stages[stage].tasks.empty()) {
    s.broken = !gate.needs.empty() && graph_.IsBad(plan_->stages[stage].gate);
    if (!s.broken) CompleteStage(stage, turn);
  }
  OpenGate(stage, turn);
}

// Once all has settled and the hooks are done; those of a stage that never completes do not run.
void LiveRun::OpenGate(std::uint32_t stage, Turn& turn) {
  LiveStage& s = stages_[stage];
  if (!s.met || !(s.hooks_done || s.broken)) return;
  s.met = false;  // Once.
  settled_.push_back({Settled::What::StageGate, plan_->stages[stage].gate, true});
  Propagate(turn);
}

void LiveRun::StartList(HookList list, std::uint32_t stage, std::uint32_t first, Turn& turn) {
  lists_.push_back({.list = list, .stage = stage, .next = first});
  StepList(lists_.size() - 1, turn);
}

// Starts the list's next items: all async ones up to the next that must be waited for.
void LiveRun::StepList(std::size_t which, Turn& turn) {
  ListProgress& progress = lists_[which];
  const std::vector<Hook>& items = plan_->hooks[static_cast<std::size_t>(progress.list)];
  progress.current = kNone;
  while (progress.current == kNone && progress.next < items.size()) {
    const std::uint32_t item = progress.next++;
    const auto execution = static_cast<std::uint32_t>(hooks_.size());
    LiveHook& hook = hooks_.emplace_back();
    hook.hook = &items[item];
    hook.record.run = record_.id;
    hook.record.execution = execution;
    hook.record.list = static_cast<std::uint8_t>(progress.list);
    hook.record.index = item;
    if (progress.stage != kNone) hook.record.stage = plan_->stages[progress.stage].name;
    hook.record.round = record_.round;
    hook.record.command = items[item].command;
    hook.record.description = items[item].description;
    hook.record.ready_since = turn.now;
    MarkHook(execution);
    ready_hooks_.insert(execution);
    ++hooks_open_;
    if (!items[item].async) progress.current = execution;
  }
  if (progress.current == kNone) ListDone(which, turn);
}

void LiveRun::ListDone(std::size_t which, Turn& turn) {
  ListProgress& progress = lists_[which];
  progress.done = true;
  if (progress.list != HookList::OnStageComplete) return;
  stages_[progress.stage].hooks_done = true;
  OpenGate(progress.stage, turn);
}

// An attempt at the hook ended.
void LiveRun::FinishHook(std::uint32_t execution, const AttemptOutcome& outcome, Turn& turn) {
  HookRecord& r = hooks_[execution].record;
  const bool lost = outcome.failure == FailureClass::WorkerLost;
  const bool stopped = outcome.failure == FailureClass::Cancelled;
  if (!record_.cancelling && (outcome.never_started || stopped)) {
    r.state = HookState::Ready;
    ready_hooks_.insert(execution);
    MarkHook(execution);
    return;
  }
  if (lost && !record_.cancelling && ++r.losses < plan_->worker_losses_max) {
    r.state = HookState::Ready;
    ready_hooks_.insert(execution);
    MarkHook(execution);
    return;
  }
  if (outcome.started != Instant{}) r.started = outcome.started;
  r.exit_code = outcome.exit_code;
  r.output = outcome.output;
  r.error_output = outcome.error_output;
  r.message = outcome.message;
  const bool post = r.list == static_cast<std::uint8_t>(HookList::PostWorkflow);
  HookEnded(execution,
            !outcome.failure                         ? HookState::Succeeded
            : record_.cancelling && !post && stopped ? HookState::Cancelled
                                                     : HookState::Failed,
            turn);
}

void LiveRun::HookEnded(std::uint32_t execution, HookState state, Turn& turn) {
  LiveHook& hook = hooks_[execution];
  HookRecord& r = hook.record;
  r.state = state;
  r.ended = turn.now;
  ready_hooks_.erase(execution);
  --hooks_open_;
  MarkHook(execution);
  RunEvent event = Say(RunEvent::Kind::HookFinished, turn);
  event.task = fmt::format("{}[{}]", Name(static_cast<HookList>(r.list)), r.index);
  event.stage = r.stage;
  event.worker = r.worker;
  event.status = std::string(Name(state));
  event.message = state == HookState::Failed ? r.message : "";
  if (r.started != Instant{}) event.duration = r.ended - r.started;
  turn.effects.tell.push_back(std::move(event));

  for (std::size_t i = 0; i < lists_.size(); ++i) {
    if (lists_[i].current != execution) continue;
    lists_[i].current = kNone;
    if (state == HookState::Failed && hook.hook->fail) {
      HookFailed(execution, turn);
      ListDone(i, turn);
    } else if (state == HookState::Cancelled) {
      ListDone(i, turn);
    } else {
      StepList(i, turn);
    }
    return;
  }
}

// A hook with on_failure: fail has failed.
void LiveRun::HookFailed(std::uint32_t execution, Turn& turn) {
  const HookRecord& r = hooks_[execution].record;
  const auto list = static_cast<HookList>(r.list);
  if (list == HookList::OnError) return;  // The run has failed already.
  NoteFailure(fmt::format("hook {}[{}]: {}", Name(list), r.index, r.message), r.stage);
  if (list == HookList::PostWorkflow || record_.aborting) return;
  record_.aborting = true;
  if (list == HookList::OnStageComplete) CancelUnstarted(turn);
}

void LiveRun::CancelHooks(Turn& turn) {
  for (std::uint32_t i = 0; i < hooks_.size(); ++i) {
    const HookRecord& r = hooks_[i].record;
    if (r.state != HookState::Ready) continue;
    if (r.list == static_cast<std::uint8_t>(HookList::PostWorkflow)) continue;
    HookEnded(i, HookState::Cancelled, turn);
  }
}

// The first failure among a stage's tasks, those within parents and loops included.
std::string LiveRun::FirstFailureOf(std::uint32_t stage) const {
  std::uint32_t first = kNone;
  std::uint32_t failures = 0;
  for (std::uint32_t task = 0; task < size(); ++task) {
    const TaskRecord& r = tasks_[task].record;
    if (Planned(task).stage != stage || r.state != TaskState::Failed || r.joins) continue;
    ++failures;
    if (first == kNone || r.ended < tasks_[first].record.ended) first = task;
  }
  if (first == kNone) return "";
  const TaskRecord& r = tasks_[first].record;
  return WithOthers(
      fmt::format("task \"{}\": {}: {}", FullId(first), Name(*r.failure), r.extra->message),
      failures);
}

std::vector<std::pair<std::string, std::string>> LiveRun::HookEnvironment(
    const HookRecord& hook) const {
  std::string stage;
  std::string status = "running";
  std::string error;
  switch (static_cast<HookList>(hook.list)) {
    case HookList::PreWorkflow:
      break;
    case HookList::OnStageComplete:
      stage = hook.stage;
      for (std::uint32_t i = 0; i < plan_->stages.size(); ++i) {
        if (plan_->stages[i].name == hook.stage) error = FirstFailureOf(i);
      }
      break;
    case HookList::OnError:
      stage = record_.first_failure_stage;
      status = "failed";
      error = WithOthers(record_.first_failure, record_.failures);
      break;
    case HookList::PostWorkflow:
      status = record_.cancelling ? "cancelled" : record_.failures > 0 ? "failed" : "succeeded";
      error = WithOthers(record_.first_failure, record_.failures);
      break;
  }
  return {{"WORKFLOW_NAME", plan_->name},
          {"WORKFLOW_VERSION", plan_->version},
          {"WORKFLOW_STAGE", stage},
          {"WORKFLOW_STATUS", status},
          {"WORKFLOW_ERROR", error}};
}

// The lists of this phase and round, as far as their items' records say; stages that are complete
// and whose list had not begun begin it now.
void LiveRun::RestoreHooks(const Checkpoint& checkpoint, Turn& turn) {
  for (const HookRecord& saved : checkpoint.hooks) RestoreHook(saved, turn);
  for (std::uint32_t i = 0; i < stages_.size(); ++i) RestoreStage(i, turn);
  std::erase_if(lists_, [&](const ListProgress& p) {
    const bool of_tasks = p.list == HookList::OnStageComplete;
    return record_.phase == RunPhase::Tasks ? !of_tasks
                                            : p.list != ListOf(record_.phase) || of_tasks;
  });
  // The records say how far each list came; go on from there.
  for (std::size_t i = 0; i < lists_.size(); ++i) {
    if (lists_[i].done) {
      if (lists_[i].stage != kNone) stages_[lists_[i].stage].hooks_done = true;
    } else if (lists_[i].current == kNone) {
      StepList(i, turn);
    }
  }
  const bool hook_phase = record_.phase != RunPhase::Tasks && record_.phase != RunPhase::Ended;
  if (!hook_phase || !lists_.empty()) return;
  const HookList list = ListOf(record_.phase);
  const std::uint32_t failed = list == HookList::PreWorkflow ? FailedItem(list, "") : kNone;
  StartList(list, kNone, failed == kNone ? 0 : failed, turn);
}

void LiveRun::RestoreStage(std::uint32_t stage, Turn& turn) {
  LiveStage& s = stages_[stage];
  const std::string& name = plan_->stages[stage].name;
  s.completed = std::any_of(lists_.begin(), lists_.end(), [&](const ListProgress& p) {
    return p.list == HookList::OnStageComplete && p.stage == stage;
  });
  const bool complete = s.unsettled == 0 && !s.broken && !plan_->stages[stage].tasks.empty();
  if (s.completed || !complete || record_.phase != RunPhase::Tasks) return;
  const auto& done = record_.stages_done;
  if (std::find(done.begin(), done.end(), name) == done.end()) {
    CompleteStage(stage, turn);
    return;
  }
  // It completed in a round before; what then failed is run again, with what comes after it.
  s.completed = true;
  const std::uint32_t failed = FailedItem(HookList::OnStageComplete, name);
  if (failed == kNone) {
    s.hooks_done = true;
  } else if (!record_.aborting && !record_.cancelling) {
    StartList(HookList::OnStageComplete, stage, failed, turn);
  }
}

// The item that ended the list in a round before this one, a `fail` item that failed or one that
// was cancelled; kNone: none did.
std::uint32_t LiveRun::FailedItem(HookList list, const std::string& stage) const {
  std::uint32_t failed = kNone;
  for (const LiveHook& hook : hooks_) {
    const HookRecord& r = hook.record;
    if (r.list != static_cast<std::uint8_t>(list) || r.stage != stage) continue;
    if (r.round == record_.round) continue;
    const bool ended =
        r.state == HookState::Cancelled || (r.state == HookState::Failed && hook.hook->fail);
    failed = ended ? r.index : kNone;
  }
  return failed;
}

HookList LiveRun::ListOf(RunPhase phase) {
  switch (phase) {
    case RunPhase::PreHooks:
      return HookList::PreWorkflow;
    case RunPhase::ErrorHooks:
      return HookList::OnError;
    case RunPhase::PostHooks:
    case RunPhase::Tasks:
    case RunPhase::Ended:
      break;
  }
  return HookList::PostWorkflow;
}

void LiveRun::RestoreHook(const HookRecord& saved, Turn& turn) {
  const auto list = static_cast<HookList>(saved.list);
  const std::vector<Hook>& items = plan_->hooks[saved.list];
  LiveHook& hook = hooks_.emplace_back();
  hook.record = saved;
  static const Hook kGone;  // Its item is no longer in the workflow.
  hook.hook = saved.index < items.size() ? &items[saved.index] : &kGone;
  if (IsOpen(saved.state)) ++hooks_open_;
  if (saved.state == HookState::Ready) ready_hooks_.insert(saved.execution);
  if (saved.state == HookState::Running) {
    turn.pool.Hold(turn.pool.Know(saved.worker),
                   {record_.id, Subject::Hook, saved.execution, saved.attempts});
  }
  if (saved.round != record_.round) return;
  std::uint32_t stage = kNone;
  for (std::uint32_t i = 0; i < plan_->stages.size() && list == HookList::OnStageComplete; ++i) {
    if (plan_->stages[i].name == saved.stage) stage = i;
  }
  auto it = std::find_if(lists_.begin(), lists_.end(),
                         [&](const ListProgress& p) { return p.list == list && p.stage == stage; });
  if (it == lists_.end()) it = lists_.insert(lists_.end(), {.list = list, .stage = stage});
  if (!Mutant(Defect::HookRepeated)) it->next = std::max(it->next, saved.index + 1);
  if (hook.hook->async) return;
  if (IsOpen(saved.state)) it->current = saved.execution;
  if (saved.state == HookState::Cancelled ||
      (saved.state == HookState::Failed && hook.hook->fail)) {
    it->done = true;
  }
}

}  // namespace troupe
