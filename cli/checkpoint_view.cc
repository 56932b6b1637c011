#include "cli/checkpoint_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "coordinator/task_table.h"

namespace troupe {

std::vector<TaskView> TasksOf(const Plan& plan, const Checkpoint& checkpoint) {
  static const TaskRecord kFresh;
  const TaskTable table(checkpoint, plan);
  std::vector<const TaskRecord*> planned(plan.tasks.size(), &kFresh);
  std::map<std::pair<std::uint32_t, std::uint32_t>, const TaskRecord*> iterations;
  for (const TaskRecord& task : checkpoint.tasks) {
    const TaskTable::Entry entry = table.Find(task.task);
    if (entry.planned == kNone) continue;
    if (entry.iteration == kNone) {
      planned[entry.planned] = &task;
    } else {
      iterations[{entry.planned, entry.iteration}] = &task;
    }
  }
  std::vector<TaskView> views;
  for (std::uint32_t i = 0; i < plan.tasks.size(); ++i) {
    const PlannedTask& task = plan.tasks[i];
    const bool runs = task.kind != TaskKind::Parent && !planned[i]->joins;
    views.push_back({task.id, &task, planned[i], runs});
    for (auto it = iterations.lower_bound({i, 0}); it != iterations.end() && it->first.first == i;
         ++it) {
      views.push_back({table.FullId({i, it->first.second}), &task, it->second, true});
    }
  }
  return views;
}

std::uint32_t CountSettled(const Checkpoint& checkpoint) {
  return static_cast<std::uint32_t>(
      std::count_if(checkpoint.tasks.begin(), checkpoint.tasks.end(),
                    [](const TaskRecord& task) { return IsSettled(task.state) && !task.joins; }));
}

std::uint32_t CountTasks(const Plan& plan) {
  return static_cast<std::uint32_t>(
      std::count_if(plan.tasks.begin(), plan.tasks.end(),
                    [](const PlannedTask& task) { return task.kind != TaskKind::Parent; }));
}

bool IsOnWorker(const TaskRecord& record) {
  return record.state == TaskState::Running && !record.joins;
}

std::uint32_t AgentAt(const PlannedTask& task, const TaskRecord& record) {
  const auto& fallbacks = task.rules->fallback_agents;
  const bool own = record.step == 0 || record.step > fallbacks.size();
  return own ? task.agent : fallbacks[record.step - 1];
}

std::string HookName(const HookRecord& hook) {
  return fmt::format("{}[{}]", Name(static_cast<HookList>(hook.list)), hook.index);
}

Instant LastTime(const Checkpoint& checkpoint) {
  const RunRecord& run = checkpoint.run;
  Instant last = std::max({run.created, run.started, run.ended});
  for (const TaskRecord& task : checkpoint.tasks) {
    last = std::max({last, task.ready_since, task.attempt_started, task.ended});
  }
  for (const HookRecord& hook : checkpoint.hooks) {
    last = std::max({last, hook.ready_since, hook.started, hook.ended});
  }
  return last;
}

}  // namespace troupe
