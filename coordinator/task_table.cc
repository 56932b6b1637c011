#include "coordinator/task_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace troupe {

TaskTable::TaskTable(const Checkpoint& checkpoint, const Plan& plan) : plan_(plan) {
  const auto& slots = checkpoint.run.slots;
  for (std::uint32_t i = 0; i < plan.tasks.size(); ++i) {
    const std::uint32_t id = slots.empty() ? i : slots[i];
    planned_[id] = i;
    next_id_ = std::max(next_id_, id + 1);
  }
  for (const TaskRecord& task : checkpoint.tasks) {
    next_id_ = std::max({next_id_, task.task.value + 1, task.first_iteration + task.iterations});
    const auto it = planned_.find(task.task.value);
    if (it == planned_.end() || task.iterations == 0) continue;
    loops_[task.first_iteration] = {it->second, task.iterations};
  }
}

TaskTable::Entry TaskTable::Find(TaskId id) const {
  if (const auto it = planned_.find(id.value); it != planned_.end()) return {it->second, kNone};
  auto it = loops_.upper_bound(id.value);
  if (it == loops_.begin()) return {};
  --it;
  const std::uint32_t iteration = id.value - it->first;
  if (iteration >= it->second.iterations) return {};
  return {it->second.loop, iteration};
}

std::string TaskTable::FullId(const Entry& entry) const {
  const std::string& id = plan_.tasks[entry.planned].id;
  return entry.iteration == kNone ? id : fmt::format("{}[{}]", id, entry.iteration);
}

}  // namespace troupe
