// One sentence per reason (P9).
#include "coordinator/explain.h"

#include <gtest/gtest.h>

#include "tests/coordinator/story.h"

namespace troupe {
namespace {

using std::chrono::seconds;

std::string Why(const Story& story, std::uint32_t task) {
  const LiveRun* run = story.cluster.coordinator().Find(RunId{1});
  if (run == nullptr) return "(ended)";
  return Explain(*run, task, true, story.cluster.now(), &story.cluster.coordinator().pool());
}

// Steps until `task` is in this state.
void StepTo(Story& story, std::uint32_t task, TaskState state) {
  story.cluster.Submit();
  for (int i = 0; i < 10'000; ++i) {
    const LiveRun* run = story.cluster.coordinator().Find(RunId{1});
    if (run == nullptr || run->Record(task).state == state) return;
    story.cluster.Step();
  }
}

// How it is told once the run has ended.
std::string WhyInTheEnd(const Story& story, std::uint32_t task) {
  const Checkpoint end = story.cluster.State();
  LiveRun run(end.run, story.plan);
  Effects effects;
  WorkerPool pool;
  Random random(0);
  Turn turn{end.run.ended, effects, pool, random};
  run.Restore(end, {}, true, turn);
  return Explain(run, task, false, end.run.ended);
}

TEST(Explain, WaitsForOtherTasks) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  const auto b = maker.Task("b", {a});
  Story story(maker);
  StepTo(story, a, TaskState::Running);

  EXPECT_EQ(Why(story, b), "\"b\" waits for \"a\" (running).");
  EXPECT_EQ(Why(story, a).substr(0, 40), "\"a\" is running: attempt 1 on worker w1, ");
}

TEST(Explain, WaitsForHooks) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  const auto b = maker.Task("b");
  const auto first = maker.Stage("first", {a});
  maker.Stage("second", {b}, {first});
  maker.AddHook(HookList::PreWorkflow, "pre");
  maker.AddHook(HookList::OnStageComplete, "stage");
  Story story(maker);
  story.cluster.Submit();

  while (story.started.empty()) story.cluster.Step();
  EXPECT_EQ(Why(story, a), "\"a\" waits for the pre_workflow hooks.");
  while (story.started.size() < 3) story.cluster.Step();
  EXPECT_EQ(story.started.back(), "on_stage_complete[0]");
  EXPECT_EQ(Why(story, b), "\"b\" waits for the hooks of a stage before it.");
}

TEST(Explain, NoWorkerFits) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  maker.plan().tasks[a].settings = std::make_shared<const Settings>(Settings{.labels = {{"gpu"}}});
  Story story(maker);
  story.cluster.Submit();
  for (int i = 0; i < 20; ++i) story.cluster.Step();

  EXPECT_EQ(Why(story, a), "\"a\" is ready; no connected worker has the label \"gpu\".");
}

TEST(Explain, LimitsThatAreReached) {
  PlanMaker maker;
  maker.Task("a");
  const auto b = maker.Task("b");
  maker.plan().max_parallel = 1;
  Story story(maker);
  StepTo(story, 0, TaskState::Running);

  EXPECT_EQ(Why(story, b), "\"b\" is ready; the run has reached its max_parallel of 1.");
}

TEST(Explain, ARetryThatIsWaitedFor) {
  PlanMaker maker;
  const auto a = maker.Task("a", {}, kNone, {.retry = 3, .retry_delay = seconds(4)});
  Story story(maker, {{"a", {FailureClass::Timeout}}});
  StepTo(story, a, TaskState::Waiting);

  EXPECT_EQ(Why(story, a), "\"a\" waits for retry 1 of 3 in 4.0 s, after timeout: model.");
}

TEST(Explain, AnAgentThatIsShut) {
  PlanMaker maker;
  const auto agent = maker.Agent("api", {.fail_times = kNone});
  maker.plan().agents[agent].breaker = BreakerRules{.failures = 1};
  const auto a = maker.Task("a", {}, agent, {.retry = 3, .retry_delay = seconds(1)});
  const auto b = maker.Task("b", {a}, agent);
  maker.plan().tasks[b].needs.clear();
  maker.plan().tasks[b].priority = 1;
  maker.plan().max_parallel = 1;
  Story story(maker);
  StepTo(story, a, TaskState::Waiting);

  EXPECT_EQ(
      Why(story, b),
      "\"b\" is ready; agent \"api\" is shut for another 60.0 s: its circuit breaker is open.");
}

// Section 9, rule 2: it had retries and lost workers left.
TEST(Explain, WhyATaskWasGivenUpInARunThatIsAborted) {
  for (const FailureClass failure : {FailureClass::Timeout, FailureClass::WorkerLost}) {
    PlanMaker maker;
    maker.Task("a");
    const auto b = maker.Task("b", {}, kNone, {.retry = 2});
    Story story(maker, {{"a", {FailureClass::InvalidRequest}}, {"b", {failure}}});
    story.Takes("a", seconds(1));
    story.Takes("b", seconds(5));
    story.Run();

    const std::string why = WhyInTheEnd(story, b);
    EXPECT_EQ(why.substr(why.find(';')), "; nothing is tried again in a run that is aborted.")
        << why;
  }
}

TEST(Explain, WhyATaskWasGivenUp) {
  const auto story_of = [](const RecoveryRules& rules, FailureClass failure, std::uint32_t budget) {
    PlanMaker maker;
    maker.Task("a", {}, kNone, rules);
    maker.plan().retry_budget = budget;
    Story story(maker, {{"a", std::vector<FailureClass>(50, failure)}});
    story.Run();
    return WhyInTheEnd(story, 0);
  };

  EXPECT_EQ(story_of({.retry = 2}, FailureClass::Timeout, kNone),
            "\"a\" failed: it was given up after 3 attempts, the last with timeout: model; its 2 "
            "retries are used up.");
  EXPECT_EQ(story_of({.retry = 2}, FailureClass::Timeout, 1),
            "\"a\" failed: it was given up after 2 attempts, the last with timeout: model; the "
            "run's retry_budget of 1 is used up.");
  EXPECT_EQ(story_of({.retry = 2}, FailureClass::InvalidRequest, kNone),
            "\"a\" failed: it was given up after 1 attempt, the last with invalid_request: model; "
            "invalid_request is not retried.");
  EXPECT_EQ(story_of({.on_exhausted = OnExhausted::Skip}, FailureClass::AgentError, kNone),
            "\"a\" was skipped: it was given up after 1 attempt, the last with agent_error: model; "
            "it has no retries.");
}

TEST(Explain, BlockedAndCancelledTasksNameTheCause) {
  PlanMaker maker;
  const auto bad = maker.Task("p.bad", {}, kNone, {.on_exhausted = OnExhausted::Continue});
  const auto p = maker.Parent("p", {bad});
  const auto after = maker.Task("after", {p});
  const auto last = maker.Task("last", {after});
  Story story(maker, {{"p.bad", kAlways}});
  story.Run();

  EXPECT_EQ(
      WhyInTheEnd(story, last),
      "\"last\" is blocked: it needs \"p\", which failed with agent_error: subtask \"p.bad\": "
      "model.");
}

TEST(Explain, ParentsAndLoops) {
  PlanMaker maker;
  const auto loop = maker.Task("p.loop");
  const auto p = maker.Parent("p", {loop});
  maker.Loop(loop, {"1", "2", "3"}, false);
  Story story(maker);
  StepTo(story, loop, TaskState::Running);

  EXPECT_EQ(Why(story, loop),
            "\"p.loop\" is running: 0 of 3 iterations are settled, 1 are under way.");
  EXPECT_EQ(Why(story, p), "\"p\" is running: 0 of 1 subtasks are settled.");
}

TEST(Explain, ASkippedTaskSaysWhy) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  maker.Condition(a, {.op = Condition::Op::Never});
  Story story(maker);
  story.Run();

  EXPECT_EQ(WhyInTheEnd(story, a), "\"a\" was skipped: its condition was false.");
}

}  // namespace
}  // namespace troupe
