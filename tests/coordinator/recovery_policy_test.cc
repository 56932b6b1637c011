#include "coordinator/recovery_policy.h"

#include <gtest/gtest.h>

#include <iterator>

namespace troupe {
namespace {

using std::chrono::seconds;
using enum FailureClass;

constexpr RunBudget kNoLimits{};

Recovery Decide(const RecoveryRules& rules, const Standing& standing, double draw = 0) {
  return DecideRecovery(rules, kNoLimits, standing, draw);
}

// docs/language.md, "Failure classes": class, counts, by default, may be listed, may be told,
// counts for the breaker. The steps: r retry, n next agent, o other worker, w wait, a again, g give
// up.
struct ClassRow {
  FailureClass failure;
  const char* name;
  bool counts;
  char by_default;
  bool listable;
  bool told;
  bool breaker;
};
constexpr ClassRow kClasses[] = {
    {AgentError, "agent_error", true, 'r', true, true, true},
    {Transient, "transient", true, 'r', true, true, true},
    {Overloaded, "overloaded", true, 'r', true, true, true},
    {Timeout, "timeout", true, 'r', true, true, true},
    {Crashed, "crashed", true, 'r', true, true, true},
    {MaxTurns, "max_turns", true, 'r', true, true, false},
    {SchemaFailed, "schema_failed", true, 'r', true, true, false},
    {InvalidRequest, "invalid_request", true, 'n', true, true, false},
    {ContextOverflow, "context_overflow", true, 'n', true, true, false},
    {Budget, "budget", true, 'n', true, true, false},
    {Refusal, "refusal", true, 'n', true, true, false},
    {PermissionDenied, "permission_denied", true, 'n', true, true, false},
    {DodUnmet, "dod_unmet", true, 'n', true, false, false},
    {Billing, "billing", false, 'n', false, true, true},
    {Auth, "auth", false, 'o', false, true, true},
    {SpawnFailed, "spawn_failed", false, 'o', true, false, false},
    {RateLimited, "rate_limited", false, 'w', false, true, false},
    {QueueTimeout, "queue_timeout", false, 'n', false, false, false},
    {WorkerLost, "worker_lost", false, 'a', false, false, false},
    {Unresolved, "unresolved", false, 'g', false, false, false},
};

TEST(FailureClass, AreThoseOfTheTable) {
  EXPECT_EQ(std::size(kClasses) + 2, static_cast<std::size_t>(kFailureClassCount));
  for (const ClassRow& row : kClasses) {
    EXPECT_EQ(Name(row.failure), row.name);
    EXPECT_EQ(FailureClassFromName(row.name), row.failure);
    EXPECT_EQ(Counts({}, row.failure), row.counts) << row.name;
    EXPECT_EQ(Traits(row.failure).listable, row.listable) << row.name;
    EXPECT_EQ(Traits(row.failure).told, row.told) << row.name;
    EXPECT_EQ(Traits(row.failure).trips_breaker, row.breaker) << row.name;
  }
}

// docs/language.md, "The next step": what follows with retries left, with retries used up and a
// fallback left, and with nothing left.
TEST(RecoveryPolicy, FollowsTheTableRowByRow) {
  const RecoveryRules with_fallback{.retry = 1, .fallback_agents = {7}};
  const RecoveryRules alone{.retry = 1};
  const Recovery retry = Retry{seconds(1)};
  const Recovery next = NextAgent{};
  const Recovery give_up = GiveUp{};
  const Recovery again = Again{};
  const Recovery wait = WaitForAgent{seconds(30)};
  for (const ClassRow& row : kClasses) {
    const Standing left{.failure = row.failure, .step_failures = 1, .losses = 1, .rate_limits = 1};
    Standing used = left;
    used.step_failures = 2;
    Standing elsewhere = left;
    elsewhere.unfit_workers = 1;
    elsewhere.other_worker = true;
    const Recovery row_left = Decide(with_fallback, left);
    const Recovery row_used = Decide(with_fallback, used);
    const Recovery row_nothing = Decide(alone, used);
    switch (row.by_default) {
      case 'r':
        EXPECT_EQ(row_left, retry) << row.name;
        EXPECT_EQ(row_used, next) << row.name;
        EXPECT_EQ(row_nothing, give_up) << row.name;
        break;
      case 'o':
        EXPECT_EQ(Decide(with_fallback, elsewhere), again) << row.name;
        [[fallthrough]];
      case 'n':
        EXPECT_EQ(row_left, next) << row.name;
        EXPECT_EQ(Decide(alone, left), give_up) << row.name;
        EXPECT_EQ(row_used, next) << row.name;
        EXPECT_EQ(row_nothing, give_up) << row.name;
        break;
      case 'w':
        for (const Recovery& r : {row_left, row_used, row_nothing}) EXPECT_EQ(r, wait) << row.name;
        break;
      case 'a':
        for (const Recovery& r : {row_left, row_used, row_nothing}) EXPECT_EQ(r, again) << row.name;
        break;
      default:
        for (const Recovery& r : {row_left, row_used, row_nothing}) {
          EXPECT_EQ(r, give_up) << row.name;
        }
    }
  }
}

TEST(RecoveryPolicy, GivesUpATaskThatKeepsLosingWorkersEvenWithFallbacksLeft) {
  const RecoveryRules rules{.retry = 9, .fallback_agents = {1}};

  EXPECT_EQ(Decide(rules, {.failure = WorkerLost, .losses = 2}), Recovery(Again{}));
  EXPECT_EQ(Decide(rules, {.failure = WorkerLost, .losses = 3}), Recovery(GiveUp{}));
}

TEST(RecoveryPolicy, TriesAuthAndSpawnFailedOnThreeWorkers) {
  const RecoveryRules rules{.fallback_agents = {1}};
  for (FailureClass c : {Auth, SpawnFailed}) {
    EXPECT_EQ(Decide(rules, {.failure = c, .unfit_workers = 1, .other_worker = true}),
              Recovery(Again{}));
    EXPECT_EQ(Decide(rules, {.failure = c, .unfit_workers = 2, .other_worker = true}),
              Recovery(Again{}));
    EXPECT_EQ(Decide(rules, {.failure = c, .unfit_workers = 3, .other_worker = true}),
              Recovery(NextAgent{}));
    EXPECT_EQ(Decide(rules, {.failure = c, .unfit_workers = 1, .other_worker = false}),
              Recovery(NextAgent{}));
  }
}

TEST(RecoveryPolicy, DoublesTheRateLimitWaitUpToHalfAnHour) {
  const int expected[] = {30, 60, 120, 240, 480, 960, 1'800, 1'800};
  for (std::uint32_t n = 1; n <= 8; ++n) {
    EXPECT_EQ(Decide({}, {.failure = RateLimited, .rate_limits = n}),
              Recovery(WaitForAgent{seconds(expected[n - 1])}));
  }
  EXPECT_EQ(Decide({}, {.failure = RateLimited, .retry_after = seconds(5), .rate_limits = 4}),
            Recovery(WaitForAgent{seconds(5)}));
}

TEST(RecoveryPolicy, StopsWaitingForRateLimitsAtTheLimit) {
  const RunBudget budget{.rate_limit_wait_max = seconds(100)};
  const Standing standing{.failure = RateLimited,
                          .retry_after = seconds(60),
                          .rate_limits = 2,
                          .rate_limit_waited = seconds(41)};

  EXPECT_EQ(DecideRecovery({.fallback_agents = {1}}, budget, standing, 0), Recovery(NextAgent{}));
  EXPECT_EQ(DecideRecovery({}, budget, standing, 0), Recovery(GiveUp{}));
}

// Example B of the language: delays 2, 4, 8, 10 s; with jitter 0.5 and r = 0.4 the first is 1.6 s.
TEST(RecoveryPolicy, BacksOffAndCaps) {
  RecoveryRules rules{.retry = 4,
                      .retry_delay = seconds(2),
                      .exponential_backoff = true,
                      .max_retry_delay = seconds(10)};
  const int expected[] = {2, 4, 8, 10};
  for (std::uint32_t n = 1; n <= 4; ++n) {
    EXPECT_EQ(Decide(rules, {.failure = Timeout, .step_failures = n}),
              Recovery(Retry{seconds(expected[n - 1])}));
  }
  EXPECT_EQ(Decide(rules, {.failure = Timeout, .step_failures = 5}), Recovery(GiveUp{}));

  rules.exponential_backoff = false;
  EXPECT_EQ(Decide(rules, {.failure = Timeout, .step_failures = 3}), Recovery(Retry{seconds(2)}));

  rules.jitter = 0.5;
  EXPECT_EQ(Decide(rules, {.failure = Timeout, .step_failures = 1}, 0.4),
            Recovery(Retry{std::chrono::milliseconds(1'600)}));
}

TEST(RecoveryPolicy, CountsFallbackRetriesFromOneAgain) {
  const RecoveryRules rules{.retry = 0, .fallback_agents = {1, 2}, .fallback_retry = 1};

  EXPECT_EQ(Decide(rules, {.failure = Crashed, .step = 1, .step_failures = 1}),
            Recovery(Retry{seconds(1)}));
  EXPECT_EQ(Decide(rules, {.failure = Crashed, .step = 1, .step_failures = 2}),
            Recovery(NextAgent{}));
  EXPECT_EQ(Decide(rules, {.failure = Crashed, .step = 2, .step_failures = 2}), Recovery(GiveUp{}));
}

TEST(RecoveryPolicy, RetriesWhatTheRulesListAndNothingElse) {
  const auto bit = [](FailureClass c) { return 1u << static_cast<unsigned>(c); };
  const RecoveryRules only{.retry = 1, .retry_on = bit(InvalidRequest) | bit(SpawnFailed)};
  const RecoveryRules not_timeout{.retry = 1, .no_retry_on = bit(Timeout)};

  EXPECT_EQ(Decide(only, {.failure = InvalidRequest, .step_failures = 1}),
            Recovery(Retry{seconds(1)}));
  EXPECT_EQ(Decide(only, {.failure = SpawnFailed, .step_failures = 1, .other_worker = true}),
            Recovery(Retry{seconds(1)}));
  EXPECT_EQ(Decide(only, {.failure = Timeout, .step_failures = 1}), Recovery(GiveUp{}));
  EXPECT_EQ(Decide(not_timeout, {.failure = Timeout, .step_failures = 1}), Recovery(GiveUp{}));
  EXPECT_TRUE(Counts(only, SpawnFailed));
  EXPECT_FALSE(Counts({}, SpawnFailed));
}

TEST(RecoveryPolicy, StopsRetryingWhenTheRunsBudgetIsUsedUp) {
  const RecoveryRules rules{.retry = 5, .fallback_agents = {1}};

  EXPECT_EQ(DecideRecovery(rules, {.retries_left = 0}, {.step_failures = 1}, 0),
            Recovery(NextAgent{}));
}

TEST(RecoveryPolicy, GivesUpAsTheRulesSay) {
  for (OnExhausted how : {OnExhausted::Abort, OnExhausted::Skip, OnExhausted::Continue}) {
    EXPECT_EQ(Decide({.on_exhausted = how}, {.failure = Unresolved}), Recovery(GiveUp{how}));
    EXPECT_EQ(Decide({.on_exhausted = how}, {.failure = Timeout, .step_failures = 1}),
              Recovery(GiveUp{how}));
    EXPECT_EQ(Decide({.fallback_agents = {1}, .on_exhausted = how},
                     {.failure = Timeout, .step = 1, .step_failures = 1}),
              Recovery(GiveUp{how}));
  }
}

}  // namespace
}  // namespace troupe
