#include "storage/memory_checkpoint_store.h"

#include <fmt/format.h>

#include <algorithm>

namespace troupe {

Status MemoryCheckpointStore::Commit(const Batch& batch) {
  for (RunId run : batch.deleted_runs) runs_.erase(run);
  for (const RunRecord& record : batch.runs) {
    runs_[record.id].record = record;
    last_ = std::max(last_, record.id);
  }
  for (const WorkflowTextRecord& text : batch.texts) runs_[text.run].text = text.text;
  for (const TaskRecord& task : batch.tasks) runs_[task.run].tasks[task.task.value] = task;
  for (const HookRecord& hook : batch.hooks) runs_[hook.run].hooks[hook.execution] = hook;
  for (const AgentRecord& agent : batch.agents) runs_[agent.run].agents[agent.agent] = agent;
  for (const AttemptRecord& attempt : batch.attempts) {
    runs_[attempt.outcome.id.run].attempts[attempt.outcome.id] = attempt;
  }
  return {};
}

Result<std::vector<RunRecord>> MemoryCheckpointStore::Runs() const {
  std::vector<RunRecord> runs;
  for (const auto& [id, run] : runs_) runs.push_back(run.record);
  return runs;
}

Result<Checkpoint> MemoryCheckpointStore::Load(RunId id) const {
  const auto it = runs_.find(id);
  if (it == runs_.end()) {
    return Error{ErrorCode::NotFound, fmt::format("there is no run {}", id.value)};
  }
  Checkpoint checkpoint;
  checkpoint.run = it->second.record;
  checkpoint.workflow_text = it->second.text;
  for (const auto& [number, task] : it->second.tasks) checkpoint.tasks.push_back(task);
  for (const auto& [number, hook] : it->second.hooks) checkpoint.hooks.push_back(hook);
  for (const auto& [name, agent] : it->second.agents) checkpoint.agents.push_back(agent);
  return checkpoint;
}

Result<std::vector<AttemptRecord>> MemoryCheckpointStore::Attempts(RunId run, Subject subject,
                                                                   std::uint32_t index) const {
  std::vector<AttemptRecord> attempts;
  const auto it = runs_.find(run);
  if (it == runs_.end()) return attempts;
  for (auto a = it->second.attempts.lower_bound({run, subject, index, 0});
       a != it->second.attempts.end() && a->first.subject == subject && a->first.index == index;
       ++a) {
    attempts.push_back(a->second);
  }
  return attempts;
}

Status MemoryCheckpointStore::Attempts(
    RunId run, const std::function<bool(const AttemptRecord&)>& visit) const {
  const auto it = runs_.find(run);
  if (it == runs_.end()) return {};
  for (const auto& [id, attempt] : it->second.attempts) {
    if (!visit(attempt)) break;
  }
  return {};
}

}  // namespace troupe
