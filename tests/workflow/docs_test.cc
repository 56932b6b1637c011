// The examples of docs/language.md are whole files that compile.
#include "tests/workflow/compiling.h"
#include "tests/workflow/documents.h"

namespace troupe {
namespace {

TEST(Documentation, EveryYamlExampleCompilesWithoutProblems) {
  const std::vector<std::string> examples = YamlExamples(FileOf("docs/language.md"));

  EXPECT_GE(examples.size(), 10u);
  for (const std::string& example : examples) EXPECT_EQ(ProblemsOf(example), "") << example;
}

TEST(Documentation, EveryProblemCodeIsOnThePage) {
  const std::string page = FileOf("docs/language.md");
  for (const char* code :
       {"yaml",          "encoding",          "tag",           "alias",         "several-documents",
        "too-large",     "duplicate-key",     "unknown-key",   "missing-key",   "wrong-type",
        "out-of-range",  "bad-name",          "bad-value",     "kind",          "duplicate-task",
        "cycle",         "unknown-task",      "unknown-agent", "unknown-stage", "unknown-workflow",
        "unknown-class", "unknown-reference", "not-upstream",  "loop-output",   "not-yet",
        "input",         "unsupported",       "unknown-tool",  "parallel-with", "stage-differs",
        "stage-agent",   "empty-stage",       "same-agent",    "pasted-output"}) {
    EXPECT_NE(page.find(std::string("`") + code + "`"), std::string::npos) << code;
  }
}

}  // namespace
}  // namespace troupe
