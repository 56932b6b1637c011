// The state of a run as JSON: the seed format's keys, and ours.
#pragma once

#include <string>

#include "cli/state.h"

namespace troupe {

// Does not look into the store.
std::string ExportText(const StoredRun& run);

}  // namespace troupe
