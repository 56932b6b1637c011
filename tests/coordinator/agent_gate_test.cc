#include "coordinator/agent_gate.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using std::chrono::seconds;

constexpr Instant kStart = Instant{} + seconds(1'000'000);
Instant At(int s) { return kStart + seconds(s); }

class BreakerTest : public testing::Test {
 protected:
  // Attempt `number` of task 1, begun a second ago, ends.
  void End(std::uint32_t number, std::optional<FailureClass> failure, int at) {
    gate.OnEnded(TaskId{1}, number, At(at - 1), failure, At(at));
  }
  void Fail(int count, int at) {
    for (int i = 0; i < count; ++i) End(1, FailureClass::AgentError, at);
  }

  BreakerRules rules{.failures = 3, .window = seconds(60), .cooldown = seconds(30)};
  AgentGate gate{RunId{1}, "a", &rules};
};

TEST_F(BreakerTest, OpensAfterSoManyFailuresWithinTheWindow) {
  Fail(2, 0);
  EXPECT_TRUE(gate.Open(At(0)));

  Fail(1, 10);

  EXPECT_FALSE(gate.Open(At(10)));
  EXPECT_EQ(gate.ShutUntil(At(10)), At(40));
}

TEST_F(BreakerTest, ForgetsFailuresThatAreOlderThanTheWindow) {
  Fail(2, 0);
  Fail(1, 60);

  EXPECT_TRUE(gate.Open(At(60)));
}

TEST_F(BreakerTest, CountsOnlyClassesThatSayTheAgentIsUnwell) {
  for (FailureClass c : {FailureClass::InvalidRequest, FailureClass::WorkerLost,
                         FailureClass::MaxTurns, FailureClass::RateLimited}) {
    for (int i = 0; i < 5; ++i) End(1, c, 0);
  }
  EXPECT_TRUE(gate.ShutUntil(At(2'000)) == Instant{});

  for (FailureClass c : {FailureClass::Auth, FailureClass::Billing, FailureClass::Crashed}) {
    End(1, c, 2'000);
  }
  EXPECT_FALSE(gate.Open(At(2'000)));
}

TEST_F(BreakerTest, HalfOpenLetsOneAttemptThroughWhoseSuccessClosesIt) {
  Fail(3, 0);
  EXPECT_FALSE(gate.Open(At(29)));
  EXPECT_TRUE(gate.Open(At(30)));

  EXPECT_TRUE(gate.OnStarted(TaskId{1}, 7, At(30)));
  EXPECT_FALSE(gate.Open(At(31)));
  End(7, std::nullopt, 35);

  EXPECT_TRUE(gate.Open(At(35)));
  EXPECT_FALSE(gate.breaker_open());
  Fail(2, 36);  // The earlier ones are forgotten.
  EXPECT_TRUE(gate.Open(At(36)));
}

TEST_F(BreakerTest, AFailureWhileHalfOpenOpensItAgain) {
  Fail(3, 0);
  gate.OnStarted(TaskId{1}, 7, At(30));

  End(7, FailureClass::Timeout, 40);

  EXPECT_FALSE(gate.Open(At(69)));
  EXPECT_TRUE(gate.Open(At(70)));
}

TEST_F(BreakerTest, AnAttemptThatSaysNothingOfTheAgentLetsAnotherThrough) {
  Fail(3, 0);
  gate.OnStarted(TaskId{1}, 7, At(30));

  End(7, FailureClass::WorkerLost, 31);

  EXPECT_TRUE(gate.Open(At(31)));
  EXPECT_TRUE(gate.breaker_open());
}

TEST_F(BreakerTest, WhatBeganBeforeChangesNothingWhileItIsOpen) {
  Fail(3, 0);
  End(5, std::nullopt, 10);
  EXPECT_TRUE(gate.breaker_open());
  End(6, FailureClass::AgentError, 20);

  EXPECT_EQ(gate.ShutUntil(At(20)), At(30));
}

TEST_F(BreakerTest, IsTheSameFromItsRecord) {
  Fail(3, 0);
  gate.OnStarted(TaskId{1}, 7, At(30));

  AgentGate restored(RunId{1}, "a", &rules);
  restored.Restore(gate.record());

  EXPECT_EQ(restored.Open(At(31)), gate.Open(At(31)));
  restored.OnEnded(TaskId{1}, 7, At(30), std::nullopt, At(35));
  EXPECT_TRUE(restored.Open(At(35)));
}

TEST(RateLimit, ShutsUntilItEndsAndCountsInARow) {
  AgentGate gate(RunId{1}, "a", nullptr);
  gate.OnEnded(TaskId{1}, 1, At(0), FailureClass::RateLimited, At(1));
  EXPECT_EQ(gate.rate_limits(), 1u);
  gate.Shut(At(1), At(31));
  EXPECT_EQ(gate.ShutUntil(At(30)), At(31));
  EXPECT_TRUE(gate.Open(At(31)));

  gate.OnEnded(TaskId{1}, 2, At(31), FailureClass::RateLimited, At(32));
  EXPECT_EQ(gate.rate_limits(), 2u);
  gate.OnEnded(TaskId{1}, 3, At(40), std::nullopt, At(41));
  EXPECT_EQ(gate.rate_limits(), 0u);
}

TEST(RateLimit, ManyThatRunIntoTheSameOneCountOnce) {
  AgentGate gate(RunId{1}, "a", nullptr);
  for (std::uint32_t task = 0; task < 8; ++task) {
    gate.OnEnded(TaskId{task}, 1, At(0), FailureClass::RateLimited, At(1));
    gate.Shut(At(1), At(31));
  }

  EXPECT_EQ(gate.rate_limits(), 1u);
}

TEST(RateLimit, AShorterOneDoesNotOpenALongerOne) {
  AgentGate gate(RunId{1}, "a", nullptr);
  gate.Shut(At(0), At(100));
  gate.Shut(At(1), At(10));

  EXPECT_EQ(gate.ShutUntil(At(20)), At(100));
}

}  // namespace
}  // namespace troupe
