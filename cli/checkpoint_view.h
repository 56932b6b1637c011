// Questions that people have about a checkpoint. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "storage/checkpoint_store.h"
#include "workflow/plan.h"

namespace troupe {

// The record of a task by its plan index; null if it was never touched.
const TaskRecord* FindTask(const Checkpoint& checkpoint, std::uint32_t index);

// The agent that a task is at, by its record; kNone: its own work.
std::uint32_t AgentAt(const PlannedTask& task, const TaskRecord& record);

// "pre_workflow[0]"
std::string HookName(const HookRecord& hook);

// The latest time that anything in it has: when it was last changed, as far as it says.
Instant LastTime(const Checkpoint& checkpoint);

}  // namespace troupe
