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
            "  subgraph cluster_0 {\n    label=\"one\";\n    t0 [label=\"a\"];\n    t1 "
            "[label=\"b\"];\n  }\n"
            "  subgraph cluster_1 {\n    label=\"two\";\n    t2 [label=\"caf\xC3\xA9\"];\n    t3 "
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

}  // namespace
}  // namespace troupe
