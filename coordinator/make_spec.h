// A task or hook as an order for a worker: all text filled in, all settings resolved.
//
// Pure. An Unresolved error names the reference whose value does not exist; Invalid means that the
// text is too long to be sent.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/attempt.h"
#include "base/result.h"
#include "coordinator/values.h"
#include "storage/records.h"
#include "workflow/plan.h"

namespace troupe {

inline constexpr std::size_t kPromptBytesMax = 16u << 20;
// All texts of an attempt together: they are sent in one frame of at most 64 MiB.
inline constexpr std::size_t kSpecBytesMax = 48u << 20;

// What `task` asks of a worker when `agent` (kNone: its own work) runs it.
std::string ProviderFor(const Plan& plan, std::uint32_t agent);

// `record` is the task's, before this attempt is counted in it. Invalid also for work that this
// program cannot do.
Result<AttemptSpec> MakeTaskSpec(const Plan& plan, const RunRecord& run, const TextOwner& owner,
                                 std::uint32_t agent, const TaskRecord& record, const AttemptId& id,
                                 const ValueSource& values);

// Reads the file that a loop goes over.
Result<AttemptSpec> MakeCollectionSpec(const Plan& plan, const RunRecord& run,
                                       const PlannedTask& loop, const AttemptId& id,
                                       const ValueSource& values);

// `environment`: the WORKFLOW_ variables.
Result<AttemptSpec> MakeHookSpec(const Hook& hook, const RunRecord& run, const HookRecord& record,
                                 const AttemptId& id, const ValueSource& values,
                                 std::vector<std::pair<std::string, std::string>> environment);

}  // namespace troupe
