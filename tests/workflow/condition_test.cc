// Conditions, and what they do to the graph.
#include <gtest/gtest.h>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

// A condition in few words.
std::string Shown(const Plan& plan, const Condition& condition) {
  constexpr const char* kStatus[] = {"completed", "failed", "skipped", "pending", "running"};
  std::string text;
  switch (condition.op) {
    case Condition::Op::Always:
      return "always";
    case Condition::Op::Never:
      return "never";
    case Condition::Op::TaskStatus:
      return plan.tasks[condition.task].id + " " + kStatus[static_cast<int>(condition.status)];
    case Condition::Op::StateEquals:
      return condition.key + "=" + condition.value_json;
    case Condition::Op::StateExists:
      return condition.key + "?";
    case Condition::Op::And:
      text = "and";
      break;
    case Condition::Op::Or:
      text = "or";
      break;
    case Condition::Op::Not:
      text = "not";
      break;
  }
  text += "(";
  for (const Condition& part : condition.parts) {
    text += (text.back() == '(' ? "" : ", ") + Shown(plan, part);
  }
  return text + ")";
}

constexpr const char* kHead = "name: x\ntasks:\n  a: {command: x}\n  b: {command: x}\n";

std::string Condition(const std::string& condition) {
  const auto plan =
      PlanOf(std::string(kHead) + "  t: {command: x, condition: " + condition + "}\n");
  return plan->tasks.size() < 3 ? "" : Shown(*plan, *plan->tasks[2].extra->condition);
}

std::string Problem(const std::string& condition) {
  return ProblemsOf(std::string(kHead) + "  t: {command: x, condition: " + condition + "}\n");
}

TEST(Conditions, HaveManyForms) {
  EXPECT_EQ(Condition("{type: always}"), "always");
  EXPECT_EQ(Condition("{type: never}"), "never");
  for (const char* status : {"completed", "failed", "skipped", "pending", "running"}) {
    EXPECT_EQ(Condition(std::string("{type: task_status, task: b, status: ") + status + "}"),
              std::string("b ") + status);
  }
  EXPECT_EQ(Condition("{type: state_equals, key: my key, value: {a: [1, null]}}"),
            "my key={\"a\":[1,null]}");
  EXPECT_EQ(Condition("{type: state_equals, key: k, value: }"), "k=null");
  EXPECT_EQ(Condition("{type: state_exists, key: k, x-why: 1}"), "k?");
  EXPECT_EQ(Condition("{and: [{or: []}, {not: {type: never}}, {and: [{type: always}]}]}"),
            "and(or(), not(never), and(always))");
}

TEST(Conditions, ThatAreNoneAreRefused) {
  EXPECT_EQ(Problem("{}"),
            "f:5:30: error: \"condition\" needs \"type\", \"and\", \"or\" or \"not\" "
            "[missing-key]\n");
  EXPECT_EQ(Problem("always"),
            "f:5:30: error: \"condition\" must be a map, not the string \"always\" [wrong-type]\n");
  EXPECT_EQ(Problem("{type: sometimes}"),
            "f:5:37: error: \"type\" must be task_status, state_equals, state_exists, always or "
            "never, not \"sometimes\" [bad-value]\n");
  EXPECT_EQ(Problem("{type: always, not: {type: never}}"),
            "f:5:45: error: a condition has both \"type\" and \"not\"; keep one [bad-value]\n");
  EXPECT_EQ(Problem("{type: task_status, task: a}"),
            "f:5:30: error: \"condition\" needs \"status\" [missing-key]\n");
  EXPECT_EQ(Problem("{type: state_equals, key: a, valeu: 1}"),
            "f:5:30: error: \"condition\" needs \"value\" [missing-key]\n"
            "f:5:59: error: unknown key \"valeu\" in \"condition\"; did you mean \"value\"? "
            "[unknown-key]\n");
  EXPECT_EQ(Problem("{and: {type: always}}"),
            "f:5:36: error: \"and\" must be a list, not a map [wrong-type]\n");
  EXPECT_EQ(Problem("{or: [never]}"),
            "f:5:36: error: an item of \"or\" must be a map, not the string \"never\" "
            "[wrong-type]\n");
  EXPECT_EQ(Problem("{type: state_exists, key: \" \"}"),
            "f:5:56: error: state key \" \" must begin with a letter, a digit or _ [bad-name]\n");
  EXPECT_EQ(Problem("{type: task_status, task: bb, status: done}"),
            "f:5:56: error: condition of task \"t\" asks about task \"bb\", which does not exist; "
            "did you mean \"b\"? [unknown-task]\n"
            "f:5:68: error: \"status\" must be completed, failed, skipped, pending or running, not "
            "\"done\" [bad-value]\n");
}

TEST(Conditions, WaitForTheEndOfTheTasksTheyAskAbout) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  a: {command: x}\n  b: {command: x}\n  c: {command: x}\n"
      "  t: {command: x, depends_on: b, condition: {or: [{type: task_status, task: b, status: "
      "skipped}, {not: {type: task_status, task: a, status: completed}}, {type: task_status, "
      "task: c, status: running}, {type: task_status, task: a, status: failed}]}}\n"
      "  p: {condition: {type: task_status, task: a, status: completed}, subtasks: {u: {command: "
      "x}}}\n");

  EXPECT_EQ(NeedsOf(*plan, "t"), "a b");
  EXPECT_EQ(IdsOf(*plan, plan->tasks[TaskOf(*plan, "t")].extra->asks), "a b");
  EXPECT_EQ(NeedsOf(*plan, "p.u"), "p[a]");
  EXPECT_EQ(IdsOf(*plan, plan->tasks[TaskOf(*plan, "p")].extra->asks), "a");
  EXPECT_EQ(CompileWorkflow(kHead, {}).edges, 0u);
}

TEST(Conditions, CountAsDependenciesAndMakeCycles) {
  EXPECT_EQ(CompileWorkflow(std::string(kHead) +
                                "  t: {command: x, condition: {type: task_status, task: a, status: "
                                "failed}, depends_on: [a, b]}\n",
                            {})
                .edges,
            2u);
  EXPECT_EQ(
      ProblemsOf("name: x\ntasks:\n  a: {command: x, depends_on: b}\n  b: {command: x, "
                 "condition: {type: task_status, task: a, status: failed}}\n"),
      "f:3:31: error: cycle: \"a\" -> \"b\" (depends_on, line 3) -> \"a\" (condition, line 4) "
      "[cycle]\n");
  EXPECT_EQ(ProblemsOf("name: x\ntasks:\n  a: {command: x, depends_on: b}\n  b: {command: x, "
                       "condition: {type: task_status, task: a, status: running}}\n"),
            "");
}

TEST(Conditions, MakeTasksUpstream) {
  EXPECT_EQ(ProblemsOf(std::string(kHead) +
                       "  t: {command: [\"${task.a.error}\", \"${task.b.error}\"], condition: "
                       "{and: [{type: task_status, task: a, status: failed}, {type: task_status, "
                       "task: b, status: pending}]}}\n"),
            "f:5:36: error: task \"t\" uses the error of \"b\" but does not depend on it "
            "[not-upstream]\n");
}

TEST(Conditions, WhatIsAskedForFailedGoesOnUnlessItsRulesSayOtherwise) {
  const auto plan = PlanOf(
      "name: x\nagents: {g: {command: x, on_error: abort}}\ntasks:\n  a: {command: x}\n"
      "  b: {command: x, on_error: skip}\n  c: {agent: g, description: d}\n"
      "  p: {subtasks: {u: {command: x}, v: {command: x, on_error: abort}}}\n  d: {command: x}\n"
      "  t: {command: x, condition: {or: [{type: task_status, task: a, status: failed}, {type: "
      "task_status, task: b, status: failed}, {type: task_status, task: c, status: failed}, {not: "
      "{type: task_status, task: p, status: failed}}, {type: task_status, task: d, status: "
      "completed}]}}\n");

  const auto exhausted = [&](const char* id) {
    return plan->tasks[TaskOf(*plan, id)].rules->on_exhausted;
  };
  EXPECT_EQ(exhausted("a"), OnExhausted::Continue);
  EXPECT_EQ(exhausted("b"), OnExhausted::Skip);
  EXPECT_EQ(exhausted("c"), OnExhausted::Abort);
  EXPECT_EQ(exhausted("p.u"), OnExhausted::Continue);
  EXPECT_EQ(exhausted("p.v"), OnExhausted::Abort);
  EXPECT_EQ(exhausted("d"), OnExhausted::Abort);
}

TEST(Conditions, TasksTheyWaitForRunAndOthersMayNot) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  a: {command: x}\n  b: {command: x}\n"
      "  t: {command: x, condition: {and: [{type: task_status, task: a, status: failed}, {type: "
      "task_status, task: b, status: running}]}}\n"
      "workflows: {w: {steps: [{stage: s, tasks: [t]}]}, v: {steps: [{stage: s, tasks: [a, "
      "b]}]}}\n");

  EXPECT_EQ(IdsOf(*plan), "a t");
  EXPECT_EQ(Shown(*plan, *plan->tasks[1].extra->condition), "and(a failed, never)");
}

}  // namespace
}  // namespace troupe
