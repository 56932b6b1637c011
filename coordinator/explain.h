// Why a task is as it is, in one sentence (P9: no silent wait).
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"
#include "coordinator/live_run.h"

namespace troupe {

// `task` is an index of the run. `live`: a coordinator is at work on the run; else nothing moves
// until it is resumed. `pool`: the workers, if they are known.
std::string Explain(const LiveRun& run, std::uint32_t task, bool live, Instant now,
                    const WorkerPool* pool = nullptr);

}  // namespace troupe
