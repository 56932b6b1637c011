#include "coordinator/recovery_policy.h"

#include <algorithm>

#include "base/mutant.h"

namespace troupe {
namespace {

using std::chrono::seconds;

constexpr std::uint32_t kUnfitWorkersMax = 3;
constexpr Duration kRateLimitFirst = seconds(30);
constexpr Duration kRateLimitMax = seconds(1'800);

bool Has(std::uint32_t set, FailureClass c) {
  return (set >> static_cast<std::uint32_t>(c) & 1u) != 0;
}

// Rule 7.
Recovery NextOrGiveUp(const RecoveryRules& rules, const Standing& standing) {
  if (standing.step < rules.fallback_agents.size()) return NextAgent{};
  return GiveUp{rules.on_exhausted};
}

// Rule 4: until retry_after, else 30 s, doubled with each further one, at most 1,800 s.
Duration RateLimitWait(const Standing& standing) {
  if (standing.retry_after > Duration{}) return standing.retry_after;
  Duration wait = kRateLimitFirst;
  for (std::uint32_t n = 1; n < standing.rate_limits && wait < kRateLimitMax; ++n) wait *= 2;
  return std::min(wait, kRateLimitMax);
}

}  // namespace

bool IsRetried(const RecoveryRules& rules, FailureClass c) {
  const bool listed =
      rules.retry_on ? Has(*rules.retry_on, c) : Traits(c).by_default == DefaultStep::Retry;
  return listed && !Has(rules.no_retry_on, c);
}

bool Counts(const RecoveryRules& rules, FailureClass failure) {
  if (failure == FailureClass::SpawnFailed) return IsRetried(rules, failure);
  return Traits(failure).counts;
}

Duration RetryDelay(const RecoveryRules& rules, std::uint32_t n) {
  if (!rules.exponential_backoff) return rules.retry_delay;
  Duration delay = rules.retry_delay;
  for (std::uint32_t i = 1; i < n && delay < rules.max_retry_delay; ++i) delay *= 2;
  return std::min(delay, rules.max_retry_delay);
}

Recovery DecideRecovery(const RecoveryRules& rules, const RunBudget& budget,
                        const Standing& standing, double draw) {
  const FailureClass c = standing.failure;

  // Rule 3.
  if (c == FailureClass::WorkerLost) {
    if (standing.losses < budget.worker_losses_max) return Again{};
    return GiveUp{rules.on_exhausted};
  }
  // Rule 4.
  if (c == FailureClass::Unresolved) return GiveUp{rules.on_exhausted};
  if (c == FailureClass::RateLimited) {
    const Duration wait = RateLimitWait(standing);
    if (standing.rate_limit_waited + wait <= budget.rate_limit_wait_max) return WaitForAgent{wait};
    return NextOrGiveUp(rules, standing);
  }
  // Rule 5.
  if (Traits(c).by_default == DefaultStep::OtherWorker && !IsRetried(rules, c)) {
    if (standing.unfit_workers < kUnfitWorkersMax && standing.other_worker) return Again{};
    return NextOrGiveUp(rules, standing);
  }
  // Rule 6.
  const std::uint32_t retries = standing.step == 0 ? rules.retry : rules.fallback_retry;
  if (IsRetried(rules, c) && standing.step_failures <= retries && budget.retries_left > 0) {
    Duration delay = RetryDelay(rules, standing.step_failures);
    if (Mutant(Defect::RetryTooSoon)) delay /= 2;
    return Retry{std::chrono::duration_cast<Duration>(delay * (1.0 - rules.jitter * draw))};
  }
  return NextOrGiveUp(rules, standing);
}

}  // namespace troupe
