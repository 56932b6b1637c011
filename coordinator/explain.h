// Why a task is not running, in one sentence (P9: no silent wait).
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"
#include "coordinator/live_run.h"
#include "coordinator/resume.h"

namespace troupe {

// Of a run that was read from the store: its state as it would be if it went on at `now`.
std::string Explain(const Resumable& saved, std::uint32_t task, Instant now);

}  // namespace troupe
