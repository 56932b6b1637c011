// `troupe delete`: forgets a run that has ended, or that was paused or interrupted and of which
// nothing runs. If a coordinator is at work in the state directory, it is asked to do it.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/state.h"
#include "cli/text.h"
#include "protocol/access.h"
#include "protocol/codec.h"
#include "protocol/zmq_endpoint.h"
#include "storage/state_lock.h"

namespace troupe {
namespace {

constexpr Duration kAnswerWithin = std::chrono::seconds(10);

// Asks the coordinator that is at work in this directory.
int AskToDelete(const std::filesystem::path& directory, RunId run) {
  std::string endpoint;
  std::getline(std::ifstream(directory / "endpoint"), endpoint);
  Result<DealerEndpoint> dealer =
      DealerEndpoint::Connect(endpoint, PeerOfClient(static_cast<std::uint64_t>(getpid())));
  if (!dealer) return Refuse(dealer.error().message);
  const Clock clock;
  const Instant until = clock.Now() + kAnswerWithin;
  const std::string question =
      Encode(ToCoordinator(ClientCommand{.request = 1, .kind = CommandKind::Delete, .run = run}));
  bool asked = false;
  while (clock.Now() < until) {
    asked = asked || dealer->Send(question) == SendResult::Sent;
    std::vector<WaitFd> none;
    dealer->Wait(none, std::chrono::milliseconds(asked ? 100 : 10));
    while (const std::optional<std::string> bytes = dealer->Receive()) {
      const Result<FromCoordinator> answer = DecodeFromCoordinator(*bytes);
      if (!answer) continue;
      const auto* reply = std::get_if<ClientReply>(&*answer);
      if (reply == nullptr) continue;
      if (!reply->error.empty()) return Refuse(reply->error);
      Print(fmt::format("run {} is deleted\n", run.value));
      return kExitOk;
    }
  }
  Say(fmt::format("troupe: the coordinator in {} does not answer\n", directory.string()));
  return kExitNoCoordinator;
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
    if (!run) return Refuse(run.error().message);
    record = run->checkpoint.run;
  }
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
  if (at_work) return AskToDelete(directory, record.id);
  if (!lock) return Refuse(lock.error().message);
  const auto store = RocksDbCheckpointStore::Open(directory / "db");
  if (!store) return Refuse(store.error().message);
  Batch batch;
  batch.deleted_runs = {record.id};
  if (Status committed = (*store)->Commit(batch); !committed) {
    return Refuse(committed.error().message);
  }
  Print(fmt::format("run {} is deleted\n", record.id.value));
  return kExitOk;
}

}  // namespace troupe
