// Conditions, parents and loops, rule by rule, on a cluster without faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/story.h"

namespace troupe {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

Condition Asks(std::uint32_t task, AskedStatus status) {
  return {.op = Condition::Op::TaskStatus, .task = task, .status = status};
}

TEST(Condition, FalseSkipsTheTaskAndLetsDependentsRun) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  const auto b = maker.Task("b", {a});
  maker.Condition(a, {.op = Condition::Op::Never});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_EQ(story.StateOf(a), TaskState::Skipped);
  EXPECT_EQ(story.StateOf(b), TaskState::Completed);
}

TEST(Condition, OnAFailureRunsTheBranchAndTheRunStillFails) {
  PlanMaker maker;
  const auto a = maker.Task("a", {}, kNone, {.on_exhausted = OnExhausted::Continue});
  const auto b = maker.Task("b", {a});
  const auto on_failure = maker.Task("on_failure", {a});
  const auto on_success = maker.Task("on_success");
  maker.Condition(on_failure, Asks(a, AskedStatus::Failed), {a});
  maker.Condition(on_success, Asks(a, AskedStatus::Completed), {a});
  Story story(maker, {{"a", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.StateOf(b), TaskState::Blocked);
  EXPECT_EQ(story.StateOf(on_failure), TaskState::Completed);
  EXPECT_EQ(story.StateOf(on_success), TaskState::Skipped);
}

TEST(Condition, IsLookedAtWhenAllHasSettledAndOtherFailuresBlock) {
  PlanMaker maker;
  const RecoveryRules go_on{.on_exhausted = OnExhausted::Continue};
  const auto asked = maker.Task("asked", {}, kNone, go_on);
  const auto other = maker.Task("other", {}, kNone, go_on);
  const auto task = maker.Task("task", {asked, other});
  maker.Condition(task, Asks(asked, AskedStatus::Failed), {asked});
  Story story(maker, {{"asked", kAlways}, {"other", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.StateOf(task), TaskState::Blocked);
}

TEST(Condition, LooksThroughTheGateOfAStage) {
  PlanMaker maker;
  const RecoveryRules go_on{.on_exhausted = OnExhausted::Continue};
  maker.Task("good");
  maker.Task("bad", {}, kNone, go_on);
  const auto mend = maker.Task("mend");
  const auto plain = maker.Task("plain");
  const auto first = maker.Stage("first", {0, 1});
  maker.Stage("second", {mend, plain}, {first});
  maker.Condition(mend, Asks(1, AskedStatus::Failed), {1});
  maker.AddHook(HookList::OnStageComplete, "stage");
  Story story(maker, {{"bad", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.StateOf(mend), TaskState::Completed);
  EXPECT_EQ(story.StateOf(plain), TaskState::Blocked);
  // The hooks of the first stage come before the second begins.
  EXPECT_EQ(story.started.back(), "mend");
}

TEST(Condition, ReadsTheStateThatTasksWrite) {
  PlanMaker maker;
  const auto a = maker.Task("a");
  const auto yes = maker.Task("yes", {a});
  const auto no = maker.Task("no", {a});
  maker.plan().tasks[a].extra.Change().set = {{"count", true, Literal("1.0")},
                                              {"word", false, Literal("1")}};
  maker.Condition(yes, {.op = Condition::Op::StateEquals, .key = "count", .value_json = "1"});
  maker.Condition(no, {.op = Condition::Op::StateEquals, .key = "word", .value_json = "1"});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_EQ(story.StateOf(yes), TaskState::Completed);
  EXPECT_EQ(story.StateOf(no), TaskState::Skipped);
  EXPECT_EQ(story.cluster.State().run.state_json, R"({"count":1.0,"word":"1"})");
}

TEST(Condition, AnEmptyAndIsTrueAnEmptyOrFalse) {
  PlanMaker maker;
  const auto all = maker.Task("all");
  const auto any = maker.Task("any");
  const auto none = maker.Task("none");
  maker.Condition(all, {.op = Condition::Op::And});
  maker.Condition(any, {.op = Condition::Op::Or});
  maker.Condition(none, {.op = Condition::Op::Not, .parts = {{.op = Condition::Op::Or}}});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_EQ(story.StateOf(all), TaskState::Completed);
  EXPECT_EQ(story.StateOf(any), TaskState::Skipped);
  EXPECT_EQ(story.StateOf(none), TaskState::Completed);
}

TEST(Condition, AChainOfSkippedTasksDoesNotRecurse) {
  PlanMaker maker;
  for (std::uint32_t i = 0; i < 50'000; ++i) {
    maker.Task("t" + std::to_string(i),
               i == 0 ? std::vector<std::uint32_t>() : std::vector<std::uint32_t>{i - 1});
    maker.Condition(i, {.op = Condition::Op::Never});
  }
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_TRUE(story.started.empty());
}

TEST(Parent, SubtasksWaitForWhatItNeedsAndDependentsForAllOfThem) {
  PlanMaker maker;
  const auto before = maker.Task("before");
  const auto x = maker.Task("p.x");
  const auto y = maker.Task("p.y", {x});
  const auto p = maker.Parent("p", {x, y}, {before});
  maker.Task("after", {p});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("before", "p.x", "p.y", "after"));
  EXPECT_EQ(story.StateOf(p), TaskState::Completed);
  EXPECT_EQ(story.cluster.State().run.tasks, 4u);
  EXPECT_EQ(story.cluster.State().run.settled, 4u);
}

TEST(Parent, AFalseConditionSkipsAllSubtasksAtAnyDepth) {
  PlanMaker maker;
  const auto deep = maker.Task("p.q.deep");
  const auto q = maker.Parent("p.q", {deep});
  const auto x = maker.Task("p.x");
  const auto p = maker.Parent("p", {q, x});
  const auto after = maker.Task("after", {p});
  maker.Condition(p, {.op = Condition::Op::Never});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  for (std::uint32_t task : {deep, q, x, p}) EXPECT_EQ(story.StateOf(task), TaskState::Skipped);
  EXPECT_EQ(story.StateOf(after), TaskState::Completed);
  EXPECT_THAT(story.started, ElementsAre("after"));
}

TEST(Parent, FailsWhenAllHasSettledAndBlocksDependentsAtOnce) {
  PlanMaker maker;
  const auto bad = maker.Task("p.bad", {}, kNone, {.on_exhausted = OnExhausted::Continue});
  const auto after_bad = maker.Task("p.after_bad", {bad});
  const auto good = maker.Task("p.good");
  const auto p = maker.Parent("p", {bad, after_bad, good});
  const auto after = maker.Task("after", {p});
  Story story(maker, {{"p.bad", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_EQ(story.StateOf(p), TaskState::Failed);
  EXPECT_EQ(story.cluster.Task(p).extra->message, "subtask \"p.bad\": model");
  EXPECT_FALSE(story.cluster.Task(p).dead_letter);
  EXPECT_EQ(story.StateOf(after_bad), TaskState::Blocked);
  EXPECT_EQ(story.StateOf(good), TaskState::Completed);
  EXPECT_EQ(story.StateOf(after), TaskState::Blocked);
  const auto place = [&](RunEvent::Kind kind, const std::string& task) {
    const auto& told = story.cluster.told();
    return std::find_if(told.begin(), told.end(), [&](const RunEvent& event) {
      return event.kind == kind && event.task == task;
    });
  };
  EXPECT_LT(place(RunEvent::Kind::TaskBlocked, "after"), place(RunEvent::Kind::TaskFailed, "p"));
}

TEST(Parent, IsBlockedWithItsSubtasksAndCancelledWithThem) {
  PlanMaker maker;
  const auto bad = maker.Task("bad", {}, kNone, {.on_exhausted = OnExhausted::Continue});
  const auto x = maker.Task("p.x");
  const auto p = maker.Parent("p", {x}, {bad});
  Story blocked(maker, {{"bad", kAlways}});
  EXPECT_EQ(blocked.Run(), RunState::Failed);
  EXPECT_EQ(blocked.StateOf(x), TaskState::Blocked);
  EXPECT_EQ(blocked.StateOf(p), TaskState::Blocked);

  PlanMaker second;
  const auto aborts = second.Task("aborts");
  const auto slow = second.Task("slow");
  const auto y = second.Task("p.y", {slow});
  const auto parent = second.Parent("p", {y});
  Story cancelled(second, {{"aborts", kAlways}}, 1, 1);
  EXPECT_EQ(cancelled.Run(), RunState::Failed);
  EXPECT_EQ(cancelled.StateOf(aborts), TaskState::Failed);
  EXPECT_EQ(cancelled.StateOf(y), TaskState::Cancelled);
  EXPECT_EQ(cancelled.StateOf(parent), TaskState::Cancelled);
}

TEST(Parent, StandsForItsSubtasksInAStage) {
  PlanMaker maker;
  const auto x = maker.Task("p.x");
  const auto p = maker.Parent("p", {x});
  const auto last = maker.Task("last");
  const auto first = maker.Stage("first", {});
  maker.plan().stages[first].tasks = {p};
  maker.plan().gates[maker.plan().stages[first].gate].needs = {{Dependency::On::Task, p}};
  maker.plan().tasks[p].stage = maker.plan().tasks[x].stage = first;
  maker.Stage("second", {last}, {first});
  maker.AddHook(HookList::OnStageComplete, "stage");
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(story.started,
              ElementsAre("p.x", "on_stage_complete[0]", "last", "on_stage_complete[0]"));
}

TEST(Loop, IterationsAreTasksOfTheirOwn) {
  PlanMaker maker;
  const auto loop = maker.Task("loop", {}, kNone, {.retry = 1});
  const auto after = maker.Task("after", {loop});
  maker.Loop(loop, {"\"a\"", "\"b\"", "\"c\""});
  Story story(maker, {{"loop[1]", {FailureClass::AgentError}}});

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(std::vector<std::string>(story.started.begin(), story.started.end() - 1),
              UnorderedElementsAre("loop[0]", "loop[1]", "loop[1]", "loop[2]"));
  EXPECT_EQ(story.StateOf(loop), TaskState::Completed);
  EXPECT_EQ(story.StateOf(after), TaskState::Completed);
  EXPECT_EQ(story.cluster.State().run.tasks, 4u);
  EXPECT_EQ(story.cluster.State().run.settled, 4u);
}

TEST(Loop, WithoutParallelRunsOneAfterAnother) {
  PlanMaker maker;
  const auto loop = maker.Task("loop", {}, kNone, {.retry = 1});
  maker.Loop(loop, {"1", "2", "3"}, false);
  Story story(maker, {{"loop[1]", {FailureClass::AgentError}}});

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_THAT(story.started, ElementsAre("loop[0]", "loop[1]", "loop[1]", "loop[2]"));
}

TEST(Loop, KeepsToMaxParallel) {
  PlanMaker maker;
  const auto loop = maker.Task("loop");
  maker.Loop(loop, std::vector<std::string>(20, "1"), true, 3);
  Story story(maker, {}, 2, 8);
  story.cluster.Submit();
  std::uint32_t most = 0;
  while (!story.cluster.Ended()) {
    story.cluster.Step();
    const LiveRun* run = story.cluster.coordinator().Find(RunId{1});
    if (run != nullptr) most = std::max(most, run->running());
  }

  EXPECT_EQ(most, 3u);
}

TEST(Loop, OverNothingIsCompletedAtOnce) {
  PlanMaker maker;
  const auto loop = maker.Task("loop");
  const auto after = maker.Task("after", {loop});
  maker.Loop(loop, {});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  EXPECT_EQ(story.StateOf(loop), TaskState::Completed);
  EXPECT_EQ(story.StateOf(after), TaskState::Completed);
  EXPECT_EQ(story.cluster.State().run.tasks, 1u);
}

TEST(Loop, FailsAtItsEndAndTheOthersStillRun) {
  PlanMaker maker;
  const auto loop = maker.Task("loop", {}, kNone, {.on_exhausted = OnExhausted::Continue});
  const auto after = maker.Task("after", {loop});
  maker.Loop(loop, {"1", "2", "3"}, false);
  Story story(maker, {{"loop[0]", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_THAT(story.started, ElementsAre("loop[0]", "loop[1]", "loop[2]"));
  EXPECT_EQ(story.StateOf(loop), TaskState::Failed);
  EXPECT_FALSE(story.cluster.Task(loop).dead_letter);
  EXPECT_EQ(story.StateOf(after), TaskState::Blocked);
  EXPECT_EQ(story.cluster.State().run.first_failure, "task \"loop[0]\": agent_error: model");
}

TEST(Loop, AnAbortingIterationCancelsTheRestOfTheLoop) {
  PlanMaker maker;
  const auto loop = maker.Task("loop");
  maker.Loop(loop, {"1", "2", "3"}, false);
  Story story(maker, {{"loop[1]", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_THAT(story.started, ElementsAre("loop[0]", "loop[1]"));
  EXPECT_EQ(story.StateOf(loop), TaskState::Failed);
}

TEST(Loop, GivesItsIterationsTheirItemAndIndex) {
  PlanMaker maker;
  const auto loop = maker.Task("loop");
  OwnWork work;
  const Ref item{.kind = Ref::Kind::LoopItem,
                 .words = RefWords{.path = ".name", .written = "x.name"}};
  work.argv = {Literal("echo"),
               {item},
               {Ref{.kind = Ref::Kind::LoopIndex, .words = RefWords{.written = "loop.index"}}}};
  maker.plan().tasks[loop].work = std::make_shared<const OwnWork>(work);
  maker.Loop(loop, {R"({"name":"a"})", R"({"name":[1]})"}, false);
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Succeeded);
  ASSERT_EQ(story.specs.size(), 2u);
  EXPECT_THAT(story.specs[0].argv, ElementsAre("echo", "a", "0"));
  EXPECT_THAT(story.specs[1].argv, ElementsAre("echo", "[1]", "1"));
}

TEST(Loop, AnItemWithoutThePartIsUnresolved) {
  PlanMaker maker;
  const auto loop = maker.Task("loop", {}, kNone, {.retry = 3});
  OwnWork work;
  work.argv = {
      {Ref{.kind = Ref::Kind::LoopItem, .words = RefWords{.path = ".name", .written = "x.name"}}}};
  maker.plan().tasks[loop].work = std::make_shared<const OwnWork>(work);
  maker.Loop(loop, {"{}"});
  Story story(maker);

  EXPECT_EQ(story.Run(), RunState::Failed);
  EXPECT_TRUE(story.started.empty());
  EXPECT_EQ(story.cluster.State().run.first_failure,
            "task \"loop[0]\": unresolved: \"x.name\" does not exist");
}

TEST(Loop, AMillionIterationsAreMadeAsTheyStart) {
  PlanMaker maker;
  const auto agent = maker.Agent("fast");
  const auto loop = maker.Task("loop", {}, agent);
  struct Loop range;
  range.source = Loop::Source::Range;
  range.end = 1'000'000;
  range.parallel = true;
  maker.plan().tasks[loop].extra.Change().loop = std::make_shared<const struct Loop>(range);
  Story story(maker);
  story.cluster.Submit();
  for (int i = 0; i < 200; ++i) story.cluster.Step();

  const LiveRun* run = story.cluster.coordinator().Find(RunId{1});
  ASSERT_NE(run, nullptr);
  EXPECT_EQ(run->record().tasks, 1'000'000u);
  EXPECT_LT(run->size(), 5'000u);
}

TEST(Loop, ARunHasAtMostTenMillionIterations) {
  const auto failure_with = [](std::int64_t more) {
    PlanMaker maker;
    const auto loop_over = [&](std::uint32_t task, std::int64_t items) {
      struct Loop range;
      range.source = Loop::Source::Range;
      range.end = items;
      maker.plan().tasks[task].extra.Change().loop = std::make_shared<const struct Loop>(range);
    };
    const auto before = maker.Task("before");
    loop_over(maker.Task("most"), 9'999'999);
    const auto last = maker.Task("last", {before});
    loop_over(last, more);
    Story story(maker);
    story.cluster.Submit();
    while (story.StateOf(last) == TaskState::Pending) story.cluster.Step();
    return story.cluster.Task(last).failure;
  };

  EXPECT_EQ(failure_with(1), std::nullopt);
  EXPECT_EQ(failure_with(2), FailureClass::InvalidRequest);
}

// The parent "q" asks how "a" ended, and needs the parent "p" of a failed task. It is blocked, also
// when the coordinator was restarted while a part of it waited for something else.
TEST(Joins, ARestartFindsWhatHadFailedWithinAParent) {
  PlanMaker maker;
  const std::uint32_t a = maker.Task("a");
  // In a compiled plan a parent stands before its subtasks.
  const std::uint32_t p = maker.Parent("p", {});
  const std::uint32_t bad = maker.Task("p.bad", {}, kNone, {.on_exhausted = OnExhausted::Continue});
  maker.plan().tasks[p].extra.Change().subtasks = {bad};
  maker.plan().tasks[p].needs = {{Dependency::On::Task, bad}};
  maker.plan().tasks[bad].parent = p;
  maker.plan().tasks[bad].needs = {{Dependency::On::Gate, maker.plan().tasks[p].extra->gate}};
  const std::uint32_t slow = maker.Task("slow");
  const std::uint32_t part = maker.Task("part");
  maker.Condition(part, {.op = Condition::Op::TaskStatus, .task = slow}, {slow});
  const std::uint32_t q = maker.Parent("q", {part}, {p});
  maker.Condition(q, {.op = Condition::Op::TaskStatus, .task = a, .status = AskedStatus::Failed},
                  {a});
  maker.plan().max_parallel = 1;
  Story story(maker, {{"p.bad", kAlways}});
  story.cluster.Submit();

  while (story.cluster.Task(p).state != TaskState::Failed) story.cluster.Step();
  story.cluster.CrashCoordinator();
  EXPECT_TRUE(story.cluster.RunToEnd());

  EXPECT_EQ(Name(story.StateOf(part)), "blocked");
  EXPECT_EQ(Name(story.StateOf(q)), "blocked");
}

}  // namespace
}  // namespace troupe
