#include "workflow/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "workflow/build_plan.h"
#include "workflow/document.h"
#include "workflow/order.h"
#include "workflow/problems.h"
#include "workflow/references.h"
#include "workflow/resolve.h"
#include "workflow/source.h"
#include "workflow/tree.h"

namespace troupe {
namespace {

// How much is spent on checking the order of workflows that were not chosen: tasks and edges.
constexpr std::size_t kOtherOrdersMax = 20'000'000;

// The chosen workflow; kNone if the file has none, or after reporting that it does not exist.
std::uint32_t ChooseWorkflow(const Document& document, const std::string& name,
                             Problems& problems) {
  if (name.empty()) return document.workflows.empty() ? kNone : 0;
  std::vector<std::string_view> names;
  for (std::uint32_t i = 0; i < document.workflows.size(); ++i) {
    if (document.workflows[i].name == name) return i;
    names.push_back(document.workflows[i].name);
  }
  problems.Error(
      kNoPlace, "unknown-workflow",
      fmt::format("workflow {} does not exist{}", Quote(name), problems.Suggest(name, names)));
  return document.workflows.empty() ? kNone : 0;
}

class Compiler {
 public:
  Compiler(const Source& source, const CompileOptions& options)
      : source_(source), options_(options) {}

  Compiled Compile();

 private:
  void CheckOtherWorkflows(const Document& document, std::uint32_t chosen,
                           const std::vector<References::Use>& uses, std::vector<bool>& checked);

  const Source& source_;
  const CompileOptions& options_;
  Problems problems_;
};

Compiled Compiler::Compile() {
  Compiled compiled;
  Tree tree;
  if (!ParseYaml(source_, problems_, tree)) {
    compiled.problems = problems_.TakeSorted(source_);
    return compiled;
  }
  Reader reader(source_, tree, problems_, options_.lenient);
  Document document = ReadDocument(reader);
  ResolveNames(reader, document);
  compiled.tasks = static_cast<std::size_t>(
      std::count_if(document.tasks.begin(), document.tasks.end(),
                    [](const TaskDoc& task) { return task.kind != TaskKind::Parent; }));
  compiled.agents = document.agents.size();
  if (document.unsupported_at != kNoPlace) {
    const Place place = source_.At(document.unsupported_at);
    compiled.unsupported_work =
        Problem{place.line, place.column, false, "unsupported", document.unsupported};
  }
  if (document.too_large) {
    compiled.problems = problems_.TakeSorted(source_);
    return compiled;
  }
  References references(reader, document);
  CompiledTexts texts = CompileTexts(reader, document, references, !options_.check_only);
  CheckStageCycles(document, source_, problems_);
  const std::uint32_t chosen = ChooseWorkflow(document, options_.workflow, problems_);
  const Order order(document, chosen);
  compiled.edges = CountEdges(document, chosen);
  std::vector<bool> checked(document.tasks.size(), false);
  if (CheckCycles(order, document, chosen, source_, problems_)) {
    CheckUpstream(order, document, references.uses(), checked, problems_);
  }
  CheckOtherWorkflows(document, chosen, references.uses(), checked);
  compiled.ok = !problems_.has_errors();
  if (compiled.ok && !options_.check_only) {
    compiled.plan = BuildPlan(document, order, chosen, std::move(texts));
  }
  compiled.problems = problems_.TakeSorted(source_);
  return compiled;
}

void Compiler::CheckOtherWorkflows(const Document& document, std::uint32_t chosen,
                                   const std::vector<References::Use>& uses,
                                   std::vector<bool>& checked) {
  std::size_t spent = 0;
  for (std::uint32_t i = 0; i < document.workflows.size() && spent < kOtherOrdersMax; ++i) {
    if (i == chosen) continue;
    const Order order(document, i);
    if (CheckCycles(order, document, i, source_, problems_)) {
      CheckUpstream(order, document, uses, checked, problems_);
    }
    spent += order.nodes();
    for (std::uint32_t node = 0; node < order.nodes(); ++node) spent += order.Needs(node).size();
  }
}

}  // namespace

Compiled CompileWorkflow(std::string_view text, const CompileOptions& options) {
  const Source source(text);
  if (const std::optional<BadText> bad = CheckText(text)) {
    Problems problems;
    problems.Error(bad->at, bad->code, bad->message);
    Compiled compiled;
    compiled.problems = problems.TakeSorted(source);
    return compiled;
  }
  return Compiler(source, options).Compile();
}

}  // namespace troupe
