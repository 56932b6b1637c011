#include "coordinator/recovery_policy.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using std::chrono::seconds;
using enum FailureClass;

constexpr RunBudget kNoLimits{};

Recovery Decide(const RecoveryRules& rules, const Standing& standing, double draw = 0) {
  return DecideRecovery(rules, kNoLimits, standing, draw);
}

// The table of docs/language.md, "The next step": class × (retries left, used up with a fallback
// left, nothing left).
TEST(RecoveryPolicy, FollowsTheTableOfTheLanguage) {
  const RecoveryRules both{.retry = 1, .fallback_agents = {7}};
  const RecoveryRules none{.retry = 1};
  for (int i = 0; i < kFailureClassCount; ++i) {
    const auto c = static_cast<FailureClass>(i);
    if (c == Cancelled || c == HookFailed) continue;
    const Standing fresh{.failure = c, .step_failures = 1, .losses = 1, .rate_limits = 1};
    const Standing used{.failure = c, .step_failures = 2, .losses = 1, .rate_limits = 1};
    const Recovery left = Decide(both, fresh);
    const Recovery fallback = Decide(both, used);
    const Recovery nothing = Decide(none, used);
    switch (Traits(c).by_default) {
      case DefaultStep::Retry:
        EXPECT_EQ(left, Recovery(Retry{seconds(1)})) << Name(c);
        EXPECT_EQ(fallback, Recovery(NextAgent{})) << Name(c);
        EXPECT_EQ(nothing, Recovery(GiveUp{})) << Name(c);
        break;
      case DefaultStep::NextAgent:
      case DefaultStep::OtherWorker:  // No other worker is there.
        EXPECT_EQ(left, Recovery(NextAgent{})) << Name(c);
        EXPECT_EQ(fallback, Recovery(NextAgent{})) << Name(c);
        EXPECT_EQ(nothing, Recovery(GiveUp{})) << Name(c);
        EXPECT_EQ(Decide(none, fresh), Recovery(GiveUp{})) << Name(c);
        break;
      case DefaultStep::Wait:
        EXPECT_EQ(left, Recovery(WaitForAgent{seconds(30)}));
        EXPECT_EQ(fallback, Recovery(WaitForAgent{seconds(30)}));
        EXPECT_EQ(nothing, Recovery(WaitForAgent{seconds(30)}));
        break;
      case DefaultStep::Again:
        EXPECT_EQ(left, Recovery(Again{}));
        EXPECT_EQ(fallback, Recovery(Again{}));
        EXPECT_EQ(nothing, Recovery(Again{}));
        break;
      case DefaultStep::GiveUp:
        EXPECT_EQ(left, Recovery(GiveUp{}));
        EXPECT_EQ(fallback, Recovery(GiveUp{}));
        EXPECT_EQ(nothing, Recovery(GiveUp{}));
        break;
      case DefaultStep::None:
        break;
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
  }
}

}  // namespace
}  // namespace troupe
