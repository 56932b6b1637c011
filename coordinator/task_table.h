// Whose a stored task record is: a task of the plan, or an iteration of a loop.
//
// Pure; made from a checkpoint and the plan that belongs to it, which outlive it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "storage/checkpoint_store.h"
#include "workflow/plan.h"

namespace troupe {

class TaskTable {
 public:
  TaskTable(const Checkpoint& checkpoint, const Plan& plan);

  struct Entry {
    std::uint32_t planned = kNone;    // Plan index; kNone: of no task of this plan.
    std::uint32_t iteration = kNone;  // Of that loop.
  };
  Entry Find(TaskId id) const;
  std::string FullId(const Entry& entry) const;
  // No task of the run has ever had this number or a higher one.
  std::uint32_t next_id() const { return next_id_; }

 private:
  struct Range {
    std::uint32_t loop = 0;
    std::uint32_t iterations = 0;
  };

  const Plan& plan_;
  std::map<std::uint32_t, std::uint32_t> planned_;  // TaskId → plan index.
  std::map<std::uint32_t, Range> loops_;            // By the TaskId of their first iteration.
  std::uint32_t next_id_ = 0;
};

}  // namespace troupe
