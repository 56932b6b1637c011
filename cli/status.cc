// `troupe runs` and `troupe status`.
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/checkpoint_view.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/state.h"
#include "cli/text.h"

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kTasksMax = 200;

void PrintJson(const Json& json) {
  Print(fmt::format("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace)));
}

// How many tasks are settled, and the last sign of life. The record of a run that goes on does not
// know either.
struct Extent {
  std::uint32_t settled = 0;
  Instant until{};
};
Extent ExtentOf(const CheckpointStore& store, const RunRecord& run, bool at_work, Instant now) {
  Extent extent{run.settled, run.ended};
  if (IsFinal(run.state)) return extent;
  extent.until = now;
  const Result<Checkpoint> checkpoint = store.Load(run.id);
  if (!checkpoint) return extent;
  if (!at_work) extent.until = LastTime(*checkpoint);
  extent.settled = CountSettled(*checkpoint);
  return extent;
}

std::string Cause(const TaskRecord& task) {
  if (!task.failure || task.state == TaskState::Completed) return "";
  return CutToWidth(Escaped(fmt::format("{}: {}", Name(*task.failure), task.extra->message)), 60);
}

std::vector<std::string> TaskRow(const StoredRun& run, std::uint32_t index, Instant until) {
  const TaskRecord& task = run.live->Record(index);
  const std::uint32_t agent = run.live->AgentOf(index);
  std::string time;
  if (task.first_started != Instant{}) {
    time = FormatDuration((IsSettled(task.state) ? task.ended : until) - task.first_started);
  }
  return {Escaped(run.live->FullId(index)),
          std::string(Name(task.state)),
          fmt::format("{}", task.attempts),
          agent == kNone ? "" : Escaped(run.plan->agents[agent].name),
          Escaped(task.worker),
          time,
          Cause(task)};
}

// Of a long list those that one asks about: failed ones and those that move, then the others.
void PrintTasks(const StoredRun& run, Instant until) {
  const auto moves = [](TaskState s) {
    return s == TaskState::Failed || s == TaskState::Running || s == TaskState::Waiting ||
           s == TaskState::Ready || s == TaskState::Skipped;
  };
  const std::vector<std::uint32_t> order = run.live->InOrder();
  const std::size_t count = order.size();
  std::vector<bool> shown(count, count <= kTasksMax);
  std::size_t room = count <= kTasksMax ? 0 : kTasksMax;
  for (const bool first : {true, false}) {
    for (std::size_t i = 0; i < count && room > 0; ++i) {
      if (shown[i] || moves(run.live->Record(order[i]).state) != first) continue;
      shown[i] = true;
      --room;
    }
  }
  std::vector<std::vector<std::string>> rows = {
      {"TASK", "STATE", "ATTEMPTS", "AGENT", "WORKER", "TIME", "CAUSE"}};
  for (std::size_t i = 0; i < count; ++i) {
    if (shown[i]) rows.push_back(TaskRow(run, order[i], until));
  }
  Print(fmt::format("\n{}", FormatTable(rows)));
  if (rows.size() <= count) {
    Print(fmt::format("… and {} more; --json has all\n", count - rows.size() + 1));
  }
}

std::vector<std::vector<std::string>> HookRows(const StoredRun& run) {
  std::vector<std::vector<std::string>> rows = {{"HOOK", "STATE", "TIME", "WHAT"}};
  for (const HookRecord& hook : run.checkpoint.hooks) {
    std::string name = HookName(hook);
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
               {"tasks", run.live->record().tasks},
               {"settled", run.live->record().settled},
               {"created", FormatInstant(record.created)},
               {"ended", FormatInstant(record.ended)},
               {"first_failure", record.first_failure}};
  Json tasks = Json::array();
  for (const std::uint32_t i : run.live->InOrder()) {
    const TaskRecord& task = run.live->Record(i);
    const std::uint32_t agent = run.live->AgentOf(i);
    tasks.push_back({{"task", run.live->FullId(i)},
                     {"state", Name(task.state)},
                     {"attempts", task.attempts},
                     {"agent", agent == kNone ? "" : run.plan->agents[agent].name},
                     {"worker", task.worker},
                     {"started", FormatInstant(task.first_started)},
                     {"ended", FormatInstant(task.ended)},
                     {"class", task.failure ? Name(*task.failure) : ""},
                     {"message", task.extra->message},
                     {"notice", task.extra->notice},
                     {"dead_letter", task.dead_letter}});
  }
  json["task_list"] = std::move(tasks);
  json["hooks"] = Json::array();
  for (const HookRecord& hook : run.checkpoint.hooks) {
    json["hooks"].push_back({{"hook", HookName(hook)},
                             {"stage", hook.stage},
                             {"state", Name(hook.state)},
                             {"worker", hook.worker},
                             {"started", FormatInstant(hook.started)},
                             {"ended", FormatInstant(hook.ended)},
                             {"exit_code", hook.exit_code},
                             {"message", hook.message},
                             {"stdout", hook.output},
                             {"stderr", hook.error_output}});
  }
  return json;
}

}  // namespace

int ListRuns(const StateOptions& options) {
  const Result<std::unique_ptr<RunSource>> source = OpenSource(options);
  if (!source) return Refuse(source.error());
  const CheckpointStore& store = (*source)->store();
  const bool at_work = (*source)->at_work();
  const Result<std::vector<RunRecord>> runs = store.Runs();
  if (!runs) return Refuse(runs.error());
  const Instant now = Clock().Now();
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"RUN", "WORKFLOW", "STATE", "TASKS", "STARTED", "TIME"}};
  for (const RunRecord& run : *runs) {
    const std::string state = StateNameOf(run, at_work);
    const Extent extent = ExtentOf(store, run, at_work, now);
    const Duration time = extent.until - run.started;
    list.push_back({{"run", run.id.value},
                    {"workflow", run.workflow_name},
                    {"state", state},
                    {"tasks", run.tasks},
                    {"settled", extent.settled},
                    {"started", FormatInstant(run.started)},
                    {"ended", FormatInstant(run.ended)},
                    {"duration_ms", std::chrono::floor<std::chrono::milliseconds>(time).count()}});
    rows.push_back({fmt::format("{}", run.id.value), Escaped(run.workflow_name), state,
                    fmt::format("{}/{}", extent.settled, run.tasks), FormatLocal(run.started),
                    FormatDuration(time)});
  }
  if (options.json) {
    PrintJson(list);
  } else {
    Print(FormatTable(rows));
  }
  return kExitOk;
}

int ShowStatus(const StateOptions& options) {
  const Result<StoredRun> run = OpenRun(options);
  if (!run) return Refuse(run.error());
  if (options.json) {
    PrintJson(StatusJson(*run));
    return kExitOk;
  }
  const RunRecord& record = run->checkpoint.run;
  const Instant until = run->Until(Clock().Now());
  Print(fmt::format("run {} of \"{}\": {}, {} of {} tasks settled, {}\n", record.id.value,
                    Escaped(record.workflow_name), run->StateName(), run->live->record().settled,
                    run->live->record().tasks, FormatDuration(until - record.started)));
  if (!record.first_failure.empty()) {
    Print(fmt::format("first failure: {}\n", Escaped(record.first_failure)));
  }
  if (!IsFinal(record.state) && !run->at_work) {
    Print(fmt::format("{}\n", ResumeHint(record, options.state_dir)));
  }
  PrintTasks(*run, until);
  if (!run->checkpoint.hooks.empty()) Print(fmt::format("\n{}", FormatTable(HookRows(*run))));
  return kExitOk;
}

}  // namespace troupe
