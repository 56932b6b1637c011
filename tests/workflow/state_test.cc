// What tasks write when they complete: state and messages.
#include <gtest/gtest.h>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

TEST(State, TasksWriteTextsAndValues) {
  const auto plan = PlanOf(
      "name: x\ninputs: {i: {}}\ntasks:\n  a: {command: x}\n  t:\n    command: x\n    depends_on: "
      "a\n"
      "    inputs: {k: 1}\n"
      "    set:\n      total: \"${task.result.n[0]}\"\n      my key: \"got ${task.output} ${k}\"\n"
      "      n: 3\n      none:\n      rows: [\"${i}\", {a: \"${task.a.output}\"}]\n");

  const PlannedTask& task = plan->tasks[1];
  ASSERT_EQ(task.extra->set.size(), 5u);
  EXPECT_EQ(task.extra->set[0].key, "total");
  EXPECT_FALSE(task.extra->set[0].json);
  const auto& whole = std::get<Ref>(task.extra->set[0].value.at(0));
  EXPECT_EQ(whole.kind, Ref::Kind::SelfResult);
  EXPECT_EQ(whole.words->path, ".n[0]");
  EXPECT_EQ(task.extra->set[1].key, "my key");
  EXPECT_EQ(Written(task.extra->set[1].value), "got <task.output> <k>");
  EXPECT_EQ(std::get<Ref>(task.extra->set[1].value.at(1)).kind, Ref::Kind::SelfOutput);
  EXPECT_TRUE(task.extra->set[2].json);
  EXPECT_EQ(Written(task.extra->set[2].value), "3");
  EXPECT_EQ(Written(task.extra->set[3].value), "null");
  EXPECT_TRUE(task.extra->set[4].json);
  EXPECT_EQ(Written(task.extra->set[4].value), "[\"<i>\",{\"a\":\"<task.a.output>\"}]");
  EXPECT_TRUE(plan->tasks[0].referenced);
  EXPECT_FALSE(task.referenced);
}

TEST(State, IterationsWriteTheirOwn) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  t: {command: x, set: {last: \"${n}\"}, loop: {type: for_each, iterator: "
      "n, collection: {source: inline, items: [1]}}}\n");

  EXPECT_EQ(std::get<Ref>(plan->tasks[0].extra->set[0].value[0]).kind, Ref::Kind::LoopItem);
}

TEST(State, KeysAreNames) {
  EXPECT_EQ(ProblemsOf("name: x\ntasks: {t: {command: x, set: {\"a\\n\": 1}}}\n"),
            "f:2:31: error: state key \"a\\n\" may not contain \"\\n\" [bad-name]\n");
  EXPECT_EQ(ProblemsOf("name: x\ntasks: {t: {command: x, set: [a]}}\n"),
            "f:2:30: error: \"set\" must be a map, not a list [wrong-type]\n");
}

TEST(State, MayBeAnOutputOfTheRun) {
  const auto plan = PlanOf(
      "name: x\ntasks: {t: {command: x}}\noutputs:\n  a: {source: {type: state, key: my key}}\n"
      "  b: {source: {type: task_output, task: t}}\n");

  ASSERT_EQ(plan->outputs.size(), 2u);
  EXPECT_EQ(plan->outputs[0].task, kNone);
  EXPECT_EQ(plan->outputs[0].state_key, "my key");
  EXPECT_EQ(plan->outputs[1].task, 0u);
  EXPECT_EQ(ProblemsOf("name: x\ntasks: {t: {command: x}}\noutputs:\n"
                       "  a: {source: {type: state, task: t}}\n  b: {source: {key: k}}\n"
                       "  c: {source: {type: states}}\n  d: {description: d}\n"),
            "f:4:15: error: \"source\" needs \"key\" [missing-key]\n"
            "f:4:29: error: unknown key \"task\" in \"source\" [unknown-key]\n"
            "f:5:15: error: \"source\" needs \"type\" [missing-key]\n"
            "f:6:22: error: \"type\" must be task_output or state, not \"states\"; did you mean "
            "\"state\"? [bad-value]\n"
            "f:7:6: error: output \"d\" needs \"source\" [missing-key]\n");
}

TEST(OnComplete, SaysSomethingThatMayNameTheResult) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  a: {command: x}\n  t: {command: x, depends_on: a, on_complete: {notify: "
      "\"${task.result.n} and ${task.a.output}, ${task.output}\"}}\n");

  EXPECT_EQ(Written(plan->tasks[1].extra->notify),
            "<task.result.n> and <task.a.output>, <task.output>");
  EXPECT_EQ(std::get<Ref>(plan->tasks[1].extra->notify[0]).kind, Ref::Kind::SelfResult);
  EXPECT_TRUE(plan->tasks[0].referenced);
  EXPECT_EQ(ProblemsOf("name: x\ntasks: {t: {command: x, on_complete: {notfy: x}}, u: {command: x, "
                       "on_complete: done}}\n"),
            "f:2:39: error: unknown key \"notfy\" in \"on_complete\"; did you mean \"notify\"? "
            "[unknown-key]\n"
            "f:2:80: error: \"on_complete\" must be a map, not the string \"done\" "
            "[wrong-type]\n");
}

TEST(OnComplete, KeepsWhatThePartsOfAParentOrALoopGive) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  p: {on_complete: {notify: \"${task.output}\"}, subtasks: {u: {command: "
      "x}}}\n  q: {on_complete: {notify: done}, subtasks: {v: {command: x}}}\n"
      "  l: {command: x, on_complete: {notify: \"${task.result}\"}, loop: {type: for_each, "
      "iterator: "
      "n, collection: {source: inline, items: [1]}}}\n"
      "  t: {command: x, on_complete: {notify: \"${task.output}\"}}\n");

  for (const char* id : {"p", "p.u", "l"}) {
    EXPECT_TRUE(plan->tasks[TaskOf(*plan, id)].referenced) << id;
  }
  for (const char* id : {"q", "q.v", "t"}) {
    EXPECT_FALSE(plan->tasks[TaskOf(*plan, id)].referenced) << id;
  }
}

TEST(State, NothingElseKnowsTheResultOfItsOwnTask) {
  EXPECT_EQ(ProblemsOf("name: x\ntasks: {t: {command: [\"${task.output}\"], output: "
                       "\"${task.result.a}\", inputs: {k: \"${task.output}\"}}}\n"),
            "f:2:23: error: \"task.output\" may not be used here: the task has not run yet. To "
            "refer to another task, write task.NAME.output [unknown-reference]\n"
            "f:2:50: error: \"task.result.a\" may not be used here: the task has not run yet. To "
            "refer to another task, write task.NAME.output [unknown-reference]\n"
            "f:2:82: error: \"task.output\" may not be used here: the task has not run yet. To "
            "refer to another task, write task.NAME.output [unknown-reference]\n");
}

}  // namespace
}  // namespace troupe
