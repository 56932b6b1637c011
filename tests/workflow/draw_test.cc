#include <gtest/gtest.h>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

constexpr const char* kStaged =
    "name: \"Ship \\\"it\\\"\"\nagents: {g: {command: cat}, h: {command: cat}}\ntasks:\n"
    "  a: {command: x}\n  b: {agent: g, description: d, on_error: {fallback_agent: h}}\n"
    "  caf\xC3\xA9: {script: {language: python, content: x}, depends_on: a}\n  d: {command: x}\n"
    "  free: {command: x, depends_on: a}\n"
    "workflows:\n  w:\n    steps:\n      - {stage: one, mode: parallel, tasks: [a, b]}\n"
    "      - {stage: two, tasks: [caf\xC3\xA9, d], depends_on: one}\n";

TEST(DrawGraph, TextListsStagesAndSteps) {
  EXPECT_EQ(DrawGraph(*PlanOf(kStaged), GraphFormat::Text),
            "Ship \"it\", workflow w: 5 tasks in 2 stages\n"
            "Tasks with the same number can run at the same time.\n"
            "\n"
            "stage one\n"
            "   1  a     command\n"
            "   1  b     agent g, then h\n"
            "\n"
            "stage two, after one\n"
            "   2  caf\xC3\xA9  script (python3)  after a\n"
            "   3  d     command           after caf\xC3\xA9\n"
            "\n"
            "in no stage\n"
            "   2  free  command           after a\n");
}

TEST(DrawGraph, TextWithoutStagesIsOneList) {
  EXPECT_EQ(
      DrawGraph(*PlanOf("name: x\ntasks: {b: {command: x, depends_on: a}, a: {command: x}}\n"),
                GraphFormat::Text),
      "x: 2 tasks\nTasks with the same number can run at the same time.\n\n"
      "   1  a  command\n   2  b  command  after a\n");
}

TEST(DrawGraph, DotAndMermaidDrawGatesAsPoints) {
  EXPECT_EQ(DrawGraph(*PlanOf(kStaged), GraphFormat::Dot),
            "digraph \"Ship \\\"it\\\"\" {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n"
            "  subgraph cluster_s0 {\n    label=\"one\";\n    t0 [label=\"a\"];\n    t1 "
            "[label=\"b\"];\n  }\n"
            "  subgraph cluster_s1 {\n    label=\"two\";\n    t2 [label=\"caf\xC3\xA9\"];\n    t3 "
            "[label=\"d\"];\n  }\n"
            "  t4 [label=\"free\"];\n"
            "  g0 [shape=point];\n  t0 -> g0;\n  t1 -> g0;\n  g0 -> t2;\n  t2 -> t3;\n"
            "  g0 -> t3;\n  t0 -> t4;\n}\n");
  EXPECT_EQ(DrawGraph(*PlanOf(kStaged), GraphFormat::Mermaid),
            "flowchart LR\n  subgraph s0[\"one\"]\n    t0[\"a\"]\n    t1[\"b\"]\n  end\n"
            "  subgraph s1[\"two\"]\n    t2[\"caf\xC3\xA9\"]\n    t3[\"d\"]\n  end\n"
            "  t4[\"free\"]\n  g0(( ))\n  t0 --> g0\n  t1 --> g0\n  g0 --> t2\n  t2 --> t3\n"
            "  g0 --> t3\n  t0 --> t4\n");
}

constexpr const char* kParts =
    "name: x\ntasks:\n  a: {command: x}\n"
    "  p:\n    depends_on: a\n    condition: {not: {type: state_exists, key: \"k (1)\"}}\n    "
    "subtasks:\n"
    "      u: {command: x, depends_on: v}\n      v: {subtasks: {w: {command: x}}}\n"
    "  free: {subtasks: {only: {command: x}}}\n"
    "  l:\n    command: x\n    loop: {type: for_each, iterator: n, parallel: true, max_parallel: "
    "2, "
    "collection: {source: range, start: 0, end: 5}}\n"
    "  z:\n    command: x\n    depends_on: [p, l]\n    condition: {or: [{type: task_status, task: "
    "l, status: failed}, {and: [{type: state_equals, key: e, value: \"q\"}, {type: always}]}]}\n";

TEST(DrawGraph, TextPutsSubtasksBelowTheirParents) {
  EXPECT_EQ(
      DrawGraph(*PlanOf(kParts), GraphFormat::Text),
      "x: 6 tasks\n"
      "Tasks with the same number can run at the same time.\n"
      "\n"
      "   1  a            command\n"
      "      free         1 subtask\n"
      "   1    free.only  command\n"
      "   1  l            command, for each n of 5, 2 at a time\n"
      "      p            2 subtasks                             after a, if not k (1) exists\n"
      "        p.v        1 subtask\n"
      "   2      p.v.w    command\n"
      "   3    p.u        command                                after p.v\n"
      "   4  z            command                                after p, l, if l failed or (e = "
      "\"q\" and always)\n");
}

TEST(DrawGraph, ParentsAreBoxesWithAPointWhereTheyBeginAndEnd) {
  EXPECT_EQ(
      DrawGraph(*PlanOf(kParts), GraphFormat::Dot),
      "digraph \"x\" {\n"
      "  rankdir=LR;\n"
      "  node [shape=box, style=rounded];\n"
      "  t0 [label=\"a\"];\n"
      "  subgraph cluster_p1 {\n"
      "    label=\"p\\nif not k (1) exists\";\n"
      "    g0 [shape=point];\n"
      "    t2 [label=\"p.u\"];\n"
      "    subgraph cluster_p3 {\n"
      "      label=\"p.v\";\n"
      "      g1 [shape=point];\n"
      "      t4 [label=\"p.v.w\"];\n"
      "      t3 [shape=point];\n"
      "    }\n"
      "    t1 [shape=point];\n"
      "  }\n"
      "  subgraph cluster_p5 {\n"
      "    label=\"free\";\n"
      "    t6 [label=\"free.only\"];\n"
      "  }\n"
      "  t7 [label=\"l\\nfor each n of 5, 2 at a time\", peripheries=2];\n"
      "  t8 [label=\"z\\nif l failed or (e = \\\"q\\\" and always)\", style=\"rounded,dashed\"];\n"
      "  t0 -> g0;\n"
      "  g0 -> g1;\n"
      "  t2 -> t1;\n"
      "  t3 -> t1;\n"
      "  t3 -> t2;\n"
      "  g0 -> t2;\n"
      "  t4 -> t3;\n"
      "  g1 -> t4;\n"
      "  t1 -> t8;\n"
      "  t7 -> t8 [style=dashed];\n"
      "}\n");
  EXPECT_EQ(DrawGraph(*PlanOf(kParts), GraphFormat::Mermaid),
            "flowchart LR\n"
            "  t0[\"a\"]\n"
            "  subgraph p1[\"p<br/>if not k (1) exists\"]\n"
            "    g0(( ))\n"
            "    t2[\"p.u\"]\n"
            "    subgraph p3[\"p.v\"]\n"
            "      g1(( ))\n"
            "      t4[\"p.v.w\"]\n"
            "      t3(( ))\n"
            "    end\n"
            "    t1(( ))\n"
            "  end\n"
            "  subgraph p5[\"free\"]\n"
            "    t6[\"free.only\"]\n"
            "  end\n"
            "  t7[[\"l<br/>for each n of 5, 2 at a time\"]]\n"
            "  t8{{\"z<br/>if l failed or (e = #quot;q#quot; and always)\"}}\n"
            "  t0 --> g0\n"
            "  g0 --> g1\n"
            "  t2 --> t1\n"
            "  t3 --> t1\n"
            "  t3 --> t2\n"
            "  g0 --> t2\n"
            "  t4 --> t3\n"
            "  g1 --> t4\n"
            "  t1 --> t8\n"
            "  t7 -.-> t8\n");
}

TEST(DrawGraph, LongConditionsAreCut) {
  std::string condition = "{and: [{type: state_exists, key: first}";
  for (int i = 0; i < 1000; ++i) condition += ", {type: state_exists, key: another}";
  const auto plan = PlanOf("name: x\ntasks: {t: {command: x, condition: " + condition + "]}}}\n");

  const std::string drawn = DrawGraph(*plan, GraphFormat::Text);

  EXPECT_NE(drawn.find("if first exists and another exists and "), std::string::npos);
  EXPECT_LT(drawn.size(), 300u);
}

}  // namespace
}  // namespace troupe
