// Hooks, rule by rule (docs/language.md, "Hooks"). Rounds are in redrive_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/story.h"

namespace troupe {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const RecoveryRules kGoOn{.on_exhausted = OnExhausted::Continue};

std::vector<FailureClass> Fails(std::size_t times = 1) {
  return std::vector<FailureClass>(times, FailureClass::HookFailed);
}

TEST(Hooks, ItemsRunOneAfterAnotherAndAFailedWarnItemDoesNotEndTheList) {
  PlanMaker maker;
  maker.Task("one");
  maker.AddHook(HookList::PreWorkflow, "warns");
  maker.AddHook(HookList::PreWorkflow, "goes on");
  Story story(maker, {{"pre_workflow[0]", Fails()}});

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("pre_workflow[0]", "pre_workflow[1]", "one"));
  EXPECT_GT(story.Began("pre_workflow[1]"), story.Ended("pre_workflow[0]"));
  EXPECT_GT(story.Began("one"), story.Ended("pre_workflow[1]"));
}

TEST(Hooks, AFailedFailItemEndsItsList) {
  PlanMaker maker;
  maker.Task("bad");
  maker.AddHook(HookList::OnError, "must", true);
  maker.AddHook(HookList::OnError, "never");
  maker.AddHook(HookList::PostWorkflow, "post");
  Story story(maker, {{"bad", kAlways}, {"on_error[0]", Fails()}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_THAT(story.started, ElementsAre("bad", "on_error[0]", "post_workflow[0]"));
  EXPECT_EQ(story.cluster.State().run.first_failure, "task \"bad\": agent_error: model");
}

TEST(Hooks, OnErrorRunsOnceARunAndNotIfItSucceeds) {
  PlanMaker maker;
  maker.Task("a", {}, kNone, kGoOn);
  maker.Task("b", {}, kNone, kGoOn);
  maker.AddHook(HookList::OnError, "error");
  Story failing(maker, {{"a", kAlways}, {"b", kAlways}});
  EXPECT_EQ(failing.Run(), RunState::Failed);
  EXPECT_EQ(std::count(failing.started.begin(), failing.started.end(), "on_error[0]"), 1);

  Story fine(maker);
  EXPECT_EQ(fine.Run(), RunState::Succeeded);
  EXPECT_THAT(fine.started, testing::Not(testing::Contains("on_error[0]")));
}

TEST(Hooks, AreToldHowTheRunStands) {
  PlanMaker maker;
  maker.Task("good");
  maker.Task("bad", {}, kNone, kGoOn);
  maker.Task("worse", {}, kNone, kGoOn);
  maker.Stage("build", {0, 1, 2});
  for (int list = 0; list < kHookListCount; ++list) maker.AddHook(static_cast<HookList>(list), "x");
  maker.plan().hooks[0][0].env = {{"OWN", Literal("its own")}};
  Story story(maker, {{"bad", kAlways}, {"worse", kAlways}}, 1, 1);
  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.Environment("pre_workflow[0]", "OWN"), "its own");
  const auto expect = [&](const std::string& hook, const std::string& stage,
                          const std::string& status, const std::string& error) {
    EXPECT_EQ(story.Environment(hook, "WORKFLOW_NAME"), "test") << hook;
    EXPECT_EQ(story.Environment(hook, "WORKFLOW_VERSION"), "1.0.0") << hook;
    EXPECT_EQ(story.Environment(hook, "WORKFLOW_STAGE"), stage) << hook;
    EXPECT_EQ(story.Environment(hook, "WORKFLOW_STATUS"), status) << hook;
    EXPECT_EQ(story.Environment(hook, "WORKFLOW_ERROR"), error) << hook;
  };

  const std::string error = "task \"bad\": agent_error: model (and 1 more)";
  expect("pre_workflow[0]", "", "running", "");
  expect("on_stage_complete[0]", "build", "running", error);
  expect("on_error[0]", "build", "failed", error);
  expect("post_workflow[0]", "", "failed", error);
}

TEST(Hooks, TheErrorIsOneLineOfAtMost8192Bytes) {
  PlanMaker maker;
  maker.Task("bad\ttask", {}, kNone, kGoOn);
  maker.Task("other", {}, kNone, kGoOn);
  maker.AddHook(HookList::PostWorkflow, "post");
  const auto plan = maker.Share();
  Cluster cluster(plan, 1, 1, 1);
  std::string error;
  cluster.on_start = [&](const AttemptSpec& spec) {
    for (const auto& [name, value] : spec.env) {
      if (name == "WORKFLOW_ERROR") error = value;
    }
  };
  cluster.outcome_of = [](const AttemptSpec& spec) -> std::optional<FailureClass> {
    if (spec.id.subject == Subject::Hook) return std::nullopt;
    return FailureClass::AgentError;
  };
  cluster.message_of = [](const AttemptSpec&) {
    return "first\nsecond" + std::string(20'000, 'x') + "\xE2\x82\xAC";
  };
  cluster.Submit();
  ASSERT_TRUE(cluster.RunToEnd());

  EXPECT_LE(error.size(), 8'192u);
  EXPECT_EQ(error.find('\n'), std::string::npos);
  EXPECT_THAT(error, HasSubstr("first second"));
  EXPECT_THAT(error, testing::EndsWith("(and 1 more)"));
}

TEST(Hooks, AStageWithABlockedTaskNeverCompletes) {
  PlanMaker maker;
  const auto bad = maker.Task("bad", {}, kNone, kGoOn);
  maker.Task("blocked", {bad});
  maker.Stage("stage", {1});
  maker.AddHook(HookList::OnStageComplete, "stage");
  Story story(maker, {{"bad", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_THAT(story.started, ElementsAre("bad"));
}

TEST(Hooks, AStageWithAFailedTaskIsComplete) {
  PlanMaker maker;
  maker.Task("bad", {}, kNone, kGoOn);
  maker.Stage("stage", {0});
  maker.AddHook(HookList::OnStageComplete, "stage");
  Story story(maker, {{"bad", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_THAT(story.started, ElementsAre("bad", "on_stage_complete[0]"));
}

TEST(Hooks, NoStageHookRunsWhileTheRunAborts) {
  PlanMaker maker;
  maker.Task("fine");
  maker.Task("bad");
  maker.Stage("stage", {0, 1});
  maker.AddHook(HookList::OnStageComplete, "stage");
  Story story(maker, {{"bad", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.StateOf(0), TaskState::Completed);
  EXPECT_THAT(story.started, testing::UnorderedElementsAre("fine", "bad"));
}

TEST(Hooks, ACancelledRunHasNoOnErrorButPostWorkflow) {
  PlanMaker maker;
  maker.Task("bad", {}, kNone, kGoOn);
  maker.Task("one");
  maker.AddHook(HookList::OnError, "error");
  maker.AddHook(HookList::PostWorkflow, "post");
  Story story(maker, {{"bad", kAlways}}, 1, 1);
  story.cluster.Submit();
  while (story.started.size() < 2) story.cluster.Step();
  story.cluster.StepCoordinator(CancelRun{RunId{1}});
  ASSERT_TRUE(story.cluster.RunToEnd());

  EXPECT_EQ(story.cluster.State().run.state, RunState::Cancelled);
  EXPECT_EQ(story.StateOf(0), TaskState::Failed);
  EXPECT_THAT(story.started, ElementsAre("bad", "one", "post_workflow[0]"));
  EXPECT_EQ(story.Environment("post_workflow[0]", "WORKFLOW_STATUS"), "cancelled");
}

TEST(Hooks, TakeNoSlot) {
  PlanMaker maker;
  maker.Task("one");
  maker.AddHook(HookList::PreWorkflow, "slow", false, true);
  Story story(maker, {}, 1, 1);
  story.cluster.Submit();
  for (int i = 0; i < 5; ++i) story.cluster.Step();

  EXPECT_THAT(story.started, ElementsAre("pre_workflow[0]", "one"));
}

TEST(Hooks, RunOnlyWhereTheLabelsAreAndWaitNoLongerThanTheirTimeout) {
  PlanMaker maker;
  maker.Task("one");
  maker.AddHook(HookList::PreWorkflow, "elsewhere");
  Hook& hook = maker.plan().hooks[0][0];
  hook.runs_on = {"disk"};
  hook.timeout = seconds(7);
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("one"));
  const HookRecord record = story.cluster.State().hooks.at(0);
  EXPECT_EQ(record.state, HookState::Failed);
  EXPECT_EQ(record.message, "no worker took it in time");
  EXPECT_EQ(record.ended - record.ready_since, seconds(7));
}

TEST(Hooks, WhoseWorkerIsLostStartAgainUpToTheLimit) {
  PlanMaker maker;
  maker.Task("one");
  maker.AddHook(HookList::PreWorkflow, "poison", true);
  const auto plan = maker.Share();
  Cluster cluster(plan, 1, 2, 1);
  bool begun = false;
  cluster.on_start = [&](const AttemptSpec& spec) { begun = spec.id.subject == Subject::Hook; };
  cluster.Submit();
  for (int i = 0; i < 100'000 && !cluster.Ended(); ++i) {
    cluster.Step();
    if (std::exchange(begun, false)) cluster.LoseMachine(cluster.State().hooks.at(0).worker);
  }

  const Checkpoint end = cluster.State();
  EXPECT_EQ(end.run.state, RunState::Failed);
  EXPECT_EQ(end.hooks.at(0).attempts, 3u);
  EXPECT_EQ(end.hooks.at(0).losses, 3u);
  EXPECT_EQ(cluster.Task(0).state, TaskState::Cancelled);
}

TEST(Hooks, AreRecordsWithTheirOutput) {
  PlanMaker maker;
  maker.Task("one");
  maker.AddHook(HookList::PostWorkflow, "post");
  maker.plan().hooks[static_cast<std::size_t>(HookList::PostWorkflow)][0].description = "Tidy up";
  Story story(maker);
  EXPECT_EQ(story.Run(), RunState::Succeeded);

  const HookRecord record = story.cluster.State().hooks.at(0);
  EXPECT_EQ(record.command, "post");
  EXPECT_EQ(record.description, "Tidy up");
  EXPECT_EQ(record.worker, "w1");
  EXPECT_GT(record.ended, record.started);
}

TEST(Hooks, WithNoTasksLeftToRunStillEndTheRun) {
  PlanMaker maker;
  const auto never = maker.Task("never");
  maker.Condition(never, {.op = Condition::Op::Never});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(story.started, IsEmpty());
}

}  // namespace
}  // namespace troupe
