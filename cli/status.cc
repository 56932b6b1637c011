// `troupe runs` and `troupe status`.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/state.h"
#include "cli/text.h"
#include "storage/state_lock.h"

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

void Print(const Json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

Duration TimeOf(const RunRecord& run, Instant now) {
  return (run.ended == Instant{} ? now : run.ended) - run.started;
}

std::string Cause(const TaskRecord& task) {
  if (!task.failure || task.state == TaskState::Completed) return "";
  return CutToWidth(Escaped(fmt::format("{}: {}", Name(*task.failure), task.message)), 60);
}

std::vector<std::vector<std::string>> TaskRows(const StoredRun& run, Instant now) {
  std::vector<std::vector<std::string>> rows = {
      {"TASK", "STATE", "ATTEMPTS", "AGENT", "WORKER", "TIME", "CAUSE"}};
  for (std::uint32_t i = 0; i < run.plan->tasks.size(); ++i) {
    const TaskRecord& task = run.live->Record(i);
    const std::uint32_t agent = run.live->AgentOf(i);
    std::string time;
    if (task.first_started != Instant{}) {
      time = FormatDuration((IsSettled(task.state) ? task.ended : now) - task.first_started);
    }
    rows.push_back({Escaped(run.plan->tasks[i].id), std::string(Name(task.state)),
                    fmt::format("{}", task.attempts),
                    agent == kNone ? "" : Escaped(run.plan->agents[agent].name),
                    Escaped(task.worker), time, Cause(task)});
  }
  return rows;
}

std::vector<std::vector<std::string>> HookRows(const StoredRun& run) {
  std::vector<std::vector<std::string>> rows = {{"HOOK", "STATE", "TIME", "WHAT"}};
  for (const HookRecord& hook : run.checkpoint.hooks) {
    std::string name = fmt::format("{}[{}]", Name(static_cast<HookList>(hook.list)), hook.index);
    if (!hook.stage.empty()) name += " of " + Escaped(hook.stage);
    std::string what = Escaped(hook.description.empty() ? hook.command : hook.description);
    if (!hook.message.empty()) what += "  " + Escaped(hook.message);
    rows.push_back({name, std::string(Name(hook.state)),
                    hook.ended == Instant{} ? "" : FormatDuration(hook.ended - hook.started),
                    CutToWidth(what, 70)});
  }
  return rows;
}

Json StatusJson(const StoredRun& run) {
  const RunRecord& record = run.checkpoint.run;
  Json json = {{"run", record.id.value},
               {"workflow", record.workflow_name},
               {"state", run.StateName()},
               {"tasks", run.plan->tasks.size()},
               {"settled", run.live->record().settled},
               {"created", FormatInstant(record.created)},
               {"ended", FormatInstant(record.ended)},
               {"first_failure", record.first_failure}};
  Json tasks = Json::array();
  for (std::uint32_t i = 0; i < run.plan->tasks.size(); ++i) {
    const TaskRecord& task = run.live->Record(i);
    const std::uint32_t agent = run.live->AgentOf(i);
    tasks.push_back({{"task", run.plan->tasks[i].id},
                     {"state", Name(task.state)},
                     {"attempts", task.attempts},
                     {"agent", agent == kNone ? "" : run.plan->agents[agent].name},
                     {"worker", task.worker},
                     {"started", FormatInstant(task.first_started)},
                     {"ended", FormatInstant(task.ended)},
                     {"class", task.failure ? Name(*task.failure) : ""},
                     {"message", task.message},
                     {"dead_letter", task.dead_letter}});
  }
  json["task_list"] = std::move(tasks);
  return json;
}

}  // namespace

int ListRuns(const StateOptions& options) {
  const std::filesystem::path directory = options.state_dir;
  const bool at_work = StateLock::IsHeld(directory);
  const auto store = RocksDbCheckpointStore::OpenForReading(directory / "db");
  if (!store) return Refuse(store.error().message);
  const Result<std::vector<RunRecord>> runs = (*store)->Runs();
  if (!runs) return Refuse(runs.error().message);
  const Instant now = Clock().Now();
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"RUN", "WORKFLOW", "STATE", "TASKS", "STARTED", "TIME"}};
  for (const RunRecord& run : *runs) {
    const std::string state = StateNameOf(run, at_work);
    list.push_back({{"run", run.id.value},
                    {"workflow", run.workflow_name},
                    {"state", state},
                    {"tasks", run.tasks},
                    {"settled", run.settled},
                    {"started", FormatInstant(run.started)},
                    {"ended", FormatInstant(run.ended)}});
    rows.push_back({fmt::format("{}", run.id.value), Escaped(run.workflow_name), state,
                    fmt::format("{}", run.tasks), FormatInstant(run.started),
                    FormatDuration(TimeOf(run, now))});
  }
  if (options.json) {
    Print(list);
  } else {
    fmt::print("{}", FormatTable(rows));
  }
  return kExitOk;
}

int ShowStatus(const StateOptions& options) {
  const Result<StoredRun> run = OpenRun(options);
  if (!run) return Refuse(run.error().message);
  if (options.json) {
    Print(StatusJson(*run));
    return kExitOk;
  }
  const RunRecord& record = run->checkpoint.run;
  const Instant now = Clock().Now();
  fmt::print("run {} of \"{}\": {}, {} of {} tasks settled, {}\n", record.id.value,
             Escaped(record.workflow_name), run->StateName(), run->live->record().settled,
             run->plan->tasks.size(), FormatDuration(TimeOf(record, now)));
  if (!record.first_failure.empty())
    fmt::print("first failure: {}\n", Escaped(record.first_failure));
  if (!IsFinal(record.state) && !run->at_work) {
    fmt::print("go on with: troupe run {} --resume{}\n", record.file,
               StateDirFlag(options.state_dir));
  }
  fmt::print("\n{}", FormatTable(TaskRows(*run, now)));
  if (!run->checkpoint.hooks.empty()) fmt::print("\n{}", FormatTable(HookRows(*run)));
  return kExitOk;
}

}  // namespace troupe
