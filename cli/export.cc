// `troupe export`: the state of a run as JSON, with the keys of the seed format and ours.
#include "cli/export.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/checkpoint_view.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/text.h"

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

std::string Capitalised(std::string_view word) {
  std::string text(word);
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 32);
  return text;
}

// Running, Completed, Failed, Paused: the seed format knows no others.
std::string SeedStatus(const RunRecord& run) {
  switch (run.state) {
    case RunState::Running:
      return "Running";
    case RunState::Paused:
      return "Paused";
    case RunState::Succeeded:
      return "Completed";
    case RunState::Failed:
    case RunState::Cancelled:
      break;
  }
  return "Failed";
}

Json TimeOrNull(Instant at) { return at == Instant{} ? Json() : Json(FormatInstant(at)); }

Json ParseOr(const std::string& text, Json otherwise) {
  Json json = Json::parse(text, nullptr, false);
  return json.is_discarded() ? std::move(otherwise) : json;
}

Json HookJson(const HookRecord& hook) {
  return {{"list", Name(static_cast<HookList>(hook.list))},
          {"index", hook.index},
          {"stage", hook.stage},
          {"round", hook.round},
          {"state", Name(hook.state)},
          {"worker", hook.worker},
          {"started_at", TimeOrNull(hook.started)},
          {"ended_at", TimeOrNull(hook.ended)},
          {"exit_code", hook.exit_code},
          {"message", hook.message},
          {"stdout", hook.output},
          {"stderr", hook.error_output}};
}

void AddTasks(const StoredRun& run, Json& json) {
  for (const char* key :
       {"task_statuses", "task_start_times", "task_end_times", "task_attempts", "task_errors"}) {
    json[key] = Json::object();
  }
  Json dead = Json::array();
  for (const std::uint32_t i : run.live->InOrder()) {
    const std::string id = run.live->FullId(i);
    const TaskRecord& task = run.live->Record(i);
    json["task_statuses"][id] = Capitalised(Name(task.state));
    if (task.first_started != Instant{}) {
      json["task_start_times"][id] = FormatInstant(task.first_started);
    }
    if (task.ended != Instant{}) json["task_end_times"][id] = FormatInstant(task.ended);
    json["task_attempts"][id] = task.attempts;
    if (task.failure && task.state != TaskState::Completed) {
      json["task_errors"][id] = fmt::format("{}: {}", Name(*task.failure), task.extra->message);
    }
    if (task.dead_letter) dead.push_back(id);
  }
  json["dead_letters"] = std::move(dead);
}

Json AgentsUsed(const StoredRun& run) {
  Json agents = Json::object();
  for (const std::uint32_t i : run.live->InOrder()) {
    const std::uint32_t agent = run.live->AgentOf(i);
    if (agent == kNone || run.live->Record(i).attempts == 0) continue;
    agents[run.live->FullId(i)] = run.plan->agents[agent].name;
  }
  return agents;
}

}  // namespace

std::string ExportText(const StoredRun& run) {
  const RunRecord& record = run.checkpoint.run;
  Json json = {{"workflow_name", record.workflow_name},
               {"workflow_version", record.workflow_version},
               {"status", SeedStatus(record)},
               {"started_at", TimeOrNull(record.started)},
               {"ended_at", TimeOrNull(record.ended)},
               {"checkpoint_at", FormatInstant(LastTime(run.checkpoint))}};
  AddTasks(run, json);
  const auto tasks = static_cast<double>(run.live->record().tasks);
  json["progress"] = tasks > 0 ? run.live->record().settled / tasks : 1.0;
  json["metadata"] = Json::object();
  json["run"] = record.id.value;
  json["state"] = run.StateName();
  json["workflow_file"] = record.file;
  json["workflow"] = record.chosen_workflow;
  json["run_dir"] = record.run_dir;
  json["inputs"] = ParseOr(record.inputs_json, Json::object());
  json["values"] =
      record.state_json.empty() ? json["inputs"] : ParseOr(record.state_json, Json::object());
  json["outputs"] = ParseOr(record.outputs_json, Json());
  json["first_failure"] = record.first_failure;
  json["task_agents"] = AgentsUsed(run);
  json["hooks"] = Json::array();
  for (const HookRecord& hook : run.checkpoint.hooks) json["hooks"].push_back(HookJson(hook));
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

int ExportRun(const StateOptions& options) {
  const Result<StoredRun> run = OpenRun(options);
  if (!run) return Refuse(run.error());
  Print(fmt::format("{}\n", ExportText(*run)));
  return kExitOk;
}

}  // namespace troupe
