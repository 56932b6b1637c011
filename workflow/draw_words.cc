// What drawings of a graph say about tasks.
#include <fmt/format.h>

#include "workflow/compile.h"
#include "workflow/draw.h"
#include "workflow/problems.h"

namespace troupe {
namespace {

constexpr std::size_t kConditionBytesMax = 120;

std::string_view StatusWord(AskedStatus status) {
  constexpr std::string_view kWords[] = {"completed", "failed", "skipped", "pending", "running"};
  return kWords[static_cast<std::size_t>(status)];
}

// Adds words until there are more than are shown.
void Append(const Plan& plan, const Condition& condition, bool nested, std::string& text) {
  if (text.size() > kConditionBytesMax) return;
  switch (condition.op) {
    case Condition::Op::Always:
      text += "always";
      return;
    case Condition::Op::Never:
      text += "never";
      return;
    case Condition::Op::TaskStatus:
      text += fmt::format("{} {}", plan.tasks[condition.task].id, StatusWord(condition.status));
      return;
    case Condition::Op::StateEquals:
      text += fmt::format("{} = {}", condition.key, condition.value_json);
      return;
    case Condition::Op::StateExists:
      text += condition.key + " exists";
      return;
    case Condition::Op::Not:
      text += "not ";
      for (const Condition& part : condition.parts) Append(plan, part, true, text);
      return;
    case Condition::Op::And:
    case Condition::Op::Or:
      break;
  }
  const bool is_and = condition.op == Condition::Op::And;
  if (condition.parts.empty()) {
    text += is_and ? "always" : "never";
    return;
  }
  const bool brackets = nested && condition.parts.size() > 1;
  if (brackets) text += "(";
  for (std::size_t i = 0; i < condition.parts.size() && text.size() <= kConditionBytesMax; ++i) {
    if (i > 0) text += is_and ? " and " : " or ";
    Append(plan, condition.parts[i], true, text);
  }
  if (brackets) text += ")";
}

}  // namespace

std::string Counted(std::size_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string RunnerWords(const Plan& plan, const PlannedTask& task) {
  std::string text;
  switch (task.kind) {
    case TaskKind::Agent:
      text = "agent " + plan.agents[task.agent].name;
      break;
    case TaskKind::Command:
      text = "command";
      break;
    case TaskKind::Script: {
      const auto* interpreter = std::get_if<std::string>(&task.work->argv[0][0]);
      text = fmt::format("script ({})", interpreter == nullptr ? "" : *interpreter);
      break;
    }
    case TaskKind::Parent:
      return Counted(task.extra->subtasks.size(), "subtask");
    case TaskKind::Unsupported:
      text = "not supported";
      break;
  }
  for (std::uint32_t agent : task.rules->fallback_agents) {
    text += ", then " + plan.agents[agent].name;
  }
  if (task.extra->loop != nullptr) text += ", " + LoopWords(*task.extra->loop);
  return text;
}

std::string LoopWords(const Loop& loop) {
  std::string text = "for each " + loop.iterator;
  switch (loop.source) {
    case Loop::Source::Inline:
      text += fmt::format(" of {}", loop.items.size());
      break;
    case Loop::Source::Range:
      text += fmt::format(" of {}", RangeItems(loop));
      break;
    case Loop::Source::File:
      text += " of a file";
      break;
  }
  if (!loop.parallel) return text + ", one after another";
  if (loop.max_parallel != kNone) text += fmt::format(", {} at a time", loop.max_parallel);
  return text;
}

std::string ConditionWords(const Plan& plan, const Condition& condition) {
  std::string text;
  Append(plan, condition, false, text);
  return CutText(std::move(text), kConditionBytesMax);
}

std::string DrawGraph(const Plan& plan, GraphFormat format) {
  switch (format) {
    case GraphFormat::Text:
      return DrawText(plan);
    case GraphFormat::Dot:
      return DrawBoxes(plan, BoxFormat::Dot);
    case GraphFormat::Mermaid:
      return DrawBoxes(plan, BoxFormat::Mermaid);
  }
  return "";
}

}  // namespace troupe
