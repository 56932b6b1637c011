// What to do when an attempt ends badly: the one place where that is decided.
//
// A pure function: the same rules, standing and draw give the same answer. The rules are those of
// docs/language.md, "Recovery"; the numbers in recovery_policy.cc are the rules' numbers there.
#pragma once

#include <cstdint>
#include <variant>

#include "base/failure.h"
#include "base/time.h"
#include "workflow/plan.h"

namespace troupe {

// How the task stands, the setback at hand included in its counts.
struct Standing {
  FailureClass failure = FailureClass::AgentError;
  Duration retry_after{};           // rate_limited: what the provider said; 0: nothing.
  std::uint32_t step = 0;           // 0: own runner; n: the n-th fallback agent.
  std::uint32_t step_failures = 0;  // Counted failures with the runner of this step.
  std::uint32_t losses = 0;         // worker_lost attempts.
  std::uint32_t rate_limits = 0;    // In a row.
  Duration rate_limit_waited{};     // In all, before this wait.
  std::uint32_t unfit_workers = 0;  // Where auth or spawn_failed happened, with this runner.
  bool other_worker = false;        // Another worker that fits is connected.
};

// What holds for the whole run.
struct RunBudget {
  std::uint32_t retries_left = kNone;  // kNone: no limit.
  std::uint32_t worker_losses_max = 3;
  Duration rate_limit_wait_max = std::chrono::seconds(86'400);
};

struct Retry {  // The same runner, after a delay; uses one of the run's retries.
  Duration after{};
  bool operator==(const Retry&) const = default;
};
struct Again {  // The same runner at once; nothing was used up.
  bool operator==(const Again&) const = default;
};
struct WaitForAgent {  // The agent is shut for so long; nothing was used up.
  Duration after{};
  bool operator==(const WaitForAgent&) const = default;
};
struct NextAgent {  // The next of the fallback agents, at once.
  bool operator==(const NextAgent&) const = default;
};
struct GiveUp {
  OnExhausted how = OnExhausted::Abort;
  bool operator==(const GiveUp&) const = default;
};
using Recovery = std::variant<Retry, Again, WaitForAgent, NextAgent, GiveUp>;

// `draw` is evenly distributed over [0, 1).
Recovery DecideRecovery(const RecoveryRules& rules, const RunBudget& budget,
                        const Standing& standing, double draw);

// Is it retried while retries are left, under these rules?
bool IsRetried(const RecoveryRules& rules, FailureClass failure);

// Does this failure use up one of the runner's attempts, under these rules?
bool Counts(const RecoveryRules& rules, FailureClass failure);

// The delay before retry n (from 1), without jitter.
Duration RetryDelay(const RecoveryRules& rules, std::uint32_t n);

}  // namespace troupe
