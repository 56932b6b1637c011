// Shows how a coordinator's run goes, until it has ended.
#pragma once

#include <cstdint>
#include <memory>

#include "base/ids.h"
#include "cli/client.h"
#include "workflow/plan.h"

namespace troupe {

struct FollowOptions {
  RunId run{};
  bool json = false;
  // Of a run that was just submitted: the number of that question, which asked for the events, and
  // the plan. 0: a run that is there.
  std::uint64_t submitted = 0;
  std::shared_ptr<const Plan> plan = {};
};

// A lost connection is waited for, and what was missed is made up for by a fresh snapshot. Prints
// the end as `troupe run` does, and returns its exit code; Ctrl-C ends only the showing.
int FollowRun(Client& client, const FollowOptions& options);

}  // namespace troupe
