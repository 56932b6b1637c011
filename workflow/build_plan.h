// From a checked document to a plan.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "workflow/document.h"
#include "workflow/order.h"
#include "workflow/plan.h"
#include "workflow/references.h"

namespace troupe {

// Agents and tasks with their text compiled; tasks are numbered as in the document and know nothing
// of each other yet.
struct CompiledTexts {
  std::vector<Agent> agents = {};
  std::vector<PlannedTask> tasks = {};
  HooksDoc root_hooks = {};                   // With Hook::env filled in.
  std::vector<HooksDoc> workflow_hooks = {};  // Of each workflow.
};

// Compiles everything, also what will not run, so that all of it is checked. Without `keep` the
// tasks are left out of the result. Takes each task's `work` out of the document.
CompiledTexts CompileTexts(Reader& reader, Document& document, References& references, bool keep);

// What runs under `workflow`. There must be no errors.
std::shared_ptr<const Plan> BuildPlan(const Document& document, const Order& order,
                                      std::uint32_t workflow, CompiledTexts texts);

// Of all that defines what the task does, the agents that may do it included. `ids`: of the tasks
// that its condition asks about, by their number there.
std::uint64_t Fingerprint(const PlannedTask& task, const std::vector<std::uint64_t>& agents,
                          const std::vector<std::string_view>& ids);
std::uint64_t Fingerprint(const Agent& agent);

}  // namespace troupe
