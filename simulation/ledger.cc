#include "simulation/ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace troupe {

TaskState LedgerRun::StateOf(std::uint32_t task) const {
  const auto it = tasks.find(task);
  return it == tasks.end() ? TaskState::Pending : it->second.state;
}

std::uint32_t LedgerRun::AttemptsOf(std::uint32_t task) const {
  const auto it = tasks.find(task);
  return it == tasks.end() ? 0 : it->second.attempts;
}

std::uint32_t LedgerRun::Find(const std::string& full_id) const {
  if (const auto it = id_of.find(full_id); it != id_of.end()) return it->second;
  const std::size_t bracket = full_id.rfind('[');
  if (bracket == std::string::npos) return kNone;
  const auto loop = id_of.find(full_id.substr(0, bracket));
  if (loop == id_of.end()) return kNone;
  const auto record = tasks.find(loop->second);
  if (record == tasks.end()) return kNone;
  const auto iteration = static_cast<std::uint32_t>(std::stoul(full_id.substr(bracket + 1)));
  return iteration < record->second.iterations ? record->second.first_iteration + iteration : kNone;
}

std::uint32_t LedgerRun::Planned(std::uint32_t task) const {
  if (task < plan->tasks.size()) return task;
  for (const auto& [id, record] : tasks) {
    if (id >= plan->tasks.size()) break;
    if (record.iterations == 0 || task < record.first_iteration) continue;
    if (task < record.first_iteration + record.iterations) return id;
  }
  return kNone;
}

std::string LedgerRun::FullId(std::uint32_t task) const {
  const std::uint32_t planned = Planned(task);
  if (planned == kNone) return fmt::format("task {}", task);
  if (planned == task) return plan->tasks[task].id;
  return fmt::format("{}[{}]", plan->tasks[planned].id, task - tasks.at(planned).first_iteration);
}

void Ledger::Take(const Batch& batch) {
  for (RunId run : batch.deleted_runs) runs_.erase(run);
  for (const RunRecord& record : batch.runs) {
    LedgerRun& run = runs_[record.id];
    if (run.plan == nullptr) {
      run.plan = plans_.at(record.key);
      for (std::uint32_t i = 0; i < run.plan->tasks.size(); ++i) {
        run.id_of[run.plan->tasks[i].id] = i;
      }
    }
    run.run = record;
  }
  for (const TaskRecord& task : batch.tasks) runs_.at(task.run).tasks[task.task.value] = task;
  for (const HookRecord& hook : batch.hooks) {
    std::vector<HookRecord>& hooks = runs_.at(hook.run).hooks;
    if (hook.execution >= hooks.size()) hooks.resize(hook.execution + 1);
    hooks[hook.execution] = hook;
  }
  for (const AgentRecord& agent : batch.agents) runs_.at(agent.run).agents[agent.agent] = agent;
  for (const AttemptRecord& attempt : batch.attempts) {
    runs_.at(attempt.outcome.id.run).attempts[attempt.outcome.id] = attempt;
  }
}

}  // namespace troupe
