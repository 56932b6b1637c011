// Orders to a coordinator: cancel, pause, resume, retry; its workers.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/commands_fleet.h"
#include "cli/follow.h"
#include "cli/print.h"
#include "cli/remote_store.h"
#include "cli/source.h"
#include "cli/state.h"
#include "cli/text.h"

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

// By its number alone: the coordinator of a `troupe run` does not let its store be read.
Result<RunId> RunNamed(const StateOptions& options) {
  RunId run;
  const char* end = options.run.data() + options.run.size();
  const auto [rest, error] = std::from_chars(options.run.data(), end, run.value);
  if (error == std::errc() && rest == end) return run;
  return Error{ErrorCode::Invalid,
               fmt::format("\"{}\" is not the number of a run", Escaped(options.run))};
}

int Order(const StateOptions& options, CommandKind kind, const char* done) {
  const Result<RunId> run = RunNamed(options);
  if (!run) return Refuse(run.error());
  Result<Client> client = ConnectFor(options);
  if (!client) return Refuse(client.error());
  if (Status obeyed = client->Do(ClientCommand{.kind = kind, .run = *run}); !obeyed) {
    return Refuse(obeyed.error());
  }
  Print(fmt::format("run {} {}\n", run->value, done));
  return kExitOk;
}

const char* NameOf(WorkerState state) {
  switch (state) {
    case WorkerState::Connected:
      return "connected";
    case WorkerState::Draining:
      return "draining";
    case WorkerState::Silent:
      return "silent";
    case WorkerState::Left:
      return "left";
  }
  return "";
}

std::string Joined(const std::vector<std::string>& words) {
  return Escaped(fmt::format("{}", fmt::join(words, ", ")));
}

// How long a worker that is away is still waited for.
std::string LeaseOf(const WorkerInfo& worker) {
  const bool away = worker.state == WorkerState::Silent || worker.state == WorkerState::Left;
  return away ? "lost in " + FormatDuration(std::max(worker.lease, Duration{})) : "";
}

Json JsonOf(const WorkerInfo& worker) {
  Json holding = Json::array();
  for (const AttemptId& id : worker.holding) holding.push_back(ToString(id));
  return {{"worker", worker.name}, {"state", NameOf(worker.state)}, {"slots", worker.slots},
          {"used", worker.used},   {"labels", worker.labels},       {"providers", worker.providers},
          {"holding", holding}};
}

}  // namespace

int OrderCancel(const StateOptions& options) {
  return Order(options, CommandKind::Cancel, "is being cancelled");
}
int OrderPause(const StateOptions& options) {
  return Order(options, CommandKind::Pause, "is paused: nothing new starts");
}
int OrderResume(const StateOptions& options) {
  return Order(options, CommandKind::Resume, "goes on");
}

int RetryRemoteRun(const StateOptions& options, const std::vector<std::string>& tasks, bool wait) {
  Result<Client> client = ConnectFor(options);
  if (!client) return Refuse(client.error());
  const RemoteStore store(*client);
  const Result<std::vector<RunRecord>> runs = store.Runs();
  if (!runs) return Refuse(runs.error());
  const Result<RunId> run = ChooseRunOf(options, *runs);
  if (!run) return Refuse(run.error());
  if (Status begun = client->Do(ClientRetry{.run = *run, .tasks = tasks}); !begun) {
    return Refuse(begun.error());
  }
  if (wait) return FollowRun(*client, {.run = *run, .json = options.json});
  Print(fmt::format("run {} runs again\n", run->value));
  return kExitOk;
}

int ListWorkers(const StateOptions& options) {
  Result<Client> client = ConnectFor(options);
  if (!client) return Refuse(client.error());
  const Result<ClientWorkers> list = client->Ask<ClientWorkers>(ClientListWorkers{});
  if (!list) return Refuse(list.error());
  Json json = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"WORKER", "STATE", "USED", "LABELS", "PROVIDERS", ""}};
  for (const WorkerInfo& worker : list->workers) {
    json.push_back(JsonOf(worker));
    rows.push_back({worker.name, NameOf(worker.state),
                    fmt::format("{}/{}", worker.used, worker.slots), Joined(worker.labels),
                    Joined(worker.providers), LeaseOf(worker)});
  }
  if (options.json) {
    Print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else if (list->workers.empty()) {
    Say(fmt::format("no workers have joined the coordinator at {}\n", client->endpoint()));
  } else {
    Print(FormatTable(rows));
  }
  return kExitOk;
}

int DrainWorker(const StateOptions& options, const std::string& worker, bool undo) {
  Result<Client> client = ConnectFor(options);
  if (!client) return Refuse(client.error());
  if (Status done = client->Do(ClientDrain{.worker = worker, .on = !undo}); !done) {
    return Refuse(done.error());
  }
  Print(undo ? fmt::format("worker {} takes attempts again\n", Escaped(worker))
             : fmt::format("worker {} takes nothing new; what runs there goes on\n",
                           Escaped(worker)));
  return kExitOk;
}

}  // namespace troupe
