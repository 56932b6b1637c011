#include "workflow/compile.h"

namespace troupe {

std::string DrawGraph(const Plan& plan, GraphFormat) { return plan.name; }

}  // namespace troupe
