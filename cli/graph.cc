#include <fmt/format.h>

#include <cstdio>

#include "cli/commands_workflow.h"
#include "cli/print.h"
#include "cli/read_file.h"
#include "workflow/compile.h"

namespace troupe {

int RunGraph(const std::string& file, const std::string& format, const std::string& workflow) {
  GraphFormat drawn = GraphFormat::Text;
  if (format == "dot") {
    drawn = GraphFormat::Dot;
  } else if (format == "mermaid") {
    drawn = GraphFormat::Mermaid;
  } else if (format != "text" && !format.empty()) {
    Say(fmt::format("troupe: the format must be text, dot or mermaid, not {}\n", format));
    return 2;
  }
  const Result<std::string> text = ReadWorkflowFile(file);
  if (!text) {
    Say(fmt::format("troupe: {}\n", text.error().message));
    return 2;
  }
  const Compiled compiled = CompileWorkflow(*text, {.workflow = workflow});
  Say(FormatProblems(file, compiled.problems));
  if (compiled.plan == nullptr) return 2;
  Print(DrawGraph(*compiled.plan, drawn));
  return 0;
}

}  // namespace troupe
