// Loops, and what their iterations may refer to.
#include <gtest/gtest.h>

#include <limits>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

std::string Looped(const std::string& collection, const std::string& more = "") {
  return "name: x\ninputs: {dir: {}, k: {}}\ntasks:\n  t:\n    command: [ls]\n    loop: {type: "
         "for_each, iterator: n, collection: {" +
         collection + "}" + more + "}\n";
}

TEST(Loops, OverItemsThatAreWrittenDown) {
  const auto plan = PlanOf(Looped("source: inline, items: [1, \"1\", {a: [null]}, yes, ]",
                                  ", parallel: true, "
                                  "max_parallel: 3"));

  const Loop& loop = *plan->tasks[0].extra->loop;
  EXPECT_EQ(plan->tasks[0].kind, TaskKind::Command);
  EXPECT_EQ(loop.iterator, "n");
  EXPECT_TRUE(loop.parallel);
  EXPECT_EQ(loop.max_parallel, 3u);
  EXPECT_EQ(loop.source, Loop::Source::Inline);
  EXPECT_EQ(loop.items, (std::vector<std::string>{"1", "\"1\"", "{\"a\":[null]}", "\"yes\""}));
}

TEST(Loops, OneItemMayStandForAListAndThereMayBeNone) {
  EXPECT_EQ(PlanOf(Looped("source: inline, items: one"))->tasks[0].extra->loop->items,
            std::vector<std::string>{"\"one\""});
  const Loop none = *PlanOf(Looped("source: inline, items: []"))->tasks[0].extra->loop;
  EXPECT_TRUE(none.items.empty());
  EXPECT_FALSE(none.parallel);
  EXPECT_EQ(none.max_parallel, kNone);
}

std::uint64_t Items(std::int64_t start, std::int64_t end, std::int64_t step) {
  return RangeItems({.start = start, .end = end, .step = step});
}

TEST(Loops, OverARange) {
  const Loop loop =
      *PlanOf(Looped("source: range, start: -3, end: 9, step: 2"))->tasks[0].extra->loop;
  EXPECT_EQ(loop.source, Loop::Source::Range);
  EXPECT_EQ(loop.start, -3);
  EXPECT_EQ(loop.end, 9);
  EXPECT_EQ(loop.step, 2);
  EXPECT_EQ(PlanOf(Looped("source: range, start: 0, end: 9"))->tasks[0].extra->loop->step, 1);

  EXPECT_EQ(Items(0, 6, 2), 3u);
  EXPECT_EQ(Items(0, 5, 2), 3u);
  EXPECT_EQ(Items(0, 0, 1), 0u);
  EXPECT_EQ(Items(0, 5, -1), 0u);
  EXPECT_EQ(Items(5, 0, 1), 0u);
  EXPECT_EQ(Items(5, 0, -2), 3u);
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(Items(kLeast, kMost, 1), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(Items(kMost, kLeast, kLeast), 2u);
}

TEST(Loops, OverAFile) {
  const auto plan = PlanOf(Looped("source: file, path: \"${dir}/x\", format: json_lines"));

  EXPECT_EQ(plan->tasks[0].extra->loop->source, Loop::Source::File);
  EXPECT_EQ(Written(plan->tasks[0].extra->loop->path), "<dir>/x");
  EXPECT_EQ(plan->tasks[0].extra->loop->format, CollectionFormat::JsonLines);
}

TEST(Loops, ThatAreNoneAreRefused) {
  const auto problem = [](const std::string& loop) {
    return ProblemsOf("name: x\ntasks:\n  t: {command: x, loop: " + loop + "}\n");
  };
  EXPECT_EQ(problem("[]"), "f:3:25: error: \"loop\" must be a map, not a list [wrong-type]\n");
  EXPECT_EQ(problem("{}"), "f:3:25: error: \"loop\" needs \"type\" [missing-key]\n");
  EXPECT_EQ(problem("{type: each}"),
            "f:3:32: error: \"type\" must be for_each, not \"each\" [bad-value]\n");
  EXPECT_EQ(problem("{type: for_each, count: 3}"),
            "f:3:25: error: \"loop\" needs \"iterator\" [missing-key]\n"
            "f:3:25: error: \"loop\" needs \"collection\" [missing-key]\n"
            "f:3:42: error: unknown key \"count\" in \"loop\" [unknown-key]\n");
  for (const char* later : {"repeat", "while", "repeat_until"}) {
    EXPECT_EQ(
        problem(std::string("{type: ") + later + ", count: 3}"),
        std::string("f:3:32: error: loop type \"") + later + "\" is not supported yet [not-yet]\n");
  }
  const auto over = [&](const std::string& collection) {
    return problem("{type: for_each, iterator: n, collection: " + collection + "}");
  };
  EXPECT_EQ(over("[1]"), "f:3:67: error: \"collection\" must be a map, not a list [wrong-type]\n");
  EXPECT_EQ(over("{items: [1]}"), "f:3:67: error: \"collection\" needs \"source\" [missing-key]\n");
  EXPECT_EQ(over("{source: state, key: k}"),
            "f:3:76: error: source \"state\" is not supported yet [not-yet]\n");
  EXPECT_EQ(over("{source: lines}"),
            "f:3:76: error: \"source\" must be inline, range or file, not \"lines\" [bad-value]\n");
  EXPECT_EQ(over("{source: inline, start: 1}"),
            "f:3:67: error: \"collection\" needs \"items\" [missing-key]\n"
            "f:3:84: error: unknown key \"start\" in \"collection\" [unknown-key]\n");
  EXPECT_EQ(over("{source: range, start: 0, end: 5.0, step: 0}"),
            "f:3:98: error: \"end\" must be an integer, not 5.0 [wrong-type]\n"
            "f:3:109: error: \"step\" may not be 0 [out-of-range]\n");
  EXPECT_EQ(over("{source: file, path: x, format: xml}"),
            "f:3:99: error: \"format\" must be json, json_lines, lines or csv, not \"xml\" "
            "[bad-value]\n");
}

TEST(Loops, HaveALimitOfItems) {
  EXPECT_EQ(ProblemsOf(Looped("source: range, start: 0, end: 1000000")), "");
  EXPECT_EQ(ProblemsOf(Looped("source: range, start: 0, end: 1000001")),
            "f:6:53: error: the range has 1000001 items; the limit is 1000000 [too-large]\n");
  std::string items;
  for (int i = 0; i < 100'001; ++i) items += ",1";
  EXPECT_EQ(ProblemsOf(Looped("source: inline, items: [" + items.substr(3) + "]")), "");
  EXPECT_EQ(ProblemsOf(Looped("source: inline, items: [" + items.substr(1) + "]")),
            "f:6:77: error: \"items\" has 100001 items; the limit is 100000 [too-large]\n");
  EXPECT_EQ(ProblemsOf(Looped("source: inline, items: [1]", ", max_parallel: 100001")),
            "f:6:97: error: \"max_parallel\" must be between 1 and 100000, not 100001 "
            "[out-of-range]\n");
}

TEST(Loops, VariablesHaveNamesOfTheirOwn) {
  const auto problem = [](const std::string& iterator) {
    return ProblemsOf("name: x\ntasks:\n  t: {command: x, loop: {type: for_each, iterator: " +
                      iterator + ", collection: {source: inline, items: [1]}}}\n");
  };
  for (const char* reserved : {"id", "attempt", "output", "result", "error", "status"}) {
    EXPECT_EQ(problem(reserved),
              std::string("f:3:52: error: a loop variable may not be called \"") + reserved +
                  "\": ${task." + reserved + "} means something else [bad-name]\n");
  }
  EXPECT_EQ(problem("a.b"),
            "f:3:52: error: loop variable \"a.b\" may not contain \".\" "
            "[bad-name]\n");
  EXPECT_EQ(problem("iteration"), "");
}

// The references of the command of a loop with `iterator`, as kinds and names.
std::vector<std::string> Refs(const std::string& iterator, const std::string& refs,
                              const std::string& inputs = "{}") {
  constexpr const char* kKinds[] = {"input",  "task input", "id",        "attempt", "run",
                                    "output", "result",     "state",     "error",   "index",
                                    "item",   "own output", "own result"};
  const auto plan = PlanOf(
      "name: x\ninputs: {k: {}, n: {}, iteration: {}}\ntasks:\n  t: {command: "
      "[\"" +
      refs + "\"], inputs: " + inputs + ", loop: {type: for_each, iterator: " + iterator +
      ", collection: {source: inline, items: [1]}}}\n");
  std::vector<std::string> found;
  for (const auto& piece : plan->tasks.at(0).work->argv[0]) {
    if (const auto* ref = std::get_if<Ref>(&piece)) {
      found.push_back(std::string(kKinds[static_cast<int>(ref->kind)]) + " " + ref->words->name +
                      ref->words->path);
    }
  }
  return found;
}
using Strings = std::vector<std::string>;

TEST(Loops, IterationsReferToTheirItemAndIndex) {
  EXPECT_EQ(Refs("n", "${n} ${n.a[0].b} ${loop.n.a} ${task.n} {{ loop.index }} ${k}"),
            (Strings{"item n", "item n.a[0].b", "item n.a", "item n", "index ", "input k"}));
  EXPECT_EQ(Refs("n", "${iteration} ${loop.iteration} ${task.iteration}"),
            (Strings{"index ", "index ", "index "}));
  EXPECT_EQ(Refs("iteration", "${iteration} ${loop.iteration} ${task.iteration} ${loop.index}"),
            (Strings{"item iteration", "item iteration", "item iteration", "index "}));
  EXPECT_EQ(Refs("index", "${index} ${loop.index}"), (Strings{"item index", "index "}));
}

TEST(Loops, ABareNameIsTheLoopVariableBeforeAnInput) {
  EXPECT_EQ(Refs("n", "${n} ${task.n} ${workflow.n}", "{n: 1}"),
            (Strings{"item n", "task input n", "input n"}));
}

TEST(Loops, TheirInputsMayDependOnTheIteration) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  t: {command: [\"${k}\"], inputs: {k: \"${n.a} of ${loop.index}\"}, loop: "
      "{type: for_each, iterator: n, collection: {source: inline, items: [1]}}}\n");

  EXPECT_EQ(Written(plan->tasks[0].extra->inputs.at(0).second), "\"<n.a> of <loop.index>\"");
}

TEST(Loops, WhatBelongsToTheLoopKnowsNothingOfIterations) {
  EXPECT_EQ(
      ProblemsOf("name: x\ninputs: {k: {}}\ntasks:\n  t:\n    command: [\"${n}\"]\n"
                 "    inputs: {k: \"${n}\"}\n    on_complete: {notify: \"${n} ${k}\"}\n"
                 "    loop: {type: for_each, iterator: n, collection: {source: file, path: "
                 "\"${loop.index}${workflow.k}\", format: csv}}\n"),
      "f:7:27: error: \"n\" may not be used here: this belongs to the loop as a whole "
      "[unknown-reference]\n"
      "f:7:27: error: \"k\" may not be used here: the inputs of the task differ from iteration to "
      "iteration [unknown-reference]\n"
      "f:8:74: error: \"loop.index\" may not be used here: this belongs to the loop as a whole "
      "[unknown-reference]\n");
}

TEST(Loops, OutputFilesMustDiffer) {
  const auto problem = [](const std::string& output) {
    return ProblemsOf(Looped("source: range, start: 0, end: 3") + "    output: " + output + "\n");
  };
  EXPECT_EQ(problem("\"out/${loop.index}.txt\""), "");
  EXPECT_EQ(problem("\"{{n}}\""), "");
  EXPECT_EQ(problem("out.txt"),
            "f:7:13: error: all iterations would write \"out.txt\"; put ${loop.index} into the "
            "path [loop-output]\n");
  EXPECT_EQ(problem("\"${dir}/${task.id}\""),
            "f:7:13: error: all iterations would write \"${dir}/${task.id}\"; put ${loop.index} "
            "into the path [loop-output]\n");
}

TEST(Loops, ALoopIsOneTaskToCount) {
  const Compiled compiled = CompileWorkflow(
      Looped("source: range, start: 0, end: 1000") + "  u: {command: x, depends_on: t}\n", {});

  EXPECT_EQ(compiled.tasks, 2u);
  EXPECT_EQ(compiled.edges, 1u);
}

}  // namespace
}  // namespace troupe
