// `troupe dead-letters`: tasks that were given up, of all runs or of one.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/checkpoint_view.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/state.h"
#include "cli/text.h"
#include "coordinator/resume.h"
#include "storage/rocksdb_checkpoint_store.h"
#include "storage/state_lock.h"

namespace troupe {
namespace {

constexpr std::size_t kCauseColumns = 80;

using Json = nlohmann::ordered_json;

bool HasDeadLetters(const Checkpoint& checkpoint) {
  for (const TaskRecord& task : checkpoint.tasks) {
    if (task.dead_letter) return true;
  }
  return false;
}

Json AttemptsOf(const CheckpointStore& store, const TaskRecord& task) {
  Json list = Json::array();
  const auto attempts = store.Attempts(task.run, Subject::Task, task.task.value);
  if (!attempts) return list;
  for (const AttemptRecord& attempt : *attempts) {
    const AttemptOutcome& outcome = attempt.outcome;
    list.push_back({{"attempt", outcome.id.number},
                    {"agent", attempt.agent},
                    {"worker", attempt.worker},
                    {"started", FormatInstant(outcome.started)},
                    {"ended", FormatInstant(outcome.ended)},
                    {"class", outcome.failure ? Name(*outcome.failure) : "ok"},
                    {"message", outcome.message},
                    {"stdout", outcome.output},
                    {"stderr", outcome.error_output}});
  }
  return list;
}

// The runs that `options` mean: one, or all.
Result<std::vector<RunId>> RunsMeant(const CheckpointStore& store, const StateOptions& options) {
  std::vector<RunId> ids;
  if (!options.run.empty()) {
    const Result<StoredRun> run = OpenRun(options);
    if (!run) return run.error();
    ids.push_back(run->checkpoint.run.id);
    return ids;
  }
  const Result<std::vector<RunRecord>> runs = store.Runs();
  if (!runs) return runs.error();
  for (const RunRecord& run : *runs) ids.push_back(run.id);
  return ids;
}

}  // namespace

int ListDeadLetters(const StateOptions& options) {
  const Result<std::unique_ptr<RunSource>> source = OpenSource(options);
  if (!source) return Refuse(source.error());
  const CheckpointStore& store = (*source)->store();
  const Result<std::vector<RunId>> runs = RunsMeant(store, options);
  if (!runs) return Refuse(runs.error());
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"RUN", "WORKFLOW", "TASK", "ATTEMPTS", "GIVEN UP", "CAUSE"}};
  for (RunId id : *runs) {
    const Result<Checkpoint> checkpoint = store.Load(id);
    if (!checkpoint) return Refuse(checkpoint.error());
    if (!HasDeadLetters(*checkpoint)) continue;
    const Result<Resumable> run = LoadRunToView(store, id);
    if (!run) return Refuse(run.error());
    for (const TaskView& view : TasksOf(*run->plan, run->checkpoint)) {
      const TaskRecord& task = *view.record;
      if (!task.dead_letter) continue;
      const std::string_view name = task.failure ? Name(*task.failure) : "";
      rows.push_back(
          {fmt::format("{}", id.value), Escaped(run->plan->name), Escaped(view.id),
           fmt::format("{}", task.attempts), FormatLocal(task.ended),
           CutToWidth(Escaped(fmt::format("{}: {}", name, task.extra->message)), kCauseColumns)});
      if (!options.json) continue;
      list.push_back({{"run", id.value},
                      {"workflow", run->plan->name},
                      {"task", view.id},
                      {"class", name},
                      {"message", task.extra->message},
                      {"ended", FormatInstant(task.ended)},
                      {"attempts", AttemptsOf(store, task)}});
    }
  }
  if (options.json) {
    Print(fmt::format("{}\n", list.dump(2, ' ', false, Json::error_handler_t::replace)));
  } else if (rows.size() == 1) {
    Say("there are no dead letters\n");
  } else {
    Print(FormatTable(rows));
    Say(fmt::format("run them again: troupe retry RUN [TASK...]{}\n",
                    StateDirFlag(options.state_dir)));
  }
  return kExitOk;
}

int DiscardDeadLettersOf(const StateOptions& options, const std::vector<std::string>& tasks) {
  const Result<std::optional<ConnectConfig>> remote = RemoteOf(options);
  if (!remote) return Refuse(remote.error());
  if (*remote) return Refuse("discarding dead letters of a coordinator is not supported yet");
  const std::filesystem::path directory = options.state_dir;
  RunId id;
  {
    const Result<StoredRun> run = OpenRun(options);
    if (!run) return Refuse(run.error());
    id = run->checkpoint.run.id;
  }
  const Result<StateLock> lock = StateLock::Take(directory);
  if (!lock) return Refuse(lock.error());
  const auto store = RocksDbCheckpointStore::Open(directory / "db");
  if (!store) return Refuse(store.error());
  const Result<Resumable> run = LoadRun(**store, id);
  if (!run) return Refuse(run.error());
  const Result<Batch> batch = DiscardDeadLetters(*run, tasks);
  if (!batch) return Refuse(batch.error());
  if (batch->empty()) return Refuse(fmt::format("run {} has no dead letters", id.value));
  if (Status committed = (*store)->Commit(*batch); !committed) {
    return Refuse(committed.error());
  }
  Print(fmt::format("{} dead letter{} of run {} discarded\n", batch->tasks.size(),
                    batch->tasks.size() == 1 ? "" : "s", id.value));
  return kExitOk;
}

}  // namespace troupe
