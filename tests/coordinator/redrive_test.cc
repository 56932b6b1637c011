// Dead letters are redriven: a new round of the same run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/story.h"

namespace troupe {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

const RecoveryRules kGoOn{.on_exhausted = OnExhausted::Continue};

// Runs to the end, forgets what started, redrives, and runs to the end again.
RunState RunAndRedrive(Story& story, const std::vector<std::string>& tasks = {}) {
  EXPECT_EQ(story.Run(), RunState::Failed);
  story.started.clear();
  story.specs.clear();
  const Status redriven = story.cluster.Redrive(tasks);
  EXPECT_TRUE(redriven) << redriven.error().message;
  EXPECT_TRUE(story.cluster.RunToEnd());
  return story.cluster.State().run.state;
}

// Example D of the language.
TEST(Redrive, RunsWhatFailedAndWhatItBlocked) {
  PlanMaker maker;
  const auto a = maker.Task("a", {}, kNone, kGoOn);
  const auto b = maker.Task("b", {a});
  maker.Task("c", {b});
  maker.Task("d");
  maker.AddHook(HookList::PreWorkflow, "pre", true);
  maker.AddHook(HookList::OnError, "error");
  maker.AddHook(HookList::PostWorkflow, "post");
  Story story(maker, {{"a", {FailureClass::AgentError}}});

  EXPECT_EQ(RunAndRedrive(story), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("a", "b", "c", "post_workflow[0]"));
  EXPECT_EQ(story.Environment("post_workflow[0]", "WORKFLOW_STATUS"), "succeeded");
  EXPECT_EQ(story.cluster.Task(a).attempts, 2u);
  EXPECT_FALSE(story.cluster.Task(a).dead_letter);
}

TEST(Redrive, ContinuesAnAbortedRun) {
  PlanMaker maker;
  const auto bad = maker.Task("bad");
  const auto later = maker.Task("later");
  maker.Task("after", {bad, later});
  Story story(maker, {{"bad", {FailureClass::AgentError}}}, 1, 1);

  EXPECT_EQ(RunAndRedrive(story), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("bad", "later", "after"));
}

TEST(Redrive, TakesOnlyTheDeadLettersThatAreNamed) {
  PlanMaker maker;
  const auto one = maker.Task("one", {}, kNone, kGoOn);
  const auto two = maker.Task("two", {}, kNone, kGoOn);
  const auto after_two = maker.Task("after_two", {two});
  Story story(maker, {{"one", {FailureClass::AgentError}}, {"two", {FailureClass::AgentError}}});

  EXPECT_EQ(RunAndRedrive(story, {"one"}), RunState::Failed);
  EXPECT_THAT(story.started, ElementsAre("one"));
  EXPECT_EQ(story.StateOf(one), TaskState::Completed);
  EXPECT_EQ(story.StateOf(after_two), TaskState::Blocked);
  EXPECT_EQ(story.cluster.State().run.first_failure, "task \"two\": agent_error: model");
}

TEST(Redrive, StartsCountersAtZeroAndNumbersGoOn) {
  PlanMaker maker;
  const auto agent = maker.Agent("agent", {.fail_times = 3});
  const auto task = maker.Task("a", {}, agent, {.retry = 1, .retry_delay = seconds(1)});
  maker.plan().retry_budget = 1;
  Story story(maker);

  // Attempts 1 and 2 fail; after the redrive 3 fails, which may be retried again, and 4 completes.
  EXPECT_EQ(RunAndRedrive(story), RunState::Succeeded);
  EXPECT_EQ(story.cluster.Task(task).attempts, 4u);
}

TEST(Redrive, BeginsWithTheFirstAgentAgain) {
  PlanMaker maker;
  const auto first = maker.Agent("first", {.fail_times = 1});
  const auto second = maker.Agent("second", {.fail_times = kNone});
  const auto task = maker.Task("a", {}, first, {.fallback_agents = {second}});
  Story story(maker);

  EXPECT_EQ(RunAndRedrive(story), RunState::Succeeded);
  EXPECT_EQ(story.cluster.Task(task).step, 0u);
  EXPECT_EQ(story.cluster.Task(task).attempts_by_step, (StepCounts{2, 1}));
}

TEST(Redrive, RunsTheHooksOfStagesThatCompleteInThisRound) {
  PlanMaker maker;
  maker.Task("one");
  maker.Task("two", {}, kNone, kGoOn);
  maker.Task("three");
  const auto first = maker.Stage("first", {0});
  const auto second = maker.Stage("second", {1}, {first});
  maker.Stage("third", {2}, {second});
  maker.AddHook(HookList::OnStageComplete, "stage");
  Story story(maker, {{"two", {FailureClass::AgentError}}});

  EXPECT_EQ(RunAndRedrive(story), RunState::Succeeded);
  EXPECT_THAT(story.started,
              ElementsAre("two", "on_stage_complete[0]", "three", "on_stage_complete[0]"));
  EXPECT_EQ(story.Environment("on_stage_complete[0]", "WORKFLOW_STAGE"), "second");
}

TEST(Redrive, RunsAFailedHookAgainWithThoseAfterIt) {
  PlanMaker maker;
  maker.Task("one");
  maker.Task("two");
  const auto first = maker.Stage("first", {0});
  maker.Stage("second", {1}, {first});
  maker.AddHook(HookList::OnStageComplete, "ok");
  maker.AddHook(HookList::OnStageComplete, "must", true);
  maker.AddHook(HookList::OnStageComplete, "last");
  Story story(maker, {{"on_stage_complete[1]", {FailureClass::HookFailed}}});

  EXPECT_EQ(RunAndRedrive(story), RunState::Succeeded);
  EXPECT_THAT(story.started,
              ElementsAre("on_stage_complete[1]", "on_stage_complete[2]", "two",
                          "on_stage_complete[0]", "on_stage_complete[1]", "on_stage_complete[2]"));
}

TEST(Redrive, AfterAFailedPreWorkflowBeginsWithWhatFailed) {
  PlanMaker maker;
  maker.Task("one");
  maker.AddHook(HookList::PreWorkflow, "done", true);
  maker.AddHook(HookList::PreWorkflow, "fails", true);
  maker.AddHook(HookList::PreWorkflow, "rest", true);
  maker.AddHook(HookList::PostWorkflow, "post");
  Story story(maker, {{"pre_workflow[1]", {FailureClass::HookFailed}}});

  EXPECT_EQ(RunAndRedrive(story), RunState::Succeeded);
  EXPECT_THAT(story.started,
              ElementsAre("pre_workflow[1]", "pre_workflow[2]", "one", "post_workflow[0]"));
}

TEST(Redrive, IterationsAreDeadLettersOfTheirOwn) {
  PlanMaker maker;
  const auto loop = maker.Task("loop", {}, kNone, kGoOn);
  const auto after = maker.Task("after", {loop});
  maker.Loop(loop, {"1", "2", "3", "4"}, false);
  Story story(maker,
              {{"loop[1]", {FailureClass::AgentError}}, {"loop[3]", {FailureClass::AgentError}}});

  EXPECT_EQ(RunAndRedrive(story, {"loop[1]"}), RunState::Failed);
  EXPECT_THAT(story.started, ElementsAre("loop[1]"));
  story.started.clear();
  ASSERT_TRUE(story.cluster.Redrive({"loop"}));
  EXPECT_TRUE(story.cluster.RunToEnd());

  EXPECT_EQ(story.cluster.State().run.state, RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("loop[3]", "after"));
  EXPECT_EQ(story.StateOf(after), TaskState::Completed);
}

TEST(Redrive, MakesTheIterationsThatAnAbortLeftOut) {
  PlanMaker maker;
  const auto loop = maker.Task("loop");
  maker.Loop(loop, {"1", "2", "3"}, false);
  Story story(maker, {{"loop[0]", {FailureClass::AgentError}}});

  EXPECT_EQ(RunAndRedrive(story), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("loop[0]", "loop[1]", "loop[2]"));
  EXPECT_EQ(story.StateOf(loop), TaskState::Completed);
}

TEST(Redrive, OpensParentsAgain) {
  PlanMaker maker;
  const auto bad = maker.Task("p.bad", {}, kNone, kGoOn);
  const auto good = maker.Task("p.good");
  const auto p = maker.Parent("p", {bad, good});
  maker.Task("after", {p});
  Story story(maker, {{"p.bad", {FailureClass::AgentError}}});

  EXPECT_EQ(RunAndRedrive(story, {"p"}), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("p.bad", "after"));
  EXPECT_EQ(story.StateOf(p), TaskState::Completed);
}

TEST(Redrive, SurvivesACrashInTheSecondRound) {
  PlanMaker maker;
  const auto a = maker.Task("a", {}, kNone, kGoOn);
  maker.Task("b", {a});
  maker.Stage("first", {0});
  maker.AddHook(HookList::OnStageComplete, "stage");
  maker.AddHook(HookList::PostWorkflow, "post");
  Story story(maker, {{"a", {FailureClass::AgentError}}});
  EXPECT_EQ(story.Run(), RunState::Failed);
  story.started.clear();

  ASSERT_TRUE(story.cluster.Redrive({}));
  for (int i = 0; i < 200 && !story.cluster.Ended(); ++i) {
    story.cluster.Step();
    story.cluster.CrashCoordinator();
  }
  EXPECT_TRUE(story.cluster.RunToEnd());

  EXPECT_EQ(story.cluster.State().run.state, RunState::Succeeded);
  EXPECT_THAT(story.started,
              testing::UnorderedElementsAre("a", "on_stage_complete[0]", "b", "post_workflow[0]"));
}

TEST(Redrive, RefusesWhatItCannotDo) {
  PlanMaker maker;
  maker.Task("good");
  maker.Task("bad", {}, kNone, kGoOn);
  Story story(maker, {{"bad", {FailureClass::AgentError}}});
  story.cluster.Submit();
  EXPECT_EQ(story.cluster.Redrive({}).error().code, ErrorCode::Invalid);
  EXPECT_TRUE(story.cluster.RunToEnd());

  EXPECT_EQ(story.cluster.Redrive({"bda"}).error().message,
            "run 1 has no task \"bda\"; did you mean \"bad\"?");
  EXPECT_EQ(story.cluster.Redrive({"good"}).error().message,
            "task \"good\" of run 1 is no dead letter");
  EXPECT_EQ(story.StateOf(1), TaskState::Failed);
}

TEST(Redrive, LeavesOutWhatWasDiscarded) {
  PlanMaker maker;
  const auto bad = maker.Task("bad", {}, kNone, kGoOn);
  Story story(maker, {{"bad", {FailureClass::AgentError}}});
  EXPECT_EQ(story.Run(), RunState::Failed);
  story.started.clear();

  ASSERT_TRUE(story.cluster.Discard({"bad"}));
  ASSERT_TRUE(story.cluster.Redrive({}));
  EXPECT_TRUE(story.cluster.RunToEnd());

  EXPECT_EQ(story.cluster.State().run.state, RunState::Failed);
  EXPECT_EQ(story.StateOf(bad), TaskState::Failed);
  EXPECT_THAT(story.started, IsEmpty());
}

}  // namespace
}  // namespace troupe
