// `troupe delete`: forgets a run that has ended, or that was paused or interrupted and of which
// nothing runs. If a coordinator is at work in the state directory, it is asked to do it.
#include <fmt/format.h>

#include <filesystem>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/state.h"
#include "cli/text.h"
#include "storage/rocksdb_checkpoint_store.h"
#include "storage/state_lock.h"

namespace troupe {
namespace {

// Asks the coordinator that the options mean, or that is at work in their directory.
int AskToDelete(const StateOptions& options, RunId run) {
  Result<Client> client = ConnectFor(options);
  if (!client) return Refuse(client.error());
  if (Status deleted = client->Do(ClientCommand{.kind = CommandKind::Delete, .run = run});
      !deleted) {
    return Refuse(deleted.error());
  }
  Print(fmt::format("run {} is deleted\n", run.value));
  return kExitOk;
}

// Does a worker's spool hold attempts of the run? They may be running.
bool HasAttempts(const std::filesystem::path& state_dir, RunId run) {
  const std::string prefix = fmt::format("{}-", run.value);
  std::error_code error;
  for (const auto& worker : std::filesystem::directory_iterator(state_dir / "workers", error)) {
    for (const auto& spool : std::filesystem::directory_iterator(worker.path() / "spool", error)) {
      if (spool.path().filename().string().rfind(prefix, 0) == 0) return true;
    }
  }
  return false;
}

}  // namespace

int DeleteRun(const StateOptions& options) {
  RunRecord record;
  {
    const Result<StoredRun> run = OpenRun(options);
    if (!run) return Refuse(run.error());
    record = run->checkpoint.run;
  }
  const Result<std::optional<ConnectConfig>> remote = RemoteOf(options);
  if (!remote) return Refuse(remote.error());
  if (*remote) return AskToDelete(options, record.id);
  const std::filesystem::path directory = options.state_dir;
  const Result<StateLock> lock = StateLock::Take(directory);
  const bool at_work = !lock && lock.error().code == ErrorCode::Locked;
  if (!IsFinal(record.state) && (at_work || HasAttempts(directory, record.id))) {
    const std::string file = Quoted(Escaped(record.file)) + StateDirFlag(options.state_dir);
    return Refuse(fmt::format(
        "run {} has not ended{}. Finish it: troupe run {} --resume; or stop "
        "and remove it: troupe run {} --clean",
        record.id.value, at_work ? "" : ": attempts of it are still there", file, file));
  }
  if (at_work) return AskToDelete(options, record.id);
  if (!lock) return Refuse(lock.error());
  const auto store = RocksDbCheckpointStore::Open(directory / "db");
  if (!store) return Refuse(store.error());
  Batch batch;
  batch.deleted_runs = {record.id};
  if (Status committed = (*store)->Commit(batch); !committed) {
    return Refuse(committed.error());
  }
  Print(fmt::format("run {} is deleted\n", record.id.value));
  return kExitOk;
}

}  // namespace troupe
