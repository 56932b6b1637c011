// Budgets, breakers and counters of the whole run, also over restarts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/story.h"

namespace troupe {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

// Retries in the whole run; first attempts are free.
TEST(RetryBudget, IsSharedByAllTasksAndSurvivesRestarts) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    PlanMaker maker;
    for (int i = 0; i < 6; ++i) {
      maker.Task("t" + std::to_string(i), {}, kNone,
                 {.retry = 5, .retry_delay = seconds(1), .on_exhausted = OnExhausted::Continue});
    }
    maker.plan().retry_budget = 7;
    Cluster cluster(maker.Share(), seed, 2, 2, {.coordinator_crash = 0.03, .worker_crash = 0.01});
    std::size_t ran = 0;
    cluster.outcome_of = [&](const AttemptSpec&) {
      ++ran;
      return FailureClass::AgentError;
    };
    cluster.Submit();

    ASSERT_TRUE(cluster.RunToEnd()) << "seed " << seed;

    EXPECT_EQ(ran, 6u + 7u) << "seed " << seed;
    EXPECT_EQ(cluster.State().run.retries_used, 7u) << "seed " << seed;
  }
}

TEST(RetryBudget, AtZeroAFailureGoesToTheFallbackAtOnce) {
  PlanMaker maker;
  const auto fallback = maker.Agent("fallback");
  const auto a = maker.Task("a", {}, kNone, {.retry = 5, .fallback_agents = {fallback}});
  maker.plan().retry_budget = 0;
  Story story(maker, {{"a", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_EQ(story.cluster.Task(a).attempts, 2u);
  EXPECT_EQ(story.cluster.Task(a).step, 1u);
}

TEST(Losses, CountOverRestartsAndGiveUpAPoisonTask) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    PlanMaker maker;
    const auto fallback = maker.Agent("fallback");
    const auto poison =
        maker.Task("poison", {}, kNone, {.retry = 9, .fallback_agents = {fallback}});
    Cluster cluster(maker.Share(), seed, 2, 2, {.coordinator_crash = 0.03});
    std::optional<std::string> killed;
    cluster.on_start = [&](const AttemptSpec&) { killed = "next"; };
    cluster.Submit();

    for (int i = 0; i < 100'000 && !cluster.Ended(); ++i) {
      cluster.Step();
      if (!killed) continue;
      killed.reset();
      cluster.LoseMachine(cluster.Task(poison).worker);  // The attempt takes it along.
    }

    ASSERT_TRUE(cluster.Ended()) << "seed " << seed;
    EXPECT_EQ(cluster.Task(poison).extra->losses, 3u) << "seed " << seed;
    EXPECT_EQ(cluster.Task(poison).failure, FailureClass::WorkerLost) << "seed " << seed;
    EXPECT_EQ(cluster.Task(poison).extra->step_failures, 0u) << "seed " << seed;
    EXPECT_TRUE(cluster.Task(poison).dead_letter) << "seed " << seed;
  }
}

// Example C of the language: losses and failures are counted apart. `dies`: attempts that die with
// their worker; the second attempt times out, the others fail.
TaskRecord ExampleC(const std::set<std::uint32_t>& dies) {
  PlanMaker maker;
  const auto fallback = maker.Agent("fallback");
  RecoveryRules rules{.retry = 1};
  if (dies.size() == 3) rules.fallback_agents = {fallback};
  const auto task = maker.Task("t", {}, kNone, rules);
  Cluster cluster(maker.Share(), 1, 3, 1);
  std::uint32_t begun = 0;
  cluster.on_start = [&](const AttemptSpec& spec) { begun = spec.id.number; };
  cluster.outcome_of = [](const AttemptSpec& spec) {
    return spec.id.number == 2 ? FailureClass::Timeout : FailureClass::AgentError;
  };
  cluster.Submit();
  while (!cluster.Ended()) {
    cluster.Step();
    if (!dies.contains(std::exchange(begun, 0))) continue;
    cluster.LoseMachine(cluster.Task(task).worker);
  }
  return cluster.Task(task);
}

TEST(Losses, AreCountedApartFromFailures) {
  const TaskRecord task = ExampleC({1, 3});

  EXPECT_EQ(task.attempts, 4u);
  EXPECT_EQ(task.extra->step_failures, 2u);
  EXPECT_EQ(task.extra->losses, 2u);
  EXPECT_EQ(task.failure, FailureClass::AgentError);
  EXPECT_EQ(task.state, TaskState::Failed);
}

TEST(Losses, TheThirdGivesUpEvenWithFallbackAgentsLeft) {
  const TaskRecord task = ExampleC({1, 3, 4});

  EXPECT_EQ(task.attempts, 4u);
  EXPECT_EQ(task.failure, FailureClass::WorkerLost);
  EXPECT_EQ(task.step, 0u);
  EXPECT_EQ(task.state, TaskState::Failed);
}

// A plan whose agent always fails; others wait for its breaker.
std::shared_ptr<const Plan> Shaky(std::uint32_t tasks) {
  PlanMaker maker;
  const auto agent = maker.Agent("shaky");
  maker.plan().agents[agent].provider = Provider::Command;
  maker.plan().agents[agent].command = {Literal("x")};
  maker.plan().agents[agent].breaker =
      BreakerRules{.failures = 2, .window = seconds(600), .cooldown = seconds(100)};
  for (std::uint32_t i = 0; i < tasks; ++i) {
    maker.Task("t" + std::to_string(i), {}, agent,
               {.retry = 3, .retry_delay = seconds(1), .on_exhausted = OnExhausted::Continue});
  }
  return maker.Share();
}

// When the attempts of a run began.
std::vector<Instant> StartsOf(std::uint64_t seed, Faults faults, std::uint32_t fails) {
  Cluster cluster(Shaky(1), seed, 1, 1, faults);
  std::uint32_t ran = 0;
  cluster.outcome_of = [&](const AttemptSpec&) -> std::optional<FailureClass> {
    return ran++ < fails ? std::optional(FailureClass::Crashed) : std::nullopt;
  };
  std::vector<Instant> starts;
  cluster.on_start = [&](const AttemptSpec&) { starts.push_back(cluster.now()); };
  cluster.Submit();
  EXPECT_TRUE(cluster.RunToEnd()) << "seed " << seed;
  return starts;
}

TEST(Breaker, HoldsAttemptsBackAlsoOverRestarts) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const std::vector<Instant> starts = StartsOf(seed, {.coordinator_crash = 0.05}, 3);

    ASSERT_EQ(starts.size(), 4u) << "seed " << seed;
    EXPECT_LT(starts[1] - starts[0], seconds(60)) << "seed " << seed;
    EXPECT_GE(starts[2] - starts[1], seconds(100)) << "seed " << seed;
    EXPECT_GE(starts[3] - starts[2], seconds(100)) << "seed " << seed;
    EXPECT_LT(starts[3] - starts[0], seconds(400)) << "seed " << seed;
  }
}

TEST(Breaker, LetsOneAttemptThroughAfterItsCooldown) {
  Cluster cluster(Shaky(8), 3, 2, 8);
  cluster.outcome_of = [](const AttemptSpec&) { return FailureClass::Crashed; };
  cluster.Submit();
  while (!cluster.Ended()) {
    cluster.Step();
    const LiveRun* run = cluster.coordinator().Find(RunId{1});
    // The first eight began together; after that one at a time.
    if (run != nullptr && run->BreakerOpen(0) &&
        cluster.now() > cluster.State().run.started + seconds(100)) {
      EXPECT_LE(run->AgentRunning(0), 1u);
    }
  }
}

// The agent is shut for longer than the task has patience: it goes on with another one, for good.
TEST(ShutAgents, TasksMoveOnToAFallbackThatIsNotShut) {
  PlanMaker maker;
  const auto limited = maker.Agent(
      "limited",
      {.fail_times = kNone, .failure = FailureClass::RateLimited, .retry_after = seconds(500)});
  const auto other = maker.Agent("other");
  const auto a =
      maker.Task("a", {}, limited, {.max_retry_delay = seconds(60), .fallback_agents = {other}});
  const auto b =
      maker.Task("b", {a}, limited, {.max_retry_delay = seconds(60), .fallback_agents = {other}});
  const auto c = maker.Task("c", {b}, limited, {.max_retry_delay = seconds(60)});
  maker.plan().rate_limit_wait_max = seconds(1'000);
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.cluster.Task(a).attempts, 2u);  // No wait in between.
  EXPECT_EQ(story.cluster.Task(a).extra->rate_limit_waited, Duration{});
  EXPECT_EQ(story.cluster.Task(b).attempts, 1u);  // Not one with the agent that is shut.
  EXPECT_EQ(story.cluster.Task(b).step, 1u);
  EXPECT_EQ(story.StateOf(b), TaskState::Completed);
  EXPECT_EQ(story.StateOf(c), TaskState::Failed);  // It waited, and then that was too long.
  EXPECT_EQ(story.cluster.Task(c).failure, FailureClass::RateLimited);
}

TEST(ShutAgents, TasksWithPatienceWaitAndHoldNoSlot) {
  PlanMaker maker;
  const auto limited = maker.Agent(
      "limited",
      {.fail_times = 1, .failure = FailureClass::RateLimited, .retry_after = seconds(50)});
  const auto other = maker.Agent("other");
  const auto a =
      maker.Task("a", {}, limited, {.max_retry_delay = seconds(60), .fallback_agents = {other}});
  maker.Task("free");
  Story story(maker, {}, 1, 1);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_EQ(story.cluster.Task(a).step, 0u);
  EXPECT_EQ(story.cluster.Task(a).attempts, 2u);
  EXPECT_EQ(story.cluster.Task(a).extra->rate_limit_waited, seconds(50));
  EXPECT_EQ(story.cluster.Task(a).extra->step_failures, 0u);
  EXPECT_THAT(story.started, ElementsAre("free"));
}

TEST(State, SetWhoseValueDoesNotExistIsASchemaFailure) {
  PlanMaker maker;
  const auto a = maker.Task("a", {}, kNone, {.retry = 1});
  maker.plan().tasks[a].extra.Change().set = {
      {"n",
       false,
       {Ref{.kind = Ref::Kind::SelfResult,
            .words = RefWords{.path = ".n", .written = "task.result.n"}}}}};
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.cluster.Task(a).attempts, 2u);
  EXPECT_EQ(
      story.cluster.State().run.first_failure,
      "task \"a\": schema_failed: \"set\" cannot be carried out: \"task.result.n\" does not exist");
}

// It may be the only worker.
TEST(SpawnFailed, IsRetriedOnItsWorkerWhenItIsInRetryOn) {
  PlanMaker maker;
  RecoveryRules rules{.retry = 1};
  rules.retry_on = 1u << static_cast<std::uint32_t>(FailureClass::SpawnFailed);
  const std::uint32_t task = maker.Task("a", {}, kNone, rules);
  Story story(maker, {{"a", {FailureClass::SpawnFailed}}});

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_EQ(story.cluster.Task(task).attempts, 2u);
}

}  // namespace
}  // namespace troupe
