// Which references a text may hold and what they become.
#include <gtest/gtest.h>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

constexpr const char* kHead =
    "name: x\ninputs: {city: {}, user: {type: object}, id-2: {}}\n"
    "agents: {g: {command: cat}}\ntasks:\n  a: {command: x}\n  a.b: {command: x}\n"
    "  up: {command: x, depends_on: [a, a.b]}\n";

// `text` as a prompt of a task with input k, downstream of all others.
std::string Prompt(const std::string& text) {
  return std::string(kHead) + "  t:\n    agent: g\n    depends_on: [up]\n    inputs: {k: 1}\n" +
         "    description: '" + text + "'\n";
}

std::string Compile(const std::string& text) {
  const auto plan = PlanOf(Prompt(text));
  return Written(plan->tasks[TaskOf(*plan, "t")].description);
}

TEST(References, BothFormsMeanTheSame) {
  EXPECT_EQ(Compile("in ${city} and {{city}}, ${ city } and {{ city }}"),
            "in <city> and <city>, <city> and <city>");
}

TEST(References, WhatIsNoReferenceStays) {
  for (const char* text :
       {"$x", "${x:-1}", "${#a}", "{{ .Values.a }}", "${}", "${", "{{", "{{}}", "$(city)", "${city",
        "{{city}", "{city}", "${1}", "${ci ty}", "a ${x:-${y:-1}} b", "}}", "{{{", "${city|up}"}) {
    EXPECT_EQ(Compile(text), text);
  }
}

TEST(References, DoubledSignsAreEscapes) {
  EXPECT_EQ(Compile("$${city}"), "${city}");
  EXPECT_EQ(Compile("{{{{city}}"), "{{city}}");
  EXPECT_EQ(Compile("$$${city}"), "$${city}");
  EXPECT_EQ(Compile("{{{city}}}"), "{<city>}");
  EXPECT_EQ(Compile("$$"), "$$");
}

TEST(References, AllKindsThereAre) {
  const auto plan = PlanOf(
      Prompt("${workflow.user.name} ${user.rows[0].id} ${k} ${task.k.x} ${task.id} "
             "${task.attempt} ${run.id} ${task.a.output} ${task.up.result.a[1]} ${task.a.status} "
             "${task.a.error} ${workflow.id-2}"));

  std::vector<Ref> refs;
  for (const auto& piece : plan->tasks[TaskOf(*plan, "t")].description) {
    if (const auto* ref = std::get_if<Ref>(&piece)) refs.push_back(*ref);
  }
  using enum Ref::Kind;
  EXPECT_EQ(refs, (std::vector<Ref>{
                      {Input, 0, RefWords{"user", ".name", "workflow.user.name"}},
                      {Input, 0, RefWords{"user", ".rows[0].id", "user.rows[0].id"}},
                      {TaskInput, 0, RefWords{"k", "", "k"}},
                      {TaskInput, 0, RefWords{"k", ".x", "task.k.x"}},
                      {SelfId, 0, RefWords{"", "", "task.id"}},
                      {SelfAttempt, 0, RefWords{"", "", "task.attempt"}},
                      {RunIdentity, 0, RefWords{"", "", "run.id"}},
                      {TaskOutput, 0, RefWords{"", "", "task.a.output"}},
                      {TaskResult, 2, RefWords{"", ".a[1]", "task.up.result.a[1]"}},
                      {TaskState, 0, RefWords{"", "", "task.a.status"}},
                      {TaskError, 0, RefWords{"", "", "task.a.error"}},
                      {Input, 0, RefWords{"id-2", "", "workflow.id-2"}},
                  }));
}

TEST(References, TheLongestTaskIdThatFitsIsMeant) {
  const auto target = [](const std::string& ref) {
    const auto plan = PlanOf(Prompt("${" + ref + "}"));
    return std::get<Ref>(plan->tasks[TaskOf(*plan, "t")].description[0]).task;
  };

  EXPECT_EQ(target("task.a.b.output"), 1u);
  EXPECT_EQ(target("task.a.output"), 0u);
  EXPECT_EQ(target("task.a.result.b.output"), 0u);
  // Both the result of a and the output of another task: the longer id is meant.
  const auto plan = PlanOf(
      "name: x\ntasks:\n  a: {command: x}\n  a.result.b: {command: x}\n"
      "  t: {command: [\"${task.a.result.b.output}\"], depends_on: [a, a.result.b]}\n");
  EXPECT_EQ(std::get<Ref>(plan->tasks[2].work->argv[0][0]).task, 1u);
}

TEST(References, TaskNamesMayHoldOtherCharacters) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  \"build (\xC3\xA4) @x\": {command: x}\n  t: {command: [\"${ task.build "
      "(\xC3\xA4) @x.output }\"], depends_on: \"build (\xC3\xA4) @x\"}\n");

  EXPECT_EQ(std::get<Ref>(plan->tasks[1].work->argv[0][0]).task, 0u);
}

TEST(References, AnUnknownOneIsAnErrorInText) {
  const auto problems = [](const std::string& text) {
    const std::string all = ProblemsOf(Prompt(text));
    return all.substr(0, all.find('\n'));
  };
  EXPECT_EQ(problems("${wrkflow.city}"),
            "f:12:18: error: \"wrkflow.city\" is not known; did you mean \"workflow.city\"? "
            "[unknown-reference]");
  EXPECT_EQ(problems("${workflow.town}"),
            "f:12:18: error: \"workflow.town\" is not known; did you mean \"workflow.city\"? "
            "[unknown-reference]");
  EXPECT_EQ(problems("${xyzzy}"), "f:12:18: error: \"xyzzy\" is not known [unknown-reference]");
  EXPECT_EQ(problems("${task.upp.output}"),
            "f:12:18: error: \"task.upp.output\" is not known; did you mean \"task.up.output\"? "
            "[unknown-reference]");
  EXPECT_EQ(problems("${task.up.outptu}"),
            "f:12:18: error: \"task.up.outptu\" is not known; did you mean \"task.up.output\"? "
            "[unknown-reference]");
  EXPECT_EQ(problems("${task.output}"),
            "f:12:18: error: \"task.output\" may not be used here: the task has not run yet. To "
            "refer to another task, write task.NAME.output [unknown-reference]");
  EXPECT_EQ(problems("${loop.index}"),
            "f:12:18: error: \"loop.index\" is not known: there is no loop here "
            "[unknown-reference]");
  EXPECT_EQ(problems("${city..x}"), "f:12:18: error: \"city..x\" is not known [unknown-reference]");
  EXPECT_EQ(problems("${secret.token}"),
            "f:12:18: error: reference \"secret.token\" is not supported yet [not-yet]");
  EXPECT_EQ(problems("${group.a.b}"),
            "f:12:18: warning: \"${group.a.b}\" is not supported and stays as text "
            "[unsupported]");
}

TEST(References, ATaskReferredToMustBeUpstream) {
  EXPECT_EQ(ProblemsOf("name: x\ntasks:\n  a: {command: x}\n  b: {command: [\"${task.a.output}\", "
                       "\"${task.b.status}\", \"${task.c.result.x}\"]}\n  c: {command: x, "
                       "depends_on: b}\n"),
            "f:4:17: error: task \"b\" uses the output of \"a\" but does not depend on it "
            "[not-upstream]\n"
            "f:4:37: error: task \"b\" uses its own status [not-upstream]\n"
            "f:4:57: error: task \"b\" uses the result of \"c\" but does not depend on it "
            "[not-upstream]\n");
}

TEST(References, StagesMakeTasksUpstream) {
  const char* tasks =
      "name: x\ntasks:\n  a: {command: x}\n  b: {command: [\"${task.a.output}\"]}\n"
      "  c: {command: [\"${task.a.output}\"]}\n  d: {command: x}\n";

  EXPECT_EQ(ProblemsOf(std::string(tasks) +
                       "workflows: {w: {steps: [{stage: s, tasks: [a, b]}, {stage: t, depends_on: "
                       "s, tasks: [d, c]}]}}\n"),
            "");
  EXPECT_EQ(ProblemsOf(std::string(tasks) +
                       "workflows: {w: {steps: [{stage: s, tasks: [a, b]}, {stage: t, tasks: [d, "
                       "c]}]}}\n"),
            "f:5:17: error: task \"c\" uses the output of \"a\" but does not depend on it "
            "[not-upstream]\n");
}

// Far more distinct targets than are looked at in one go, none of them near.
TEST(References, UpstreamIsFoundOverLongDistances) {
  std::string text = "name: x\ntasks:\n";
  const int count = 1500;
  for (int i = 0; i < count; ++i) {
    const int target = i / 2;
    text += "  t" + std::to_string(i) + ": {command: [\"${task.t" + std::to_string(target) +
            ".status}\"]" + (i > 0 ? ", depends_on: t" + std::to_string(i - 1) : "") + "}\n";
  }
  EXPECT_EQ(ProblemsOf(text), "f:3:18: error: task \"t0\" uses its own status [not-upstream]\n");

  // The same, where the chain is cut in the middle.
  const std::string edge = ", depends_on: t999}";
  text.replace(text.find(edge), edge.size(), "}");
  const Compiled compiled = CompileWorkflow(text, {});
  EXPECT_EQ(compiled.problems.size(), 501u) << "t0 itself, and t1000 to t1499";
}

TEST(References, UpstreamIsFoundThroughManyStages) {
  std::string tasks = "name: x\ntasks:\n  first: {command: x}\n";
  std::string steps = "      - {stage: s0, tasks: [first]}\n";
  const int count = 100;
  for (int i = 1; i <= count; ++i) {
    const std::string number = std::to_string(i);
    for (const char* id : {"  a", "  b"}) {
      tasks +=
          id + number + ": {command: [\"" + (i == count ? "${task.first.output}" : "") + "\"]}\n";
    }
    steps += "      - {stage: s" + number + ", mode: parallel, tasks: [a" + number + ", b" +
             number + "], depends_on: s" + std::to_string(i - 1) + "}\n";
  }
  EXPECT_EQ(ProblemsOf(tasks + "workflows:\n  w:\n    steps:\n" + steps), "");
}

TEST(References, CodeKeepsWhatIsUnknownUnlessItIsClearlyOurs) {
  const auto script = [](const std::string& content) {
    return std::string(kHead) + "  t:\n    depends_on: up\n    script: {language: sh, content: '" +
           content + "'}\n";
  };
  const auto compile = [&](const std::string& content) {
    const auto plan = PlanOf(script(content));
    return Written(plan->tasks[TaskOf(*plan, "t")].work->script_content);
  };

  EXPECT_EQ(compile("${HOME} ${city} ${loop.x} ${agent.x} {{x}} ${run.x}"),
            "${HOME} <city> ${loop.x} ${agent.x} {{x}} ${run.x}");
  EXPECT_EQ(ProblemsOf(script("${workflow.cty} ${task.x.output} ${secret.x}")),
            "f:10:37: error: \"workflow.cty\" is not known; did you mean \"workflow.city\"? "
            "[unknown-reference]\n"
            "f:10:37: error: \"task.x.output\" is not known; did you mean \"task.a.output\"? "
            "[unknown-reference]\n"
            "f:10:37: error: reference \"secret.x\" is not supported yet [not-yet]\n");
  EXPECT_EQ(ProblemsOf(script("${task.up.output} ${task.up.status}")),
            "f:10:37: warning: the output of task \"up\" becomes program text here; pass it in "
            "\"env\" [pasted-output]\n");
}

TEST(References, TextOfAgentsAndHooksKnowsOnlyTheRun) {
  EXPECT_EQ(ProblemsOf(std::string(kHead) +
                       "hooks: {pre_workflow: [{command: x, env: {A: \"${city} ${workflow.city} "
                       "${run.id}\", B: \"${task.id}\", C: \"${task.a.output}\"}}]}\n"),
            "f:8:87: error: \"task.id\" may not be used here, only inputs of the run and run.id "
            "[unknown-reference]\n"
            "f:8:104: error: \"task.a.output\" may not be used here, only inputs of the run and "
            "run.id [unknown-reference]\n");
}

TEST(References, InputsOfATaskHideThoseOfTheRunButNotWithinThemselves) {
  const auto plan = PlanOf(
      "name: x\ninputs: {k: {}}\ntasks:\n  t: {command: [\"${k} ${workflow.k}\"], inputs: {k: "
      "\"${k}\"}}\n");

  const PlannedTask& task = plan->tasks[0];
  EXPECT_EQ(std::get<Ref>(task.work->argv[0][0]).kind, Ref::Kind::TaskInput);
  EXPECT_EQ(std::get<Ref>(task.work->argv[0][2]).kind, Ref::Kind::Input);
  ASSERT_EQ(task.extra->inputs.size(), 1u);
  EXPECT_EQ(std::get<Ref>(task.extra->inputs[0].second[1]).kind, Ref::Kind::Input);
}

TEST(References, TasksAreNumberedAsInThePlan) {
  // `gone` does not run, and the stage's own task stands before all others.
  const auto plan = PlanOf(
      "name: x\nworkflows:\n  w: {steps: [{stage: s, tasks: [{up: {command: x}}, down]}]}\n"
      "  v: {steps: [{stage: s, tasks: [gone]}]}\n"
      "agents: {g: {command: cat}}\n"
      "tasks:\n  gone: {command: x}\n  down:\n    command: {executable: \"${task.up.output}\", "
      "working_dir: \"${task.up.output}\", env: {A: \"${task.up.output}\"}}\n"
      "    description: \"${task.up.status}\"\n    output: \"${task.up.error}\"\n"
      "    inputs: {k: \"${task.up.result.a}\"}\n"
      "  code: {depends_on: down, script: {language: sh, content: \"${task.down.status}\"}}\n"
      "  file: {depends_on: down, script: {language: sh, file: \"${task.down.status}\"}}\n");

  const auto target = [](const Template& text, std::size_t piece = 0) {
    return std::get<Ref>(text.at(piece)).task;
  };
  ASSERT_EQ(plan->tasks.size(), 4u);
  const std::uint32_t up = TaskOf(*plan, "up");
  const PlannedTask& down = plan->tasks[TaskOf(*plan, "down")];
  EXPECT_EQ(target(down.description), up);
  EXPECT_EQ(target(down.extra->output), up);
  EXPECT_EQ(target(down.extra->inputs[0].second, 1), up);
  EXPECT_EQ(target(down.work->argv[0]), up);
  EXPECT_EQ(target(*down.work->working_dir), up);
  EXPECT_EQ(target(down.work->env[0].second), up);
  EXPECT_EQ(target(plan->tasks[TaskOf(*plan, "code")].work->script_content), TaskOf(*plan, "down"));
  EXPECT_EQ(target(plan->tasks[TaskOf(*plan, "file")].work->script_file), TaskOf(*plan, "down"));
  EXPECT_TRUE(plan->tasks[up].referenced);
}

TEST(References, ShellTextIsNeverSubstituted) {
  const auto plan = PlanOf(
      "name: x\nagents: {g: {command: \"echo ${nope} {{prompt}}\"}}\ntasks:\n  t: {command: \"echo "
      "${nope} {{nope}}\"}\n");

  EXPECT_EQ(plan->tasks[0].work->argv[0], Literal("echo ${nope} {{nope}}"));
  EXPECT_EQ(plan->agents[0].command[0], Literal("echo ${nope} {{prompt}}"));
}

}  // namespace
}  // namespace troupe
