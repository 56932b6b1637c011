// Files that mean harm, or were damaged: refused in a short time, with a problem, never a crash.
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "tests/workflow/compiling.h"
#include "tests/workflow/examples.h"

namespace troupe {
namespace {

constexpr const char* kExamples[] = {kMigration, kDataSync, kTraining, kFanOut, kStages, kLadder};

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
  EXPECT_EQ(
      ProblemsOf("[" + std::string(3'100'000, ',')).substr(0, 60),
      std::string("f: error: too much stands within one pair of brackets; write").substr(0, 60));
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
