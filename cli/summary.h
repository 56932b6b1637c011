// What is said when a run has ended, was paused, or would be run.
#pragma once

#include <string>
#include <vector>

#include "storage/checkpoint_store.h"
#include "workflow/plan.h"

namespace troupe {

// The end of a run, for stderr: how it ended, durations (the run's and the longest tasks'), retries
// and fallbacks, dead letters with their cause, and on failure or pause the next command to type.
// `file` and `state_dir` as the user wrote them, for that command.
std::string FormatSummary(const Plan& plan, const Checkpoint& checkpoint, const std::string& file,
                          const std::string& state_dir);

// `--dry-run`, for stdout: order, stages, agents, hooks, and each task's recovery ladder with its
// delays. `order` holds plan indexes in the order in which they would start.
std::string FormatPlan(const Plan& plan);

}  // namespace troupe
