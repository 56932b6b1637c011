// The cores together under faults, many seeds: what was believed equals what happened.
#include "tests/coordinator/cluster.h"

#include <gtest/gtest.h>

#include "tests/coordinator/plans.h"

namespace troupe {
namespace {

// A random graph of 1 to 20 tasks, some in stages, with hooks and rules.
std::shared_ptr<const Plan> RandomPlan(std::uint64_t seed) {
  Random random(seed);
  PlanMaker maker;
  const auto count = static_cast<std::uint32_t>(1 + random.Next() % 20);
  RecoveryRules rules{.retry = 100, .retry_delay = Seconds(0.5 * random.Draw())};
  for (std::uint32_t i = 0; i < count; ++i) {
    std::set<std::uint32_t> needs;
    for (std::uint32_t k = 0; i > 0 && k < random.Next() % 4; ++k) {
      needs.insert(static_cast<std::uint32_t>(random.Next() % i));
    }
    maker.Task("t" + std::to_string(i), {needs.begin(), needs.end()}, kNone, rules);
  }
  const std::uint32_t a = maker.Task("stage-a", {}, kNone, rules);
  const std::uint32_t b = maker.Task("stage-b", {}, kNone, rules);
  const std::uint32_t c = maker.Task("stage-c", {}, kNone, rules);
  const std::uint32_t first = maker.Stage("first", {a, b});
  maker.Stage("second", {c}, {first});
  maker.AddHook(HookList::PreWorkflow, "pre");
  maker.AddHook(HookList::OnStageComplete, "stage 1");
  maker.AddHook(HookList::OnStageComplete, "stage 2", false, random.Next() % 2 == 0);
  maker.AddHook(HookList::OnError, "error");
  maker.AddHook(HookList::PostWorkflow, "post");
  maker.plan().worker_losses_max = 1'000;
  return maker.Share();
}

void CheckOrder(Cluster& cluster, const Plan& plan) {
  cluster.on_start = [&cluster, &plan](const AttemptSpec& spec) {
    if (spec.id.subject != Subject::Task) return;
    // P3: all that the task needs is durably settled. P4: its number is durable.
    EXPECT_EQ(cluster.Task(spec.id.index).attempts >= spec.id.number, true) << spec.task;
    for (Dependency need : plan.tasks[spec.id.index].needs) {
      if (need.on != Dependency::On::Task) continue;
      EXPECT_EQ(cluster.Task(need.index).state, TaskState::Completed)
          << spec.task << " started before " << plan.tasks[need.index].id;
    }
  };
}

void CheckEnd(const Cluster& cluster, const Plan& plan, std::uint64_t seed) {
  const Checkpoint end = cluster.State();
  EXPECT_EQ(end.run.state, RunState::Succeeded) << "seed " << seed;
  EXPECT_EQ(end.tasks.size(), plan.tasks.size()) << "seed " << seed;
  for (const auto& [id, starts] : cluster.starts()) {
    EXPECT_EQ(starts, 1u) << ToString(id) << " began twice, seed " << seed;
  }
  std::map<std::string, int> hooks;
  for (const HookRecord& hook : end.hooks) {
    ++hooks[std::string(Name(static_cast<HookList>(hook.list))) + std::to_string(hook.index) +
            hook.stage];
    EXPECT_EQ(hook.state, HookState::Succeeded) << "seed " << seed;
  }
  const std::map<std::string, int> expected = {{"pre_workflow0", 1},
                                               {"on_stage_complete0first", 1},
                                               {"on_stage_complete1first", 1},
                                               {"on_stage_complete0second", 1},
                                               {"on_stage_complete1second", 1},
                                               {"post_workflow0", 1}};
  EXPECT_EQ(hooks, expected) << "seed " << seed;
}

TEST(Cluster, EveryTaskRunsOnceWithoutFaults) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const auto plan = RandomPlan(seed);
    Cluster cluster(plan, seed, 1 + seed % 3, 1 + seed % 4);
    CheckOrder(cluster, *plan);
    cluster.Submit();

    ASSERT_TRUE(cluster.RunToEnd()) << "seed " << seed;

    CheckEnd(cluster, *plan, seed);
    for (std::uint32_t i = 0; i < plan->tasks.size(); ++i) {
      EXPECT_EQ(cluster.Task(i).attempts, 1u) << "seed " << seed;
    }
  }
}

// P5 and P6: restarts of the coordinator and of worker daemons repeat nothing and lose nothing.
TEST(Cluster, RestartsOfDaemonsRepeatNothing) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    const auto plan = RandomPlan(seed);
    Cluster cluster(plan, seed, 1 + seed % 3, 1 + seed % 4,
                    {.coordinator_crash = 0.02, .worker_crash = 0.02});
    CheckOrder(cluster, *plan);
    cluster.Submit();

    ASSERT_TRUE(cluster.RunToEnd()) << "seed " << seed;

    CheckEnd(cluster, *plan, seed);
    for (std::uint32_t i = 0; i < plan->tasks.size(); ++i) {
      EXPECT_EQ(cluster.successes().at(i), 1u) << plan->tasks[i].id << " seed " << seed;
      EXPECT_EQ(cluster.Task(i).extra->losses, 0u) << plan->tasks[i].id << " seed " << seed;
    }
  }
}

TEST(Cluster, LostMessagesLoseNothing) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const auto plan = RandomPlan(seed);
    Cluster cluster(plan, seed, 1 + seed % 3, 1 + seed % 4,
                    {.coordinator_crash = 0.01, .worker_crash = 0.01, .message_loss = 0.05});
    CheckOrder(cluster, *plan);
    cluster.Submit();

    ASSERT_TRUE(cluster.RunToEnd()) << "seed " << seed;

    CheckEnd(cluster, *plan, seed);
    for (std::uint32_t i = 0; i < plan->tasks.size(); ++i) {
      EXPECT_LE(cluster.successes().at(i), 1u + cluster.Task(i).extra->losses)
          << plan->tasks[i].id << " seed " << seed;
    }
  }
}

// Nothing but the network fails: every loss must be noticed by the heartbeats' counts.
TEST(Cluster, LostMessagesAreNoticedWithoutAnyRestart) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const auto plan = RandomPlan(seed);
    Cluster cluster(plan, seed, 1 + seed % 3, 1 + seed % 4, {.message_loss = 0.1});
    CheckOrder(cluster, *plan);
    cluster.Submit();

    ASSERT_TRUE(cluster.RunToEnd(std::chrono::hours(1))) << "seed " << seed;

    CheckEnd(cluster, *plan, seed);
    for (std::uint32_t i = 0; i < plan->tasks.size(); ++i) {
      EXPECT_LE(cluster.successes().at(i), 1u + cluster.Task(i).extra->losses)
          << plan->tasks[i].id << " seed " << seed;
    }
  }
}

TEST(Cluster, LostMachinesAreReplacedAndUseNoRetries) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const auto plan = RandomPlan(seed);
    Cluster cluster(plan, seed, 2, 1 + seed % 4, {.coordinator_crash = 0.01, .machine_loss = 0.01});
    CheckOrder(cluster, *plan);
    cluster.Submit();

    ASSERT_TRUE(cluster.RunToEnd()) << "seed " << seed;

    CheckEnd(cluster, *plan, seed);
    for (std::uint32_t i = 0; i < plan->tasks.size(); ++i) {
      EXPECT_EQ(cluster.Task(i).extra->step_failures, 0u) << "seed " << seed;
    }
  }
}

TEST(Cluster, FailingAgentsAreRetriedUntilTheySucceed) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const auto plan = RandomPlan(seed);
    Cluster cluster(plan, seed, 1 + seed % 3, 2,
                    {.coordinator_crash = 0.01, .worker_crash = 0.01, .agent_failure = 0.3});
    CheckOrder(cluster, *plan);
    // Hooks of this plan do not fail.
    Random dice(seed);
    cluster.outcome_of = [&](const AttemptSpec& spec) -> std::optional<FailureClass> {
      if (spec.id.subject == Subject::Hook || dice.Draw() > 0.3) return std::nullopt;
      return FailureClass::AgentError;
    };
    cluster.Submit();

    ASSERT_TRUE(cluster.RunToEnd()) << "seed " << seed;

    CheckEnd(cluster, *plan, seed);
    for (std::uint32_t i = 0; i < plan->tasks.size(); ++i) {
      EXPECT_EQ(cluster.successes().at(i), 1u) << plan->tasks[i].id << " seed " << seed;
    }
  }
}

}  // namespace
}  // namespace troupe
