// `troupe why`: one sentence per task, and the history of its attempts.
#include <fmt/format.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/state.h"
#include "cli/text.h"
#include "coordinator/explain.h"

namespace troupe {
namespace {

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
    if (!attempt.accepted) end += " (came too late; not used)";
    rows.push_back({fmt::format("{}", outcome.id.number), Escaped(attempt.agent),
                    Escaped(attempt.worker), FormatInstant(outcome.started),
                    FormatDuration(outcome.ended - outcome.started),
                    CutToWidth(Escaped(end), 100)});
  }
  fmt::print("{}", FormatTable(rows));
}

void PrintRun(const StoredRun& run, const StateOptions& options) {
  const RunRecord& record = run.checkpoint.run;
  fmt::print("Run {} of \"{}\" is {}.\n", record.id.value, Escaped(record.workflow_name),
             run.StateName());
  if (!record.first_failure.empty()) {
    fmt::print("The first failure: {}\n", Escaped(record.first_failure));
  }
  if (!IsFinal(record.state) && !run.at_work) {
    fmt::print("Nobody is at work on it; go on with: troupe run {} --resume{}\n", record.file,
               StateDirFlag(options.state_dir));
  }
}

}  // namespace

int ExplainWhy(const StateOptions& options) {
  StateOptions chosen = options;
  Result<StoredRun> run = OpenRun(chosen);
  if (!run && chosen.task.empty() && !chosen.run.empty() &&
      run.error().code == ErrorCode::Invalid) {
    chosen.task = std::exchange(chosen.run, "");  // `why TASK`: of the newest run.
    run = OpenRun(chosen);
  }
  if (!run) return Refuse(run.error().message);
  const Instant now = Clock().Now();
  if (!chosen.task.empty()) {
    const Result<std::uint32_t> task = run->FindTask(chosen.task);
    if (!task) return Refuse(task.error().message);
    fmt::print("{}\n", Escaped(Explain(*run->live, *task, run->at_work, now)));
    PrintHistory(*run, *task);
    return kExitOk;
  }
  PrintRun(*run, options);
  for (std::uint32_t i = 0; i < run->plan->tasks.size(); ++i) {
    if (run->live->Record(i).state == TaskState::Completed) continue;
    fmt::print("{}\n", Escaped(Explain(*run->live, i, run->at_work, now)));
  }
  return kExitOk;
}

}  // namespace troupe
