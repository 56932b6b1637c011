// Files that mean harm, or were damaged: refused in a short time, with a problem, never a crash.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <istream>
#include <limits>
#include <random>

#include "tests/workflow/compiling.h"
#include "tests/workflow/examples.h"
#include "workflow/piecewise_text.h"

namespace troupe {
namespace {

constexpr const char* kExamples[] = {kMigration, kDataSync, kTraining, kFanOut, kStages, kLadder};

std::string Repeated(int count, const std::function<std::string(int)>& line) {
  std::string text;
  for (int i = 0; i < count; ++i) text += line(i);
  return text;
}

// Whatever the text, there is a plan or an error, and all problems can be printed.
void CheckSurvives(const std::string& text) {
  const Compiled compiled = CompileWorkflow(text, {});
  bool error = false;
  for (const Problem& problem : compiled.problems) {
    error = error || !problem.warning;
    EXPECT_FALSE(problem.code.empty());
    EXPECT_LE(problem.message.size(), 400u);
  }
  EXPECT_NE(compiled.plan != nullptr, error) << text;
  FormatProblems("f", compiled.problems);
  if (compiled.plan == nullptr) return;
  DrawGraph(*compiled.plan, GraphFormat::Text);
  std::size_t starting = 0;
  for (const PlannedTask& task : compiled.plan->tasks) starting += task.kind != TaskKind::Parent;
  EXPECT_EQ(StartOrder(*compiled.plan).size(), starting);
}

TEST(Hostile, FilesThatEndAnywhere) {
  for (const std::string text : kExamples) {
    for (std::size_t end = 0; end < text.size(); ++end) CheckSurvives(text.substr(0, end));
  }
}

TEST(Hostile, FilesWithDamagedBytes) {
  std::mt19937 random(1);
  const std::string_view bytes = "{}[]:,-\n \t\"'&*!|>#?%@`<~0aZ$\x01\xFF\xC3";
  for (int round = 0; round < 6'000; ++round) {
    std::string text = kExamples[round % 6];
    for (int i = 0; i < 1 + round % 5; ++i) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = bytes[random() % bytes.size()];
          break;
        case 1:
          text.insert(at, 1, bytes[random() % bytes.size()]);
          break;
        default:
          text.erase(at, 1 + random() % 8);
      }
    }
    CheckSurvives(text);
  }
}

TEST(Hostile, RandomText) {
  std::mt19937 random(2);
  const std::string_view bytes = "{}[]:,-\n\n  \"'&*!|>#?<ab${}";
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::size_t size = random() % 60; size > 0; --size) text += bytes[random() % bytes.size()];
    CheckSurvives(text);
  }
}

TEST(Hostile, ReferencesThatNeverEnd) {
  std::string text = "name: x\ntasks: {t: {command: ['";
  for (int i = 0; i < 100'000; ++i) text += i % 2 == 0 ? "${task.a a" : "{{task.b b";
  CheckSurvives(text + "']}}");
}

TEST(Hostile, DeepNesting) {
  for (const char* open : {"[", "{a: ", "- ", "? ", "!!str ", "&a "}) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += open;
    EXPECT_EQ(CompileWorkflow(text, {}).plan, nullptr) << open;
  }
}

TEST(Hostile, AliasesThatMultiply) {
  std::string text = "name: x\ntasks: {t: {command: x}}\nx-a: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "x-" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 1; j < 10; ++j) text += ", " + before;
    text += "]\n";
  }

  EXPECT_EQ(ProblemsOf(text), "f:8:46: error: aliases make more than 1000000 values [alias]\n");
}

TEST(Hostile, TooLargeAFileIsNotParsed) {
  std::string text(std::size_t{64} << 20, ' ');
  EXPECT_EQ(ProblemsOf(text + " "),
            "f: error: the file has 65 MiB or more; the limit is 64 MiB [too-large]\n");
}

TEST(Hostile, TooMuchWithinOnePairOfBracketsIsRefused) {
  EXPECT_EQ(ProblemsOf("[" + std::string(3'100'000, ',')),
            "f: error: one value holds too much, or too much stands within one pair of brackets; "
            "write the file in block style [too-large]\n");
}

// Whether a parser that reads the whole text before it tells anything of it is stopped.
bool GivesUp(const std::string& text) {
  PiecewiseText pieces(text);
  std::istream(&pieces).ignore(std::numeric_limits<std::streamsize>::max());
  return pieces.gave_up();
}

std::string Many(std::size_t count, char c) {
  std::string text;
  text.resize(count, c);
  return text;
}

TEST(Hostile, WhatAParserMayKeepIsBoundedByWhatItIsMadeOf) {
  EXPECT_FALSE(GivesUp(Many(2'900'000, '[')));
  EXPECT_TRUE(GivesUp(Many(3'100'000, '[')));
  EXPECT_FALSE(GivesUp(Many(9'500'000, '\n')));
  for (char c : {'\n', '*', '&', '!', '?'}) EXPECT_TRUE(GivesUp(Many(9'700'000, c))) << c;
  EXPECT_FALSE(GivesUp(Many(15'900'000, '"')));
  for (char c : {'"', '\''}) EXPECT_TRUE(GivesUp(Many(16'100'000, c))) << c;
  EXPECT_FALSE(GivesUp(Many(60'000'000, 'x')));
}

std::string Chain(int count, bool backwards) {
  std::string text = "name: x\nagents: {a: {command: cat}}\ntasks:\n";
  for (int i = 0; i < count; ++i) {
    const int number = backwards ? count - 1 - i : i;
    text += "  t" + std::to_string(number) + ":\n    agent: a\n    description: do it\n";
    if (number > 0) text += "    depends_on: [t" + std::to_string(number - 1) + "]\n";
  }
  return text;
}

TEST(Hostile, ALongChainIsNoProblemInEitherDirection) {
  for (bool backwards : {false, true}) {
    const Compiled compiled = CompileWorkflow(Chain(30'000, backwards), {});

    ASSERT_NE(compiled.plan, nullptr);
    EXPECT_EQ(compiled.edges, 29'999u);
    EXPECT_EQ(StartOrder(*compiled.plan).front(), backwards ? 29'999u : 0u);
  }
}

TEST(Hostile, ALongCycleIsFound) {
  std::string text = Chain(30'000, false);
  text.replace(text.find("    description"), 0, "    depends_on: t29999\n");

  const Compiled compiled = CompileWorkflow(text, {});

  ASSERT_EQ(compiled.problems.size(), 1u);
  EXPECT_EQ(compiled.problems[0].code, "cycle");
}

std::string Numbered(const char* before, int i) { return before + std::to_string(i); }

TEST(Hostile, ManySubtasksUnderOneParent) {
  const std::string text =
      "name: x\ntasks:\n  a: {command: x}\n  p:\n    depends_on: a\n    subtasks:\n" +
      Repeated(100'000,
               [](int i) {
                 return Numbered("      t", i) + ": {command: x" +
                        (i % 2 == 1 ? Numbered(", depends_on: t", i - 1) : "") + "}\n";
               }) +
      "  z: {command: [\"${task.p.output}\"], depends_on: p}\n";

  const Compiled compiled = CompileWorkflow(text, {});

  ASSERT_NE(compiled.plan, nullptr);
  EXPECT_EQ(compiled.tasks, 100'002u);
  EXPECT_EQ(compiled.edges, 250'000u);
  EXPECT_EQ(StartOrder(*compiled.plan).back(), 100'002u);
}

// Each of n subtasks depends, through its parent and by itself, on many of the same tasks.
TEST(Hostile, DependenciesOfManyOnManyAreCountedNotListed) {
  const int count = 3'000;
  std::string text = "name: x\ntasks:\n  p:\n    subtasks:\n";
  text += Repeated(count, [](int i) { return Numbered("      a", i) + ": {command: x}\n"; });
  text += "  q:\n    depends_on: [p";
  text += Repeated(count, [](int i) { return Numbered(", p.a", i); });
  text += "]\n    subtasks:\n";
  text += Repeated(count, [](int i) {
    return Numbered("      b", i) + ": {subtasks: {c: {command: x, depends_on: [p, " +
           Numbered("p.a", i) + "]}}}\n";
  });

  const Compiled compiled = CompileWorkflow(text, {});

  ASSERT_NE(compiled.plan, nullptr) << FormatProblems("f", compiled.problems);
  EXPECT_EQ(compiled.edges, std::size_t{count} * count);
  std::size_t stored = 0;
  for (const PlannedTask& task : compiled.plan->tasks) stored += task.needs.size();
  for (const Gate& gate : compiled.plan->gates) stored += gate.needs.size();
  EXPECT_LT(stored, 20u * count);
}

TEST(Hostile, ManyConditions) {
  const Compiled compiled = CompileWorkflow(
      "name: x\ntasks:\n" + Repeated(50'000,
                                     [](int i) {
                                       return Numbered("  t", i) + ": {command: x" +
                                              (i == 0 ? ""
                                                      : Numbered(", condition: {type: task_status, "
                                                                 "status: failed, task: t",
                                                                 i - 1) +
                                                            "}") +
                                              "}\n";
                                     }),
      {});

  ASSERT_NE(compiled.plan, nullptr);
  EXPECT_EQ(compiled.edges, 49'999u);
}

TEST(Hostile, OneHugeConditionAndOneThatIsNestedDeeply) {
  const auto plan =
      PlanOf("name: x\ntasks:\n  t:\n    command: x\n    condition:\n      and:\n" +
             Repeated(200'000, [](int) { return std::string("      - type: always\n"); }));
  EXPECT_EQ(plan->tasks[0].extra->condition->parts.size(), 200'000u);

  std::string nested = "{type: never}";
  for (int i = 0; i < 57; ++i) nested = "{not: " + nested + "}";
  const auto deep = PlanOf("name: x\ntasks: {t: {command: x, condition: " + nested + "}}\n");
  DrawGraph(*deep, GraphFormat::Text);
}

TEST(Hostile, ManyLoops) {
  const Compiled compiled = CompileWorkflow(
      "name: x\ntasks:\n" +
          Repeated(20'000,
                   [](int i) {
                     return Numbered("  t", i) +
                            ": {command: [\"${n}\", \"${loop.index}\"], loop: {type: for_each, "
                            "iterator: n, collection: {source: inline, items: [1, 2, 3]}}}\n";
                   }),
      {});

  ASSERT_NE(compiled.plan, nullptr);
  EXPECT_EQ(compiled.tasks, 20'000u);
}

TEST(Hostile, FullIdsOfManySubtasksAreBounded) {
  std::string text = "{name: x, tasks: {";
  for (int i = 0; i < 29; ++i) text += std::string(120, 'a') + ": {subtasks: {";
  text += Repeated(30'000, [](int i) { return Numbered("t", i) + ": {command: x},\n"; });
  for (int i = 0; i < 30; ++i) text += "}}";

  const Compiled compiled = CompileWorkflow(text, {});

  ASSERT_EQ(compiled.problems.size(), 1u);
  EXPECT_EQ(compiled.problems[0].code, "too-large");
}

TEST(Hostile, ThereIsABoundForAllPartsOfAFile) {
  const auto refused = [](int hooks) {
    const std::string text =
        "name: x\ntasks: {t: {command: x}}\nagents: {a: {command: x}}\n"
        "workflows: {w: {steps: [{stage: s, tasks: [t]}]}}\nhooks:\n  on_error:\n" +
        Repeated(hooks, [](int) { return std::string("  - x\n"); });
    const Compiled compiled = CompileWorkflow(text, {.check_only = true});
    return compiled.problems.empty() ? "" : compiled.problems[0].message;
  };

  EXPECT_EQ(refused(99'997), "");
  EXPECT_EQ(refused(99'998), "the file has more than 100000 agents, workflows, stages and hooks");
}

TEST(Hostile, MoreThanAMillionTasksAreRefused) {
  const std::string text = "name: x\ntasks:\n" + Repeated(1'000'001, [](int i) {
                             return Numbered("  t", i) + ": {command: x}\n";
                           });

  const Compiled compiled = CompileWorkflow(text, {.check_only = true});

  ASSERT_EQ(compiled.problems.size(), 1u);
  EXPECT_EQ(compiled.problems[0].line, 1'000'003u);
  EXPECT_EQ(compiled.problems[0].message, "the workflow has more than 1000000 tasks");
}

TEST(Hostile, TextsAndReferencesAreBounded) {
  // A reference that code does not know counts too, and takes no room.
  const auto refused = [](int references) {
    std::string text = "name: x\ntasks:\n";
    for (const char* id : {"  a", "  b", "  c", "  d"}) {
      const int here = id == std::string("  d") ? references - 3'000'000 : 1'000'000;
      text += id + (": {script: {language: sh, content: '" +
                    Repeated(here, [](int) { return std::string("${x}"); }) + "'}}\n");
    }
    const Compiled compiled = CompileWorkflow(text, {.check_only = true});
    return compiled.problems.empty() ? "" : compiled.problems[0].message;
  };

  EXPECT_EQ(refused(3'999'996), "") << "and the four texts themselves";
  EXPECT_EQ(refused(3'999'997), "the file has more than 4000000 texts and references");
}

// Each of many workflows is looked at in little time.
TEST(Hostile, ManyWorkflowsAndOneTask) {
  const Compiled compiled = CompileWorkflow("name: x\ntasks: {t: {command: x}}\nworkflows:\n" +
                                                Repeated(50'000,
                                                         [](int i) {
                                                           return Numbered("  w", i) +
                                                                  ": {steps: [{stage: s, tasks: "
                                                                  "[t]}]}\n";
                                                         }),
                                            {});

  EXPECT_NE(compiled.plan, nullptr);
}

TEST(Hostile, ReferencesWithManyDotsTakeLittleTime) {
  std::string text =
      "name: x\ntasks:\n  result: {command: x}\n  t:\n    depends_on: result\n    "
      "command:\n      - \"";
  for (int i = 0; i < 20; ++i) {
    text += "${task.";
    for (int j = 0; j < 10'000; ++j) text += "result.";
    text += "output} ${task.a";
    for (int j = 0; j < 10'000; ++j) text += j % 2 == 0 ? ".result" : "[0]";
    text += ".} ";
  }
  const auto begin = std::chrono::steady_clock::now();

  CompileWorkflow(text + "\"\n", {});

  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(Hostile, ASequenceOfGroupsIsDrawnInLittleTime) {
  std::string tasks;
  std::string list;
  for (const char* group : {"a", "b"}) {
    tasks += Repeated(5'000, [&](int i) {
      return "  " + Numbered(group, i) + ": {command: x" +
             (i > 0 ? ", parallel_with: " + Numbered(group, i - 1) : "") + "}\n";
    });
    list += Repeated(5'000, [&](int i) { return ", " + Numbered(group, i); });
  }

  const auto plan =
      PlanOf("name: x\ntasks:\n" + tasks + "workflows: {w: {steps: [{stage: s, tasks: [" +
             list.substr(2) + "]}]}}\n");

  EXPECT_NE(DrawGraph(*plan, GraphFormat::Text).find("after a0, a1, a2, a3 and 4996 more"),
            std::string::npos);
}

TEST(Hostile, ManyProblemsOfManyNamesTakeLittleTime) {
  std::string text = "name: x\ntasks:\n";
  for (int i = 0; i < 20'000; ++i) {
    text += "  a" + std::to_string(i) + ": {command: x, depends_on: b" + std::to_string(i) + "}\n";
  }
  const auto begin = std::chrono::steady_clock::now();

  EXPECT_EQ(CompileWorkflow(text, {}).problems.size(), 20'000u);

  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

}  // namespace
}  // namespace troupe
