// Parents and their subtasks.
#include <gtest/gtest.h>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

const PlannedTask& Task(const Plan& plan, std::string_view id) {
  return plan.tasks[TaskOf(plan, id)];
}

TEST(Subtasks, AParentIsAJoinOfItsSubtasksWhichWaitForItsGate) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  before: {command: x}\n"
      "  p: {depends_on: before, subtasks: {a: {command: x}, b: {command: x, depends_on: a}}}\n"
      "  after: {command: x, depends_on: p}\n");

  EXPECT_EQ(IdsOf(*plan), "before p p.a p.b after");
  const PlannedTask& parent = Task(*plan, "p");
  EXPECT_EQ(parent.kind, TaskKind::Parent);
  EXPECT_EQ(IdsOf(*plan, parent.extra->subtasks), "p.a p.b");
  EXPECT_EQ(NeedsOf(*plan, "p"), "p.a p.b");
  ASSERT_LT(parent.extra->gate, plan->gates.size());
  EXPECT_EQ(plan->gates[parent.extra->gate].parent, TaskOf(*plan, "p"));
  EXPECT_EQ(NeedsOf(*plan, "p.a"), "p[before]");
  EXPECT_EQ(NeedsOf(*plan, "p.b"), "p.a p[before]");
  EXPECT_EQ(NeedsOf(*plan, "after"), "p");
  EXPECT_EQ(Task(*plan, "p.a").parent, TaskOf(*plan, "p"));
  EXPECT_EQ(parent.parent, kNone);
}

TEST(Subtasks, MayBeAListOfMapsAndNestDeeply) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  p:\n    subtasks:\n      - q: {subtasks: [{b: {command: x}}]}\n"
      "        r: {command: x}\n      - s: {command: x}\n  z: {command: x, depends_on: p.q}\n");

  EXPECT_EQ(IdsOf(*plan), "p p.q p.q.b p.r p.s z");
  EXPECT_EQ(IdsOf(*plan, Task(*plan, "p").extra->subtasks), "p.q p.r p.s");
  EXPECT_EQ(NeedsOf(*plan, "p.q.b"), "p.q[p[]]");
  EXPECT_EQ(NeedsOf(*plan, "z"), "p.q");
}

TEST(Subtasks, NestAsDeeplyAsTheFileMay) {
  std::string text = "{name: x, tasks: {t: ";
  for (int i = 0; i < 30; ++i) text += "{subtasks: {t: ";
  text += "{command: x}";
  for (int i = 0; i < 30; ++i) text += "}}";

  const Compiled compiled = CompileWorkflow(text + "}}", {});

  ASSERT_NE(compiled.plan, nullptr) << FormatProblems("f", compiled.problems);
  EXPECT_EQ(compiled.plan->tasks.size(), 31u);
  EXPECT_EQ(compiled.tasks, 1u);
  EXPECT_EQ(compiled.plan->tasks.back().parent, 29u);
}

TEST(Subtasks, NamesAreLookedUpFromTheInsideOut) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  a: {command: top}\n  b: {command: top}\n  c: {command: top}\n  p:\n"
      "    subtasks:\n      b: {command: x}\n      a: {command: x}\n      q:\n        subtasks:\n"
      "          a: {command: x}\n          t: {command: x, depends_on: [a, b, c, p.a]}\n"
      "  t: {command: x, depends_on: [a, p.q.a]}\n");

  EXPECT_EQ(NeedsOf(*plan, "p.q.t"), "c p.b p.a p.q.a p.q[p[]]");
  EXPECT_EQ(NeedsOf(*plan, "t"), "a p.q.a");
}

TEST(Subtasks, InheritWhatTheyDoNotSet) {
  const auto plan = PlanOf(
      "name: x\non_error: {retry_delay_secs: 4}\n"
      "agents: {g: {command: cat, on_error: {retry: 9, jitter: 1}}, h: {command: cat}}\ntasks:\n"
      "  p:\n    agent: g\n    priority: 7\n    timeout_secs: 1\n    silence_secs: 2\n"
      "    limits: {max_stdout_bytes: 10, max_stderr_bytes: 20}\n"
      "    on_error: {retry: 5, retry_delay_secs: 3, fallback_agent: h}\n    subtasks:\n"
      "      own: {agent: h, description: d, priority: 0, timeout_secs: 8,\n"
      "        limits: {max_stderr_bytes: 21}, on_error: {fallback_agent: []}}\n"
      "      q:\n        on_error: {retry: 6}\n        subtasks:\n"
      "          none: {description: d}\n          kind: {command: x, description: d}\n");

  const PlannedTask& own = Task(*plan, "p.own");
  EXPECT_EQ(plan->agents[own.agent].name, "h");
  EXPECT_EQ(own.priority, 0u);
  EXPECT_EQ(own.settings->timeout, std::chrono::seconds(8));
  EXPECT_EQ(own.settings->silence, std::chrono::seconds(2));
  EXPECT_EQ(own.settings->max_stdout_bytes, 10u);
  EXPECT_EQ(own.settings->max_stderr_bytes, 21u);
  EXPECT_EQ(own.rules->retry, 5u);
  EXPECT_TRUE(own.rules->fallback_agents.empty());
  const PlannedTask& none = Task(*plan, "p.q.none");
  EXPECT_EQ(none.kind, TaskKind::Agent);
  EXPECT_EQ(plan->agents[none.agent].name, "g");
  EXPECT_EQ(none.priority, 7u);
  EXPECT_EQ(none.settings->timeout, std::chrono::seconds(1));
  EXPECT_EQ(none.rules->retry, 6u);
  EXPECT_EQ(none.rules->retry_delay, std::chrono::seconds(3));
  EXPECT_EQ(none.rules->jitter, 1.0) << "of its agent, which comes after its parents";
  EXPECT_EQ(none.rules->fallback_agents, std::vector<std::uint32_t>{1});
  const PlannedTask& kind = Task(*plan, "p.q.kind");
  EXPECT_EQ(kind.kind, TaskKind::Command);
  EXPECT_EQ(kind.agent, kNone);
  EXPECT_EQ(kind.rules->jitter, 0.0);
}

TEST(Subtasks, InheritEverySetting) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  p:\n    timeout_secs: 1\n    silence_secs: 2\n    queue_timeout_secs: 3\n"
      "    requires: {labels: gpu}\n    limits: {max_stdout_bytes: 4, max_stderr_bytes: 5, "
      "max_combined_bytes: 6, truncation_strategy: head}\n"
      "    subtasks: {q: {subtasks: {a: {command: x}}}}\n");

  const EffectiveSettings settings = SettingsFor(*plan, Task(*plan, "p.q.a"), kNone);

  EXPECT_EQ(settings.timeout, std::chrono::seconds(1));
  EXPECT_EQ(settings.silence, std::chrono::seconds(2));
  EXPECT_EQ(settings.queue_timeout, std::chrono::seconds(3));
  EXPECT_EQ(settings.labels, std::vector<std::string>{"gpu"});
  EXPECT_EQ(settings.limits, (OutputLimits{4, 5, 6, Truncation::Head}));
}

TEST(Subtasks, AParentMayHaveTheseKeys) {
  const auto plan = PlanOf(
      "name: x\nagents: {g: {command: cat}}\ntasks:\n  a: {command: x}\n  b: {command: x}\n"
      "  other: {subtasks: {c: {command: x}}}\n  p:\n    description: d\n    agent: g\n"
      "    depends_on: a\n    parallel_with: b\n    priority: 1\n    condition: {type: always}\n"
      "    on_error: skip\n    on_complete: {notify: n}\n    timeout_secs: 1\n    silence_secs: 1\n"
      "    queue_timeout_secs: 1\n    requires: {}\n    limits: {}\n"
      "    subtasks: {u: {description: d}}\n");

  EXPECT_EQ(Task(*plan, "p").kind, TaskKind::Parent);
  EXPECT_EQ(plan->gates.at(Task(*plan, "p").extra->gate).parent, TaskOf(*plan, "p"));
}

TEST(Subtasks, AStageHoldsParentsForTheirSubtasks) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  a: {command: x}\n  p: {subtasks: {u: {command: x}, v: {command: x}}}\n"
      "  q: {subtasks: {w: {command: x}}}\n  z: {command: x}\n"
      "workflows:\n  w:\n    steps:\n      - {stage: one, tasks: [a, p, q]}\n"
      "      - {stage: two, tasks: [z], depends_on: one}\n");

  EXPECT_EQ(IdsOf(*plan, plan->stages[0].tasks), "a p q");
  EXPECT_EQ(Task(*plan, "p.u").stage, 0u);
  EXPECT_EQ(NeedsOf(*plan, "p.u"), "p[a]");
  EXPECT_EQ(NeedsOf(*plan, "q.w"), "q[p]");
  EXPECT_EQ(NeedsOf(*plan, "z"), "one[a p q]");
}

TEST(Subtasks, OfAStageWaitForTheStagesBeforeIt) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  a: {command: x}\n  b: {command: x}\n"
      "  p: {subtasks: {u: {command: x}}}\n  q: {subtasks: {v: {command: x}}}\n"
      "  r: {subtasks: {w: {command: x}}}\n"
      "workflows:\n  w:\n    steps:\n      - {stage: one, tasks: [a]}\n"
      "      - {stage: two, tasks: [b]}\n"
      "      - {stage: three, mode: parallel, tasks: [p], depends_on: [one, two]}\n"
      "      - {stage: four, mode: parallel, tasks: [q, r], depends_on: [one, two]}\n");

  EXPECT_EQ(NeedsOf(*plan, "p.u"), "p[one[a] two[b]]");
  EXPECT_EQ(NeedsOf(*plan, "q.v"), "q[[one[a] two[b]]]");
  EXPECT_EQ(NeedsOf(*plan, "p"), "p.u");
}

TEST(Subtasks, OnlyTopLevelTasksStandInStages) {
  EXPECT_EQ(ProblemsOf("name: x\ntasks:\n  p: {subtasks: {u: {command: x}}}\n"
                       "workflows: {w: {steps: [{stage: s, tasks: [p.u]}]}}\n"),
            "f:4:44: error: stage \"s\" lists \"p.u\", which is a subtask; a stage can list \"p\", "
            "which stands for all its subtasks [unknown-task]\n");
}

TEST(Subtasks, OfAParentThatDoesNotRunOnlyWhatIsNeededRuns) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  a: {command: x}\n  p: {depends_on: a, subtasks: {u: {command: x}, v: "
      "{command: x}}}\n  z: {command: x, depends_on: p.v}\n  other: {command: x}\n"
      "workflows:\n  w: {steps: [{stage: s, tasks: [z]}]}\n"
      "  v: {steps: [{stage: s, tasks: [p, other]}]}\n");

  EXPECT_EQ(IdsOf(*plan), "a p p.v z");
  EXPECT_EQ(IdsOf(*plan, Task(*plan, "p").extra->subtasks), "p.v");
  EXPECT_EQ(NeedsOf(*plan, "p"), "p.v");
  EXPECT_EQ(NeedsOf(*plan, "p.v"), "p[a]");
}

TEST(Subtasks, StandInTheFilesOrderAlsoWhenAnAliasRepeatsThem) {
  const auto plan = PlanOf(
      "name: x\nx-sub: &s {u: {command: x}, v: {command: x}}\nx-task: &t {m: {command: "
      "x}}\ntasks:\n"
      "  a: {command: x}\n  p: {subtasks: *s}\n  <<: *t\n  q: {subtasks: *s}\n"
      "workflows: {w: {steps: [{stage: s, tasks: [{late: {subtasks: *s}}, a]}]}}\n");

  EXPECT_EQ(IdsOf(*plan), "a p p.u p.v m q q.u q.v late late.u late.v");
  EXPECT_EQ(NeedsOf(*plan, "a"), "late");
}

TEST(Subtasks, AreCheckedAgainstTheAgentsOfTheirStage) {
  EXPECT_EQ(ProblemsOf("name: x\nagents: {g: {command: cat}, h: {command: cat}}\ntasks:\n"
                       "  p: {agent: g, subtasks: {u: {description: d}, v: {agent: h, description: "
                       "d}, w: {command: x}}}\n"
                       "workflows: {w: {steps: [{stage: s, agents: [h], tasks: [p]}]}}\n"),
            "f:5:57: warning: task \"p.u\" has agent \"g\", which stage \"s\" does not list "
            "[stage-agent]\n");
}

TEST(Subtasks, UnknownNamesGetASuggestionFromNearby) {
  EXPECT_EQ(ProblemsOf("name: x\ntasks:\n  far: {command: x}\n  p: {subtasks: {near: {command: x}, "
                       "a: {command: x, depends_on: neer}, b: {command: x, depends_on: fra}}}\n"),
            "f:4:66: error: task \"p.a\" depends on \"neer\", which does not exist; did you mean "
            "\"near\"? [unknown-task]\n"
            "f:4:101: error: task \"p.b\" depends on \"fra\", which does not exist; did you mean "
            "\"far\"? [unknown-task]\n");
}

TEST(Subtasks, AParentHasNoKindOfItsOwn) {
  EXPECT_EQ(
      ProblemsOf(
          "name: x\ntasks:\n  p:\n    command: x\n    inputs: {}\n    output: o\n    set: {}\n"
          "    subtasks: {a: {command: x}}\n  q: {subtasks: {}}\n  r: {subtasks: [{}]}\n"
          "  s: {subtasks: [3, {a: {command: x}}]}\n  t: {subtasks: x}\n"
          "  u: {subtasks: {a: {}, b: }}\n"),
      "f:4:5: error: task \"p\" has subtasks and may not have \"command\" [kind]\n"
      "f:5:5: error: task \"p\" has subtasks and may not have \"inputs\" [kind]\n"
      "f:6:5: error: task \"p\" has subtasks and may not have \"output\" [kind]\n"
      "f:7:5: error: task \"p\" has subtasks and may not have \"set\" [kind]\n"
      "f:9:17: error: \"subtasks\" of task \"q\" is empty [kind]\n"
      "f:10:17: error: \"subtasks\" of task \"r\" is empty [kind]\n"
      "f:11:18: error: an item of \"subtasks\" must be a map, not 3 [wrong-type]\n"
      "f:12:17: error: \"subtasks\" must be a map or a list of maps, not the string \"x\" "
      "[wrong-type]\n"
      "f:13:18: error: task \"u.a\" has no agent, script or command [kind]\n"
      "f:13:25: error: \"b\" has no value; remove the key [wrong-type]\n");
}

TEST(Subtasks, TwoTasksWithOneFullIdAreRefused) {
  EXPECT_EQ(ProblemsOf("name: x\ntasks:\n  a.b: {command: x}\n  a:\n    subtasks:\n      - b: "
                       "{command: x}\n      - c: {command: x}\n      - c: {command: x}\n"),
            "f:6:9: error: two tasks have the id \"a.b\" (the other one is on line 3) "
            "[duplicate-task]\n"
            "f:8:9: error: two tasks have the id \"a.c\" (the other one is on line 7) "
            "[duplicate-task]\n");
}

TEST(Subtasks, ACycleThroughAParentIsShownWithIt) {
  EXPECT_EQ(ProblemsOf("name: x\ntasks:\n  p:\n    subtasks:\n      a: {command: x, depends_on: "
                       "p}\n"),
            "f:5:35: error: cycle: \"p\" -> \"p.a\" (subtasks, line 5) -> \"p\" (depends_on, line "
            "5) [cycle]\n");
  EXPECT_EQ(ProblemsOf("name: x\ntasks:\n  p:\n    depends_on: z\n    subtasks:\n      a: "
                       "{command: x}\n  z: {command: x, depends_on: p.a}\n"),
            "f:4:17: error: cycle: \"p.a\" -> \"z\" (depends_on of \"p\", line 4) -> \"p.a\" "
            "(depends_on, line 7) [cycle]\n");
}

TEST(Subtasks, AParentHasAnOutputAndItsSubtasksSeeWhatItSees) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  a: {command: x}\n  p:\n    depends_on: a\n    on_complete: {notify: "
      "\"${task.output}\"}\n    subtasks:\n      u: {command: [\"${task.a.output}\"]}\n"
      "      v: {command: [\"${task.u.output}\", \"${task.p.u.output}\"], depends_on: u}\n"
      "      w: {subtasks: {k: {command: x}}}\n"
      "  z: {command: [\"${task.p.output}\"], depends_on: p}\n");

  EXPECT_EQ(std::get<Ref>(Task(*plan, "p.v").work->argv[0][0]).task, TaskOf(*plan, "p.u"));
  EXPECT_EQ(std::get<Ref>(Task(*plan, "p.v").work->argv[1][0]).task, TaskOf(*plan, "p.u"));
  for (const char* id : {"a", "p", "p.u", "p.v", "p.w", "p.w.k"}) {
    EXPECT_TRUE(Task(*plan, id).referenced) << id;
  }
  EXPECT_FALSE(Task(*plan, "z").referenced);
}

TEST(Subtasks, AreCountedAndTheirParentsAreNot) {
  const auto count = [](const std::string& tasks) {
    const Compiled compiled = CompileWorkflow("name: x\ntasks:\n" + tasks, {});
    return std::pair(compiled.tasks, compiled.edges);
  };
  using Counts = std::pair<std::size_t, std::size_t>;
  EXPECT_EQ(count("  p: {subtasks: {a: {command: x}, b: {command: x}}}\n"), Counts(2, 0));
  // b after a; z after a and b, once; q's two after a and b, and one of them after z too.
  EXPECT_EQ(count("  p: {subtasks: {a: {command: x}, b: {command: x, depends_on: a}}}\n"
                  "  z: {command: x, depends_on: [p.a, p]}\n"
                  "  q: {depends_on: [p, p.b], subtasks: {c: {command: x, depends_on: [p.a, z]}, "
                  "d: {command: x}}}\n"),
            Counts(5, 1 + 2 + 2 + 2 + 1));
}

}  // namespace
}  // namespace troupe
