// What a run does, rule by rule, on a cluster without faults.
#include "coordinator/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/coordinator/cluster.h"
#include "tests/coordinator/plans.h"
#include "tests/coordinator/story.h"

namespace troupe {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

TEST(Run, CompletesAChain) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  const auto b = maker.Task("b", {a});
  maker.Task("c", {b});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("a", "b", "c"));
}

TEST(Run, StartsReadyTasksByPriorityThenPlaceInTheFile) {
  PlanMaker maker;
  maker.Task("late");
  maker.Task("first");
  maker.Task("second");
  maker.plan().tasks[0].priority = 5;
  Story story(maker, {}, 1, 1);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("first", "second", "late"));
}

// Example A of the language.
TEST(Run, RetriesThenFallsBack) {
  PlanMaker maker;
  const auto primary = maker.Agent("primary_api", {.fail_times = kNone});
  const auto secondary = maker.Agent("secondary_api");
  const auto task =
      maker.Task("fetch", {}, primary,
                 {.retry = 3, .retry_delay = seconds(1), .fallback_agents = {secondary}});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_EQ(story.cluster.Task(task).attempts, 5u);
  EXPECT_EQ(story.cluster.Task(task).step, 1u);
  EXPECT_EQ(story.cluster.State().run.ended - story.cluster.State().run.started >= seconds(3),
            true);
}

TEST(Run, AFallbackAgentHasRetriesOfItsOwn) {
  PlanMaker maker;
  const auto primary = maker.Agent("primary_api", {.fail_times = kNone});
  const auto secondary = maker.Agent("secondary_api", {.fail_times = kNone});
  const auto task = maker.Task("fetch", {}, primary,
                               {.retry = 2, .fallback_agents = {secondary}, .fallback_retry = 1});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.cluster.Task(task).attempts_by_step, (StepCounts{3, 2}));
}

TEST(Run, AbortLetsRunningAttemptsFinishAndCancelsTheRest) {
  PlanMaker maker;
  const auto bad = maker.Task("bad");
  const auto other = maker.Task("other");
  const auto after_bad = maker.Task("after_bad", {bad});
  const auto after_other = maker.Task("after_other", {other});
  Story story(maker, {{"bad", kAlways}});
  story.Takes("bad", seconds(1));
  story.Takes("other", seconds(9));

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.StateOf(bad), TaskState::Failed);
  EXPECT_TRUE(story.cluster.Task(bad).dead_letter);
  EXPECT_EQ(story.StateOf(other), TaskState::Completed);
  EXPECT_EQ(story.StateOf(after_bad), TaskState::Blocked);
  EXPECT_EQ(story.StateOf(after_other), TaskState::Cancelled);
}

// Example D of the language.
TEST(Run, ContinueBlocksDependentsAndRunsTheRest) {
  PlanMaker maker;
  const auto a = maker.Task("a", {}, kNone, {.on_exhausted = OnExhausted::Continue});
  const auto b = maker.Task("b", {a});
  const auto c = maker.Task("c", {b});
  const auto d = maker.Task("d");
  const auto after_d = maker.Task("after_d", {d});
  maker.AddHook(HookList::OnError, "error");
  maker.AddHook(HookList::PostWorkflow, "post");
  Story story(maker, {{"a", kAlways}});
  story.Takes("a", seconds(1));
  story.Takes("d", seconds(9));

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.StateOf(a), TaskState::Failed);
  EXPECT_EQ(story.StateOf(b), TaskState::Blocked);
  EXPECT_EQ(story.StateOf(c), TaskState::Blocked);
  EXPECT_EQ(story.StateOf(d), TaskState::Completed);
  EXPECT_EQ(story.StateOf(after_d), TaskState::Completed);
  EXPECT_EQ(story.Environment("on_error[0]", "WORKFLOW_ERROR"), "task \"a\": agent_error: model");
  EXPECT_EQ(story.Environment("on_error[0]", "WORKFLOW_STATUS"), "failed");
  EXPECT_EQ(story.Environment("post_workflow[0]", "WORKFLOW_STATUS"), "failed");
  EXPECT_EQ(story.started.back(), "post_workflow[0]");
}

TEST(Run, SkipLetsDependentsRun) {
  PlanMaker maker;
  const auto a = maker.Task("a", {}, kNone, {.on_exhausted = OnExhausted::Skip});
  const auto b = maker.Task("b", {a});
  Story story(maker, {{"a", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_EQ(story.StateOf(a), TaskState::Skipped);
  EXPECT_FALSE(story.cluster.Task(a).dead_letter);
  EXPECT_EQ(story.StateOf(b), TaskState::Completed);
}

TEST(Run, StagesWaitForStagesAndTheirHooks) {
  PlanMaker maker;
  maker.Task("one");
  maker.Task("two");
  maker.Task("three");
  const auto first = maker.Stage("first", {0, 1});
  const auto empty = maker.Stage("empty", {}, {first});
  maker.Stage("last", {2}, {empty});
  maker.AddHook(HookList::PreWorkflow, "pre", true);
  maker.AddHook(HookList::OnStageComplete, "stage");
  maker.AddHook(HookList::OnError, "error");
  maker.AddHook(HookList::PostWorkflow, "post");
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("pre_workflow[0]", "one", "two", "on_stage_complete[0]",
                                         "on_stage_complete[0]", "three", "on_stage_complete[0]",
                                         "post_workflow[0]"));
  EXPECT_GT(story.Began("three"), story.Ended("on_stage_complete[0]", 2));
}

TEST(Run, AsyncHooksHoldUpOnlyTheEnd) {
  PlanMaker maker;
  maker.Task("one");
  maker.AddHook(HookList::PreWorkflow, "slow", false, true);
  maker.AddHook(HookList::PreWorkflow, "next");
  maker.AddHook(HookList::PostWorkflow, "post");
  Story story(maker);
  story.Takes("pre_workflow[0]", seconds(100));

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(story.started,
              ElementsAre("pre_workflow[0]", "pre_workflow[1]", "one", "post_workflow[0]"));
  EXPECT_LT(story.Began("pre_workflow[1]"), story.Ended("pre_workflow[0]"));
  EXPECT_LT(story.Began("one"), story.Ended("pre_workflow[0]"));
  EXPECT_GT(story.Began("post_workflow[0]"), story.Ended("pre_workflow[0]"));
}

TEST(Run, AFailedPreWorkflowStartsNoTask) {
  PlanMaker maker;
  const auto task = maker.Task("one");
  maker.AddHook(HookList::PreWorkflow, "pre", true);
  maker.AddHook(HookList::PreWorkflow, "never", true);
  maker.AddHook(HookList::OnError, "error");
  maker.AddHook(HookList::PostWorkflow, "post");
  Story story(maker, {{"pre_workflow[0]", {FailureClass::HookFailed}}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.StateOf(task), TaskState::Cancelled);
  EXPECT_THAT(story.started, ElementsAre("pre_workflow[0]", "on_error[0]", "post_workflow[0]"));
  EXPECT_EQ(story.Environment("post_workflow[0]", "WORKFLOW_ERROR"), "hook pre_workflow[0]: model");
}

TEST(Run, AFailingStageHookAbortsTheRun) {
  PlanMaker maker;
  maker.Task("one");
  const auto two = maker.Task("two");
  const auto first = maker.Stage("first", {0});
  maker.Stage("second", {1}, {first});
  maker.AddHook(HookList::OnStageComplete, "stage", true);
  Story story(maker, {{"on_stage_complete[0]", {FailureClass::HookFailed}}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.StateOf(two), TaskState::Cancelled);
}

TEST(Run, AFailingFailHookInPostWorkflowFailsTheRun) {
  PlanMaker maker;
  maker.Task("one");
  maker.AddHook(HookList::PostWorkflow, "warn");
  maker.AddHook(HookList::PostWorkflow, "fail", true);
  Story story(maker, {{"post_workflow[0]", {FailureClass::HookFailed}},
                      {"post_workflow[1]", {FailureClass::HookFailed}}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.cluster.State().run.first_failure, "hook post_workflow[1]: model");
}

TEST(Run, KeepsToMaxParallelAndMaxConcurrent) {
  PlanMaker maker;
  const auto agent = maker.Agent("narrow");
  maker.plan().agents[agent].provider = Provider::Command;
  maker.plan().agents[agent].command = {Literal("true")};
  maker.plan().agents[agent].max_concurrent = 2;
  for (int i = 0; i < 10; ++i) maker.Task("n" + std::to_string(i), {}, agent);
  for (int i = 0; i < 10; ++i) maker.Task("w" + std::to_string(i));
  maker.plan().max_parallel = 5;
  Story story(maker, {}, 2, 8);
  story.cluster.Submit();
  std::uint32_t most = 0;
  std::uint32_t most_narrow = 0;
  while (!story.cluster.Ended()) {
    story.cluster.Step();
    const LiveRun* run = story.cluster.coordinator().Find(RunId{1});
    if (run == nullptr) continue;
    most = std::max(most, run->running());
    most_narrow = std::max(most_narrow, run->AgentRunning(agent));
  }

  EXPECT_EQ(most, 5u);
  EXPECT_EQ(most_narrow, 2u);
}

TEST(Run, PausesAndGoesOn) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  const auto b = maker.Task("b", {a});
  Story story(maker);
  story.cluster.Submit();
  while (story.started.empty()) story.cluster.Step();

  story.cluster.StepCoordinator(PauseRun{RunId{1}, false});
  EXPECT_FALSE(story.cluster.RunToEnd(std::chrono::hours(1)));
  EXPECT_EQ(story.StateOf(a), TaskState::Completed);
  EXPECT_EQ(story.StateOf(b), TaskState::Pending);
  EXPECT_EQ(story.cluster.State().run.state, RunState::Paused);
  story.cluster.CrashCoordinator();
  story.cluster.StepCoordinator(ResumeRun{RunId{1}});

  EXPECT_TRUE(story.cluster.RunToEnd());
  EXPECT_EQ(story.cluster.State().run.state, RunState::Succeeded);
}

TEST(Run, APauseThatStopsHandsAttemptsBackWithoutARetry) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  Story story(maker);
  story.cluster.Submit();
  while (story.started.empty()) story.cluster.Step();
  story.cluster.StepCoordinator(PauseRun{RunId{1}, true});
  while (story.cluster.coordinator().Find(RunId{1})->running() > 0) story.cluster.Step();
  story.cluster.StepCoordinator(ResumeRun{RunId{1}});

  EXPECT_TRUE(story.cluster.RunToEnd());
  EXPECT_EQ(story.StateOf(a), TaskState::Completed);
  EXPECT_EQ(story.cluster.Task(a).attempts, 2u);
  EXPECT_EQ(story.cluster.Task(a).extra->step_failures, 0u);
}

TEST(Run, CancelStopsAttemptsAndRunsPostWorkflow) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  const auto b = maker.Task("b", {a});
  maker.AddHook(HookList::OnError, "error");
  maker.AddHook(HookList::PostWorkflow, "post");
  Story story(maker);
  story.cluster.Submit();
  while (story.started.empty()) story.cluster.Step();

  story.cluster.StepCoordinator(CancelRun{RunId{1}});

  EXPECT_TRUE(story.cluster.RunToEnd());
  EXPECT_EQ(story.cluster.State().run.state, RunState::Cancelled);
  EXPECT_EQ(story.StateOf(a), TaskState::Cancelled);
  EXPECT_EQ(story.StateOf(b), TaskState::Cancelled);
  EXPECT_THAT(story.started, ElementsAre("a", "post_workflow[0]"));
  EXPECT_EQ(story.Environment("post_workflow[0]", "WORKFLOW_STATUS"), "cancelled");
}

TEST(Run, PrefersAnotherWorkerAfterAFailure) {
  PlanMaker maker;
  const auto a = maker.Task("a", {}, kNone, {.retry = 1});
  Story story(maker, {{"a", {FailureClass::AgentError}}}, 2);
  story.cluster.Submit();
  while (story.started.empty()) story.cluster.Step();
  const std::string first = story.cluster.Task(a).worker;

  EXPECT_TRUE(story.cluster.RunToEnd());
  EXPECT_NE(story.cluster.Task(a).worker, first);
}

TEST(Run, SpawnFailedGoesToAnotherWorkerAndUsesNoRetry) {
  PlanMaker maker;
  const auto a = maker.Task("a", {}, kNone, {.prefer_other_worker = false});
  Story story(maker, {{"a", {FailureClass::SpawnFailed, FailureClass::SpawnFailed}}}, 3);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_EQ(story.cluster.Task(a).attempts, 3u);
  EXPECT_EQ(story.cluster.Task(a).extra->step_failures, 0u);
  EXPECT_EQ(story.cluster.Task(a).extra->unfit_workers.size(), 2u);
  EXPECT_NE(story.cluster.Task(a).extra->unfit_workers[0],
            story.cluster.Task(a).extra->unfit_workers[1]);
}

TEST(Run, QueueTimeoutEndsAWaitForAWorkerThatNeverComes) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  maker.plan().tasks[a].settings =
      std::make_shared<const Settings>(Settings{.queue_timeout = seconds(30), .labels = {{"gpu"}}});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.cluster.Task(a).failure, FailureClass::QueueTimeout);
  EXPECT_EQ(story.cluster.Task(a).attempts, 0u);
}

TEST(Run, APoisonTaskIsGivenUpAfterItsLosses) {
  PlanMaker maker;
  const auto a = maker.Task("a", {}, kNone, {.retry = 5});
  Story story(maker, {}, 2);
  story.cluster.Submit();
  for (int loss = 0; loss < 3; ++loss) {
    while (story.started.size() <= static_cast<std::size_t>(loss)) story.cluster.Step();
    story.cluster.LoseMachine(story.cluster.Task(a).worker);
  }

  EXPECT_TRUE(story.cluster.RunToEnd());
  EXPECT_EQ(story.StateOf(a), TaskState::Failed);
  EXPECT_EQ(story.cluster.Task(a).failure, FailureClass::WorkerLost);
  EXPECT_EQ(story.cluster.Task(a).attempts, 3u);
}

TEST(Run, ALongChainAndABlockedChainDoNotRecurse) {
  PlanMaker maker;
  std::vector<std::uint32_t> before;
  const auto agent = maker.Agent("mock");
  maker.Task("bad", {}, kNone, {.on_exhausted = OnExhausted::Continue});
  for (std::uint32_t i = 1; i < 50'000; ++i) {
    maker.Task("t" + std::to_string(i), {i - 1}, agent);
  }
  Story story(maker, {{"bad", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.StateOf(49'999), TaskState::Blocked);
}

}  // namespace
}  // namespace troupe
