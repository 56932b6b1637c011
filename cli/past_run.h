// What the attempts of a run took and cost, so that a rehearsal can be like it.
#pragma once

#include "base/result.h"
#include "cli/commands.h"
#include "simulation/world.h"

namespace troupe {

struct PastRun {
  RunId run{};
  MeasuredTasks tasks = {};
};

// Of the run that the options name, or the newest: of every attempt that succeeded. NotFound if
// there is no such run.
Result<PastRun> MeasureRun(const StateOptions& options);

}  // namespace troupe
