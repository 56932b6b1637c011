// `troupe why`: one sentence per task, and the history of its attempts.
#include <fmt/format.h>

#include "base/clock.h"
#include "cli/checkpoint_view.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/state.h"
#include "cli/text.h"
#include "coordinator/explain.h"

namespace troupe {
namespace {

constexpr std::size_t kSentencesMax = 20;  // Of tasks in the same state.

void PrintHistory(const StoredRun& run, std::uint32_t task) {
  const auto attempts =
      run.store->Attempts(run.checkpoint.run.id, Subject::Task, run.live->Record(task).task.value);
  if (!attempts || attempts->empty()) return;
  std::vector<std::vector<std::string>> rows = {
      {"ATTEMPT", "AGENT", "WORKER", "STARTED", "TIME", "OUTCOME"}};
  for (const AttemptRecord& attempt : *attempts) {
    const AttemptOutcome& outcome = attempt.outcome;
    std::string end = "ok";
    if (outcome.failure) end = fmt::format("{}: {}", Name(*outcome.failure), outcome.message);
    // Only an attempt whose worker was lost can still say something afterwards.
    if (!attempt.accepted) end = fmt::format("worker_lost; came too late, not used: {}", end);
    rows.push_back({fmt::format("{}", outcome.id.number), Escaped(attempt.agent),
                    Escaped(attempt.worker), FormatLocal(outcome.started),
                    FormatDuration(outcome.ended - outcome.started),
                    CutToWidth(Escaped(end), 100)});
  }
  Print(FormatTable(rows));
}

std::string_view HowItIs(const StoredRun& run) {
  switch (run.checkpoint.run.state) {
    case RunState::Running:
      return run.at_work ? "is running" : "was interrupted; nobody is at work on it";
    case RunState::Paused:
      return "is paused";
    case RunState::Succeeded:
      return "succeeded";
    case RunState::Failed:
      return "failed";
    case RunState::Cancelled:
      return "was cancelled";
  }
  return "";
}

void PrintHook(const HookRecord& hook, Instant until) {
  const std::string name =
      HookName(hook) + (hook.stage.empty() ? "" : " of " + Escaped(hook.stage));
  if (hook.state == HookState::Ready) {
    Print(fmt::format("Hook {} waits for a worker that fits.\n", name));
  } else if (hook.state == HookState::Running) {
    Print(fmt::format("Hook {} is running on worker {}, for {}.\n", name, Escaped(hook.worker),
                      FormatDuration(until - hook.started)));
  } else if (hook.state == HookState::Failed) {
    Print(fmt::format("Hook {} failed: {}\n", name, Escaped(hook.message)));
  }
}

void PrintRun(const StoredRun& run, const StateOptions& options, Instant until) {
  const RunRecord& record = run.checkpoint.run;
  Print(fmt::format("Run {} of \"{}\" {}.\n", record.id.value, Escaped(record.workflow_name),
                    HowItIs(run)));
  if (!record.first_failure.empty()) {
    Print(fmt::format("The first failure: {}\n", Escaped(record.first_failure)));
  }
  if (!IsFinal(record.state) && !run.at_work) {
    std::string hint = ResumeHint(record, options.state_dir);
    hint[0] = 'G';
    Print(fmt::format("{}\n", hint));
  }
  for (const HookRecord& hook : run.checkpoint.hooks) PrintHook(hook, until);
}

// A sentence for each task that has not completed, the first causes first; of many alike a few.
void PrintTasks(const StoredRun& run, Instant until, const WorkerPool& pool) {
  for (const TaskState state :
       {TaskState::Failed, TaskState::Running, TaskState::Waiting, TaskState::Ready,
        TaskState::Skipped, TaskState::Pending, TaskState::Blocked, TaskState::Cancelled}) {
    std::size_t count = 0;
    for (const std::uint32_t i : run.live->InOrder()) {
      if (run.live->Record(i).state != state || ++count > kSentencesMax) continue;
      Print(fmt::format("{}\n", Escaped(Explain(*run.live, i, run.at_work, until, &pool))));
    }
    if (count > kSentencesMax)
      Print(fmt::format("… and {} more {}\n", count - kSentencesMax, Name(state)));
  }
}

}  // namespace

int ExplainWhy(const StateOptions& given) {
  const StateOptions options = WithTask(given);
  const Result<StoredRun> run = OpenRun(options);
  if (!run) return Refuse(run.error());
  const Instant until = run->at_work ? Clock().Now() : LastTime(run->checkpoint);
  const WorkerPool pool = run->source->Workers();
  if (options.task.empty()) {
    PrintRun(*run, options, until);
    PrintTasks(*run, until, pool);
    return kExitOk;
  }
  const Result<std::uint32_t> task = run->FindTask(options.task);
  if (!task) return Refuse(task.error());
  Print(fmt::format("{}\n", Escaped(Explain(*run->live, *task, run->at_work, until, &pool))));
  PrintHistory(*run, *task);
  return kExitOk;
}

}  // namespace troupe
