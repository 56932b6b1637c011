#include "coordinator/resume.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "workflow/compile.h"

namespace troupe {
namespace {

// Plan index of each TaskId of a run.
std::map<std::uint32_t, std::uint32_t> IndexOfTasks(const RunRecord& run, const Plan& plan) {
  std::map<std::uint32_t, std::uint32_t> index;
  for (std::uint32_t i = 0; i < plan.tasks.size(); ++i) {
    index[run.slots.empty() ? i : run.slots[i]] = i;
  }
  return index;
}

Result<std::vector<AttemptRecord>> NeededOutcomes(const CheckpointStore& store,
                                                  const Checkpoint& checkpoint, const Plan& plan) {
  const auto index = IndexOfTasks(checkpoint.run, plan);
  std::vector<AttemptRecord> outcomes;
  for (const TaskRecord& task : checkpoint.tasks) {
    const auto it = index.find(task.task.value);
    if (it == index.end() || task.state != TaskState::Completed) continue;
    if (!plan.tasks[it->second].referenced) continue;
    Result<std::vector<AttemptRecord>> attempts =
        store.Attempts(checkpoint.run.id, Subject::Task, task.task.value);
    if (!attempts) return attempts.error();
    for (AttemptRecord& attempt : *attempts) {
      if (attempt.outcome.id.number == task.attempts) outcomes.push_back(std::move(attempt));
    }
  }
  return outcomes;
}

// What a task that runs again keeps: its numbers.
TaskRecord Fresh(const TaskRecord& old) {
  TaskRecord fresh;
  fresh.run = old.run;
  fresh.task = old.task;
  fresh.attempts = old.attempts;
  fresh.lost_attempts = old.lost_attempts;
  return fresh;
}

}  // namespace

Result<Resumable> LoadRun(const CheckpointStore& store, RunId run) {
  Resumable saved;
  Result<Checkpoint> checkpoint = store.Load(run);
  if (!checkpoint) return checkpoint.error();
  saved.checkpoint = *std::move(checkpoint);
  const Compiled compiled = CompileWorkflow(saved.checkpoint.workflow_text,
                                            {.workflow = saved.checkpoint.run.chosen_workflow});
  if (compiled.plan == nullptr) {
    return Error{ErrorCode::Invalid,
                 fmt::format("the workflow that run {} was started with is refused by this version "
                             "of troupe:\n{}",
                             run.value, FormatProblems("stored workflow", compiled.problems))};
  }
  saved.plan = compiled.plan;
  Result<std::vector<AttemptRecord>> outcomes =
      NeededOutcomes(store, saved.checkpoint, *saved.plan);
  if (!outcomes) return outcomes.error();
  saved.outcomes = *std::move(outcomes);
  return saved;
}

Result<AcceptedChanges> AcceptChanges(const CheckpointStore& store, const Resumable& old,
                                      std::shared_ptr<const Plan> plan, const std::string& text) {
  const RunRecord& before = old.checkpoint.run;
  if (before.phase != RunPhase::PreHooks && before.phase != RunPhase::Tasks) {
    return Error{ErrorCode::Invalid,
                 fmt::format("all tasks of run {} have ended; changes to the workflow have no "
                             "effect on it any more. Start a new run",
                             before.id.value)};
  }
  AcceptedChanges accepted;
  RunRecord run = before;
  std::map<std::string, std::uint32_t> id_of;  // Task name → TaskId, of the old plan.
  std::uint32_t next = 0;
  for (const auto& [id, index] : IndexOfTasks(before, *old.plan)) {
    id_of[old.plan->tasks[index].id] = id;
    next = std::max(next, id + 1);
  }
  for (const TaskRecord& task : old.checkpoint.tasks) next = std::max(next, task.task.value + 1);
  run.slots.clear();
  for (const PlannedTask& task : plan->tasks) {
    const auto it = id_of.find(task.id);
    run.slots.push_back(it == id_of.end() ? next++ : it->second);
  }
  run.tasks = static_cast<std::uint32_t>(plan->tasks.size());
  run.aborting = false;
  run.failures = 0;
  run.first_failure.clear();
  run.first_failure_stage.clear();

  const auto index = IndexOfTasks(run, *plan);
  Checkpoint& checkpoint = accepted.run.checkpoint;
  for (const TaskRecord& task : old.checkpoint.tasks) {
    const auto it = index.find(task.task.value);
    if (it == index.end()) continue;
    const PlannedTask& planned = plan->tasks[it->second];
    const bool done = task.state == TaskState::Completed || task.state == TaskState::Skipped;
    const bool going = task.state == TaskState::Running || task.state == TaskState::Waiting;
    if (task.fingerprint == planned.fingerprint && (done || going)) {
      if (done) accepted.kept.push_back(planned.id);
      checkpoint.tasks.push_back(task);
      continue;
    }
    if (task.attempts > 0) accepted.again.push_back(planned.id);
    checkpoint.tasks.push_back(Fresh(task));
    accepted.save.tasks.push_back(checkpoint.tasks.back());
  }
  checkpoint.run = run;
  checkpoint.workflow_text = text;
  checkpoint.hooks = old.checkpoint.hooks;
  accepted.save.runs.push_back(run);
  accepted.save.texts.push_back({run.id, text});
  accepted.run.plan = std::move(plan);
  Result<std::vector<AttemptRecord>> outcomes =
      NeededOutcomes(store, checkpoint, *accepted.run.plan);
  if (!outcomes) return outcomes.error();
  accepted.run.outcomes = *std::move(outcomes);
  return accepted;
}

}  // namespace troupe
