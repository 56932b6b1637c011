// Which task waits for which, and what runs at all.
#include <gtest/gtest.h>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

// A workflow of commands; each word of `tasks` is a line "id" or "id: rest of the map".
std::string Staged(const std::vector<std::string>& tasks, const std::string& steps) {
  std::string text = "name: x\ntasks:\n";
  for (const std::string& task : tasks) {
    const std::size_t colon = task.find(": ");
    text += "  " + task.substr(0, colon) + ": {command: x" +
            (colon == std::string::npos ? "" : ", " + task.substr(colon + 2)) + "}\n";
  }
  return text + "workflows:\n  w:\n    steps:\n" + steps;
}

std::vector<std::string> Ids(const Plan& plan) {
  std::vector<std::string> ids;
  for (const PlannedTask& task : plan.tasks) ids.push_back(task.id);
  return ids;
}

using Strings = std::vector<std::string>;

TEST(Order, ARepeatedDependencyCountsOnce) {
  const auto plan = PlanOf(Staged({"a", "b: depends_on: [a, a]"},
                                  ""
                                  "      - {stage: s, tasks: [a, b]}\n"));

  EXPECT_EQ(NeedsOf(*plan, "b"), "a");
}

TEST(Order, TasksOfASequentialStageRunOneAfterAnother) {
  const auto plan = PlanOf(Staged({"a", "b", "c"}, "      - {stage: s, tasks: [c, a, b]}\n"));

  EXPECT_EQ(NeedsOf(*plan, "c"), "");
  EXPECT_EQ(NeedsOf(*plan, "a"), "c");
  EXPECT_EQ(NeedsOf(*plan, "b"), "a");
}

TEST(Order, TasksOfAParallelStageDoNotWaitForEachOther) {
  const auto plan =
      PlanOf(Staged({"a", "b", "c"}, "      - {stage: s, mode: parallel, tasks: [c, a, b]}\n"));

  for (const char* id : {"a", "b", "c"}) EXPECT_EQ(NeedsOf(*plan, id), "");
}

TEST(Order, ParallelWithPutsATaskIntoTheGroupBeforeIt) {
  // c names a, so a, b and c would be one group only if b were in it; b names nobody.
  const auto apart =
      PlanOf(Staged({"a", "b", "c: parallel_with: a"}, "      - {stage: s, tasks: [a, b, c]}\n"));
  EXPECT_EQ(NeedsOf(*apart, "c"), "b");

  const auto named_later =
      PlanOf(Staged({"a", "b: parallel_with: a", "c"}, "      - {stage: s, tasks: [a, b, c]}\n"));
  EXPECT_EQ(NeedsOf(*named_later, "b"), "");
  EXPECT_EQ(NeedsOf(*named_later, "c"), "a b");

  const auto named_before =
      PlanOf(Staged({"a: parallel_with: b", "b", "c"}, "      - {stage: s, tasks: [a, b, c]}\n"));
  EXPECT_EQ(NeedsOf(*named_before, "b"), "");
  EXPECT_EQ(NeedsOf(*named_before, "c"), "a b");

  const auto any_of_the_group =
      PlanOf(Staged({"a", "b: parallel_with: a", "c: parallel_with: a", "d"},
                    "      - {stage: s, tasks: [a, b, c, d]}\n"));
  EXPECT_EQ(NeedsOf(*any_of_the_group, "c"), "");
  EXPECT_EQ(NeedsOf(*any_of_the_group, "d"), "a b c");
}

TEST(Order, GroupsOfSeveralTasksMeetAtAGate) {
  const auto plan = PlanOf(Staged({"a", "b: parallel_with: a", "c", "d: parallel_with: c", "e"},
                                  "      - {stage: s, tasks: [a, b, c, d, e]}\n"));

  EXPECT_EQ(NeedsOf(*plan, "c"), "[a b]");
  EXPECT_EQ(NeedsOf(*plan, "d"), "[a b]");
  EXPECT_EQ(NeedsOf(*plan, "e"), "c d");
  EXPECT_EQ(plan->gates.size(), 2u);
}

TEST(Order, ATaskWithItsOwnDependenciesDoesNotWaitForTheGroupBeforeIt) {
  const auto plan = PlanOf(
      Staged({"a", "b", "c: depends_on: a", "d"}, "      - {stage: s, tasks: [a, b, c, d]}\n"));

  EXPECT_EQ(NeedsOf(*plan, "c"), "a");
  EXPECT_EQ(NeedsOf(*plan, "d"), "c");
}

TEST(Order, StagesWaitForTheGatesOfTheStagesBeforeThem) {
  const auto plan = PlanOf(Staged({"a", "b", "c", "d: depends_on: a", "e"},
                                  "      - {stage: one, mode: parallel, tasks: [a, b]}\n"
                                  "      - {stage: two, tasks: [e]}\n"
                                  "      - {stage: three, mode: parallel, tasks: [c, d], "
                                  "depends_on: [one]}\n"));

  EXPECT_EQ(NeedsOf(*plan, "c"), "one[a b]");
  EXPECT_EQ(NeedsOf(*plan, "d"), "a one[a b]");
  EXPECT_EQ(NeedsOf(*plan, "e"), "");
  ASSERT_EQ(plan->stages.size(), 3u);
  EXPECT_EQ(plan->stages[2].name, "three");
  EXPECT_EQ(plan->stages[2].after, std::vector<std::uint32_t>{0});
  EXPECT_EQ(plan->stages[2].tasks, (std::vector<std::uint32_t>{2, 3}));
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(plan->gates[plan->stages[i].gate].stage, i);
  }
}

TEST(Order, ManyTasksBehindManyStagesShareAGate) {
  const auto plan = PlanOf(Staged({"a", "b", "c", "d"},
                                  "      - {stage: one, tasks: [a]}\n"
                                  "      - {stage: two, tasks: [b]}\n"
                                  "      - {stage: three, mode: parallel, tasks: [c, d], "
                                  "depends_on: [one, two]}\n"));

  EXPECT_EQ(NeedsOf(*plan, "c"), "[one[a] two[b]]");
  EXPECT_EQ(NeedsOf(*plan, "d"), "[one[a] two[b]]");
}

TEST(Order, AnEmptyStagePassesOnWhatItWaitsFor) {
  const auto plan = PlanOf(Staged({"a", "b"},
                                  "      - {stage: one, tasks: [a]}\n"
                                  "      - {stage: two, depends_on: one}\n"
                                  "      - {stage: three, tasks: [b], depends_on: two}\n"));

  EXPECT_EQ(NeedsOf(*plan, "b"), "two[one[a]]");
}

TEST(Order, OnlyTheChosenWorkflowRunsWithTasksOfNoStageAndWhatTheyNeed) {
  const std::string text =
      "name: x\ntasks:\n  deploy: {command: x}\n  free: {command: x, depends_on: base}\n"
      "  base: {command: x}\n  test: {command: x}\n  other: {command: x}\n"
      "outputs: {o: {source: {type: task_output, task: deploy}}}\n"
      "workflows:\n"
      "  first: {steps: [{stage: s, tasks: [test]}]}\n"
      "  second: {steps: [{stage: t, tasks: [deploy, base]}, {stage: u, tasks: [other]}]}\n";

  const auto first = PlanOf(text);
  const auto second = PlanOf(text, {.workflow = "second"});

  EXPECT_EQ(first->workflow, "first");
  EXPECT_EQ(Ids(*first), (Strings{"free", "base", "test"}));
  EXPECT_EQ(NeedsOf(*first, "free"), "base");
  EXPECT_EQ(first->tasks[TaskOf(*first, "base")].stage, kNone);
  EXPECT_TRUE(first->outputs.empty());
  EXPECT_EQ(second->workflow, "second");
  EXPECT_EQ(Ids(*second), (Strings{"deploy", "free", "base", "other"}));
  EXPECT_EQ(NeedsOf(*second, "base"), "deploy");
  ASSERT_EQ(second->outputs.size(), 1u);
  EXPECT_EQ(second->outputs[0].task, 0u);
  EXPECT_TRUE(second->tasks[0].referenced);
}

TEST(Order, StagesMayDefineTasks) {
  const auto plan = PlanOf(
      "name: x\nworkflows:\n  w:\n    steps:\n"
      "      - {stage: s, tasks: [{up: {command: one}}, {down: {command: two}, b: }]}\n"
      "tasks:\n  b: {command: x}\n  up: {command: root}\n");

  EXPECT_EQ(Ids(*plan), (Strings{"down", "b", "up"}));
  EXPECT_EQ(NeedsOf(*plan, "down"), "up");
  EXPECT_EQ(NeedsOf(*plan, "b"), "down");
  EXPECT_EQ(Written(plan->tasks[TaskOf(*plan, "up")].work->argv[0]), "root");
}

TEST(Order, TwoStagesMayNotDefineTheSameTask) {
  EXPECT_EQ(ProblemsOf("name: x\nworkflows:\n"
                       "  v: {steps: [{stage: s, tasks: [{up: {command: one}}]}]}\n"
                       "  w: {steps: [{stage: s, tasks: [{up: {command: two}}]}]}\n"),
            "f:4:35: error: task \"up\" is defined twice in stages [duplicate-task]\n");
}

TEST(Order, CountsDistinctDependenciesWithoutGates) {
  const auto edges = [](const std::string& text) { return CompileWorkflow(text, {}).edges; };

  EXPECT_EQ(edges(Staged({"a", "b: depends_on: [a, a]"}, "      - {stage: s, tasks: [a, b]}\n")),
            1u);
  // c waits for a and b; d for a and b, once; e for c and d.
  EXPECT_EQ(edges(Staged({"a", "b", "c", "d: depends_on: a", "e"},
                         "      - {stage: one, mode: parallel, tasks: [a, b]}\n"
                         "      - {stage: two, mode: parallel, tasks: [c, d], depends_on: one}\n"
                         "      - {stage: three, tasks: [e], depends_on: two}\n")),
            6u);
  EXPECT_EQ(edges(Staged({"a", "b: parallel_with: a", "c", "d: parallel_with: c"},
                         "      - {stage: s, tasks: [a, b, c, d]}\n")),
            4u);
}

TEST(Order, TenThousandAfterTenThousandAreNoHundredMillionEdges) {
  std::string tasks = "name: x\ntasks:\n";
  std::string one;
  std::string two;
  for (int i = 0; i < 10'000; ++i) {
    const std::string number = std::to_string(i);
    for (const char* id : {"  a", "  b"}) tasks += id + number + ": {command: x}\n";
    one += (i > 0 ? ", a" : "a") + number;
    two += (i > 0 ? ", b" : "b") + number;
  }
  tasks += "workflows:\n  w:\n    steps:\n      - {stage: one, mode: parallel, tasks: [" + one +
           "]}\n      - {stage: two, mode: parallel, depends_on: one, tasks: [" + two + "]}\n";

  const Compiled compiled = CompileWorkflow(tasks, {});

  ASSERT_NE(compiled.plan, nullptr);
  EXPECT_EQ(compiled.edges, 100'000'000u);
  std::size_t stored = 0;
  for (const PlannedTask& task : compiled.plan->tasks) stored += task.needs.size();
  for (const Gate& gate : compiled.plan->gates) stored += gate.needs.size();
  EXPECT_EQ(stored, 30'000u);
}

TEST(StartOrder, FollowsDependenciesThenPriorityThenTheFile) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  last: {command: x, priority: 9}\n  a: {command: x, priority: 1, "
      "depends_on: c}\n  b: {command: x, priority: 1}\n  c: {command: x, priority: 1}\n  first: "
      "{command: x}\n");

  std::vector<std::string> ids;
  for (std::uint32_t task : StartOrder(*plan)) ids.push_back(plan->tasks[task].id);

  EXPECT_EQ(ids, (Strings{"first", "b", "c", "a", "last"}));
}

TEST(StartOrder, GoesThroughGates) {
  const auto plan = PlanOf(Staged({"d", "c", "b", "a"},
                                  "      - {stage: one, mode: parallel, tasks: [a, b]}\n"
                                  "      - {stage: none, depends_on: one}\n"
                                  "      - {stage: two, tasks: [c, d], depends_on: none}\n"));

  std::vector<std::string> ids;
  for (std::uint32_t task : StartOrder(*plan)) ids.push_back(plan->tasks[task].id);

  EXPECT_EQ(ids, (Strings{"b", "a", "c", "d"}));
}

}  // namespace
}  // namespace troupe
