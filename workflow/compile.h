// A workflow file's text → a plan, or all that is wrong with it.
//
// Pure: no file is opened, nothing is run, the same text gives the same answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "workflow/plan.h"

namespace troupe {

struct Problem {
  std::uint32_t line = 0;    // From 1; 0: no place (`[input]`).
  std::uint32_t column = 0;  // From 1, in code points.
  bool warning = false;
  std::string code = "";  // "unknown-key"
  std::string message = "";
};

struct CompileOptions {
  std::string workflow = "";  // --workflow NAME; "": the first in the file.
  bool lenient = false;
  bool check_only = false;  // Make no plan; takes half the memory.
};

struct Compiled {
  // Null if there is an error among the problems, or no plan was wanted.
  std::shared_ptr<const Plan> plan = {};
  bool ok = false;                     // There is no error among the problems.
  std::vector<Problem> problems = {};  // Sorted by line and column.
  // Set if the file has work that troupe cannot do, a task of the kind `uses`, `embed`,
  // `uses_workflow` or `mcp_tool`: the first of them, as an error. `validate` only warns of it,
  // which stands in `problems`; a run that is not lenient is refused with it.
  std::optional<Problem> unsupported_work = {};
  // For `validate`, also when there are errors, as far as known.
  std::size_t tasks = 0;  // What can run, of the whole file: subtasks, not their parents; a loop is
                          // one.
  std::size_t edges = 0;  // Distinct direct dependencies between them.
  std::size_t agents = 0;
};

Compiled CompileWorkflow(std::string_view text, const CompileOptions& options);

// "flow.yaml:12:18: error: … [unknown-task]", one a line, at most 100 and then "... and 37 more".
std::string FormatProblems(std::string_view file, const std::vector<Problem>& problems);

// The inputs of a run: `given` are the user's NAME=VALUE, the last wins. One JSON object with a
// value for every declared input; Problems (`input`, no place) if they do not fit.
struct BoundInputs {
  std::string json = "{}";
  std::vector<Problem> problems = {};
};
BoundInputs BindInputs(const Plan& plan, const std::vector<std::string>& given);

// The graph for people and for dot and mermaid.
enum class GraphFormat : std::uint8_t { Text, Dot, Mermaid };
std::string DrawGraph(const Plan& plan, GraphFormat format);

// The candidate a person may have meant; "" if none is near (docs/language.md, "Problems").
std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace troupe
