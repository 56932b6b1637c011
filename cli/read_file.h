// Reads a workflow file, with a limit and errors for people.
#pragma once

#include <string>

#include "base/result.h"

namespace troupe {

// At most one byte more than a workflow file may have, so that the compiler can refuse it.
Result<std::string> ReadWorkflowFile(const std::string& path);

}  // namespace troupe
