// Questions that people have about a checkpoint. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "storage/checkpoint_store.h"
#include "workflow/plan.h"

namespace troupe {

// A task of a run, or an iteration that has a record.
struct TaskView {
  std::string id = "";                   // Full id.
  const PlannedTask* planned = nullptr;  // Of an iteration: its loop.
  const TaskRecord* record = nullptr;    // Never null; of one that was not touched, a fresh one.
  bool runs = true;                      // Not a parent, nor a loop that has its iterations.
};
// In the order of the file, iterations behind their loop. Borrows both.
std::vector<TaskView> TasksOf(const Plan& plan, const Checkpoint& checkpoint);

// Of those that run: how many are settled.
std::uint32_t CountSettled(const Checkpoint& checkpoint);
// Of a plan: tasks that can run; a loop counts as one.
std::uint32_t CountTasks(const Plan& plan);
// Does a worker have an attempt of it?
bool IsOnWorker(const TaskRecord& record);

// The agent that a task is at, by its record; kNone: its own work.
std::uint32_t AgentAt(const PlannedTask& task, const TaskRecord& record);

// "pre_workflow[0]"
std::string HookName(const HookRecord& hook);

// The latest time that anything in it has: when it was last changed, as far as it says.
Instant LastTime(const Checkpoint& checkpoint);

}  // namespace troupe
