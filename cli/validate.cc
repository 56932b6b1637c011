#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands_workflow.h"
#include "cli/print.h"
#include "cli/read_file.h"
#include "workflow/compile.h"

namespace troupe {
namespace {

std::string Count(std::size_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// A file that cannot be read is a problem without a place.
Compiled CompileFile(const std::string& file, bool lenient) {
  const Result<std::string> text = ReadWorkflowFile(file);
  if (text) return CompileWorkflow(*text, {.lenient = lenient, .check_only = true});
  Compiled unreadable;
  unreadable.problems.push_back({0, 0, false, "file", text.error().message});
  return unreadable;
}

void PrintJson(const std::string& file, const Compiled& compiled) {
  nlohmann::ordered_json problems = nlohmann::ordered_json::array();
  for (const Problem& problem : compiled.problems) {
    problems.push_back({{"line", problem.line},
                        {"column", problem.column},
                        {"severity", problem.warning ? "warning" : "error"},
                        {"code", problem.code},
                        {"message", problem.message}});
  }
  const nlohmann::ordered_json object = {{"file", file},
                                         {"ok", compiled.ok},
                                         {"tasks", compiled.tasks},
                                         {"edges", compiled.edges},
                                         {"agents", compiled.agents},
                                         {"problems", std::move(problems)}};
  Print(fmt::format("{}\n",
                    object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)));
}

}  // namespace

int RunValidate(const std::vector<std::string>& files, bool lenient, bool json) {
  int exit_code = 0;
  for (const std::string& file : files) {
    const Compiled compiled = CompileFile(file, lenient);
    if (!compiled.ok) exit_code = 2;
    if (json) {
      PrintJson(file, compiled);
      continue;
    }
    const bool unread = compiled.problems.size() == 1 && compiled.problems[0].code == "file";
    if (unread) {
      Say(fmt::format("troupe: {}\n", compiled.problems[0].message));
      continue;
    }
    Say(FormatProblems(file, compiled.problems));
    if (compiled.ok) {
      Print(fmt::format("{}: ok ({}, {})\n", file, Count(compiled.tasks, "task"),
                        Count(compiled.agents, "agent")));
      std::fflush(stdout);  // In step with the problems of the next file.
    }
  }
  return exit_code;
}

}  // namespace troupe
