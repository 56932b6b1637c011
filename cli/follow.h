// Shows how a coordinator's run goes, until it has ended.
#pragma once

#include "base/ids.h"
#include "cli/client.h"

namespace troupe {

struct FollowOptions {
  RunId run{};
  bool json = false;
};

// A lost connection is waited for, and what was missed is made up for by a fresh snapshot. Prints
// the end as `troupe run` does, and returns its exit code; Ctrl-C ends only the showing.
int FollowRun(Client& client, const FollowOptions& options);

}  // namespace troupe
