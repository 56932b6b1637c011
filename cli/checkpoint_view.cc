#include "cli/checkpoint_view.h"

#include <fmt/format.h>

#include <algorithm>

namespace troupe {

const TaskRecord* FindTask(const Checkpoint& checkpoint, std::uint32_t index) {
  const auto& slots = checkpoint.run.slots;
  if (!slots.empty() && index >= slots.size()) return nullptr;
  const std::uint32_t id = slots.empty() ? index : slots[index];
  const auto it = std::lower_bound(
      checkpoint.tasks.begin(), checkpoint.tasks.end(), id,
      [](const TaskRecord& task, std::uint32_t value) { return task.task.value < value; });
  return it == checkpoint.tasks.end() || it->task.value != id ? nullptr : &*it;
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
