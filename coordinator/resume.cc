#include "coordinator/resume.h"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/task_table.h"
#include "workflow/compile.h"

namespace troupe {

Result<std::vector<AttemptRecord>> LoadOutcomes(const CheckpointStore& store,
                                                const Checkpoint& checkpoint, const Plan& plan) {
  const TaskTable table(checkpoint, plan);
  std::vector<AttemptRecord> outcomes;
  for (const TaskRecord& task : checkpoint.tasks) {
    const TaskTable::Entry entry = table.Find(task.task);
    if (entry.planned == kNone) continue;
    const PlannedTask& planned = plan.tasks[entry.planned];
    const bool reader = planned.extra->loop != nullptr && entry.iteration == kNone;
    const bool needed = reader ? task.joins && planned.extra->loop->source == Loop::Source::File
                               : planned.referenced && task.state == TaskState::Completed;
    if (!needed) continue;
    Result<std::vector<AttemptRecord>> attempts =
        store.Attempts(checkpoint.run.id, Subject::Task, task.task.value);
    if (!attempts) return attempts.error();
    for (AttemptRecord& attempt : *attempts) {
      if (attempt.outcome.id.number == task.attempts) outcomes.push_back(std::move(attempt));
    }
  }
  return outcomes;
}

Result<Resumable> LoadRunToView(const CheckpointStore& store, RunId run) {
  Resumable saved;
  Result<Checkpoint> checkpoint = store.Load(run);
  if (!checkpoint) return checkpoint.error();
  saved.checkpoint = *std::move(checkpoint);
  // It was accepted when the run began, if need be by --lenient.
  const Compiled compiled =
      CompileWorkflow(saved.checkpoint.workflow_text,
                      {.workflow = saved.checkpoint.run.chosen_workflow, .lenient = true});
  if (compiled.plan == nullptr) {
    return Error{ErrorCode::Invalid,
                 fmt::format("the workflow that run {} was started with is refused by this version "
                             "of troupe:\n{}",
                             run.value, FormatProblems("stored workflow", compiled.problems))};
  }
  saved.plan = compiled.plan;
  return saved;
}

Result<Resumable> LoadRun(const CheckpointStore& store, RunId run) {
  Result<Resumable> saved = LoadRunToView(store, run);
  if (!saved) return saved;
  Result<std::vector<AttemptRecord>> outcomes =
      LoadOutcomes(store, saved->checkpoint, *saved->plan);
  if (!outcomes) return outcomes.error();
  saved->outcomes = *std::move(outcomes);
  return saved;
}

}  // namespace troupe
