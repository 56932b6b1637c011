// The graph of a plan, for people and for drawing programs.
#include <fmt/format.h>

#include <algorithm>

#include "workflow/compile.h"
#include "workflow/source.h"

namespace troupe {
namespace {

constexpr std::size_t kNameWidthMax = 40;
constexpr std::size_t kNamesShown = 4;

std::string Count(std::size_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Who does a task: `agent fast, then careful`, `command`, `script (python3)`.
std::string Runner(const Plan& plan, const PlannedTask& task) {
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
      return fmt::format("parent of {}", Count(task.subtasks.size(), "subtask"));
    case TaskKind::Unsupported:
      text = "not supported";
      break;
  }
  for (std::uint32_t agent : task.rules->fallback_agents) {
    text += ", then " + plan.agents[agent].name;
  }
  return text;
}

// `a, b, c, d and 3 more`
std::string Names(const Plan& plan, const std::vector<Dependency>& tasks) {
  std::string text;
  std::size_t shown = 0;
  for (const Dependency& need : tasks) {
    if (need.on != Dependency::On::Task) continue;
    if (++shown > kNamesShown) continue;
    if (shown > 1) text += ", ";
    text += plan.tasks[need.index].id;
  }
  if (shown > kNamesShown) text += fmt::format(" and {} more", shown - kNamesShown);
  return text;
}

// What a task waits for, without the stages its own stage waits for: those stand in the heading.
std::string After(const Plan& plan, const PlannedTask& task) {
  std::string text = Names(plan, task.needs);
  for (const Dependency& need : task.needs) {
    if (need.on != Dependency::On::Gate || plan.gates[need.index].stage != kNone) continue;
    const std::string group = Names(plan, plan.gates[need.index].needs);
    if (!group.empty()) text += (text.empty() ? "" : ", ") + group;
  }
  return text;
}

// The step of each task, from 1: one more than that of the last thing it waits for.
std::vector<std::uint32_t> Steps(const Plan& plan) {
  std::vector<std::uint32_t> task_step(plan.tasks.size(), 0);
  std::vector<std::uint32_t> gate_step(plan.gates.size(), 0);
  std::vector<bool> gate_known(plan.gates.size(), false);
  const auto latest = [&](const std::vector<Dependency>& needs) {
    std::uint32_t step = 0;
    for (const Dependency& need : needs) {
      step = std::max(
          step, need.on == Dependency::On::Task ? task_step[need.index] : gate_step[need.index]);
    }
    return step;
  };
  // In start order all tasks a gate waits for come before those that wait for it.
  std::vector<std::uint32_t> todo;
  for (std::uint32_t task : StartOrder(plan)) {
    for (const Dependency& need : plan.tasks[task].needs) {
      if (need.on == Dependency::On::Gate) todo.push_back(need.index);
    }
    while (!todo.empty()) {
      const std::uint32_t gate = todo.back();
      if (gate_known[gate]) {
        todo.pop_back();
        continue;
      }
      bool ready = true;
      for (const Dependency& need : plan.gates[gate].needs) {
        if (need.on != Dependency::On::Gate || gate_known[need.index]) continue;
        todo.push_back(need.index);
        ready = false;
      }
      if (!ready) continue;
      gate_step[gate] = latest(plan.gates[gate].needs);
      gate_known[gate] = true;
      todo.pop_back();
    }
    task_step[task] = latest(plan.tasks[task].needs) + 1;
  }
  return task_step;
}

class TextDrawing {
 public:
  explicit TextDrawing(const Plan& plan) : plan_(plan), step_(Steps(plan)) {}

  std::string Draw();

 private:
  void AddTasks(std::vector<std::uint32_t> tasks);
  static std::string Padded(const std::string& text, std::size_t width) {
    const std::size_t length = DecodeUtf8(text).size();
    return text + std::string(length < width ? width - length : 0, ' ');
  }

  const Plan& plan_;
  std::vector<std::uint32_t> step_;
  std::size_t name_width_ = 0;
  std::size_t runner_width_ = 0;
  std::string text_;
};

std::string TextDrawing::Draw() {
  for (const PlannedTask& task : plan_.tasks) {
    name_width_ = std::max(name_width_, std::min(DecodeUtf8(task.id).size(), kNameWidthMax));
    runner_width_ =
        std::max(runner_width_, std::min(DecodeUtf8(Runner(plan_, task)).size(), kNameWidthMax));
  }
  text_ = plan_.name;
  if (!plan_.workflow.empty()) text_ += fmt::format(", workflow {}", plan_.workflow);
  text_ += ": " + Count(plan_.tasks.size(), "task");
  if (!plan_.stages.empty()) text_ += " in " + Count(plan_.stages.size(), "stage");
  text_ += "\nTasks with the same number can run at the same time.\n";
  for (const Stage& stage : plan_.stages) {
    text_ += fmt::format("\nstage {}", stage.name);
    for (std::size_t i = 0; i < stage.after.size(); ++i) {
      text_ += fmt::format("{}{}", i == 0 ? ", after " : ", ", plan_.stages[stage.after[i]].name);
    }
    text_ += stage.tasks.empty() ? ": no tasks\n" : "\n";
    AddTasks(stage.tasks);
  }
  std::vector<std::uint32_t> others;
  for (std::uint32_t i = 0; i < plan_.tasks.size(); ++i) {
    if (plan_.tasks[i].stage == kNone) others.push_back(i);
  }
  if (!others.empty()) text_ += plan_.stages.empty() ? "\n" : "\nin no stage\n";
  AddTasks(std::move(others));
  return std::move(text_);
}

void TextDrawing::AddTasks(std::vector<std::uint32_t> tasks) {
  std::stable_sort(tasks.begin(), tasks.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return step_[a] < step_[b]; });
  for (std::uint32_t i : tasks) {
    const PlannedTask& task = plan_.tasks[i];
    const std::string after = After(plan_, task);
    const std::string runner = Runner(plan_, task);
    text_ += fmt::format(
        "{:>4}  {}  {}\n", step_[i], Padded(task.id, name_width_),
        after.empty() ? runner : fmt::format("{}  after {}", Padded(runner, runner_width_), after));
  }
}

std::string DotString(const std::string& text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string MermaidString(const std::string& text) {
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? std::string("#quot;") : std::string(1, c);
  return quoted + "\"";
}

// Dot and mermaid differ in how a node, a box around nodes and an edge are written.
class Drawing {
 public:
  Drawing(const Plan& plan, bool dot) : plan_(plan), dot_(dot) {}

  std::string Draw();

 private:
  void AddNode(std::uint32_t task, std::string_view indent);
  // Without tasks of a stage whose gate is among the needs too.
  std::vector<Dependency> WithoutImplied(const std::vector<Dependency>& needs) const;
  void AddEdges(const std::vector<Dependency>& needs, const std::string& to);
  static std::string NameOf(const Dependency& need) {
    return fmt::format("{}{}", need.on == Dependency::On::Task ? 't' : 'g', need.index);
  }

  const Plan& plan_;
  const bool dot_;
  std::string text_;
};

std::string Drawing::Draw() {
  text_ = dot_ ? fmt::format("digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=rounded];\n",
                             DotString(plan_.name))
               : "flowchart LR\n";
  for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
    const Stage& stage = plan_.stages[i];
    if (stage.tasks.empty()) continue;
    text_ +=
        dot_ ? fmt::format("  subgraph cluster_{} {{\n    label={};\n", i, DotString(stage.name))
             : fmt::format("  subgraph s{}[{}]\n", i, MermaidString(stage.name));
    for (std::uint32_t task : stage.tasks) AddNode(task, "    ");
    text_ += dot_ ? "  }\n" : "  end\n";
  }
  for (std::uint32_t i = 0; i < plan_.tasks.size(); ++i) {
    if (plan_.tasks[i].stage == kNone) AddNode(i, "  ");
  }
  // Gates that something waits for are points between the many and the many.
  std::vector<bool> used(plan_.gates.size(), false);
  const auto use = [&](const std::vector<Dependency>& needs) {
    for (const Dependency& need : needs) {
      if (need.on == Dependency::On::Gate) used[need.index] = true;
    }
  };
  for (const PlannedTask& task : plan_.tasks) use(task.needs);
  for (const Gate& gate : plan_.gates) use(gate.needs);
  for (std::uint32_t i = 0; i < plan_.gates.size(); ++i) {
    if (!used[i]) continue;
    text_ += fmt::format(fmt::runtime(dot_ ? "  g{} [shape=point];\n" : "  g{}(( ))\n"), i);
    AddEdges(plan_.gates[i].needs, fmt::format("g{}", i));
  }
  for (std::uint32_t i = 0; i < plan_.tasks.size(); ++i) {
    AddEdges(WithoutImplied(plan_.tasks[i].needs), fmt::format("t{}", i));
  }
  if (dot_) text_ += "}\n";
  return std::move(text_);
}

void Drawing::AddNode(std::uint32_t task, std::string_view indent) {
  const std::string& id = plan_.tasks[task].id;
  text_ += dot_ ? fmt::format("{}t{} [label={}];\n", indent, task, DotString(id))
                : fmt::format("{}t{}[{}]\n", indent, task, MermaidString(id));
}

std::vector<Dependency> Drawing::WithoutImplied(const std::vector<Dependency>& needs) const {
  std::vector<Dependency> kept;
  for (const Dependency& need : needs) {
    const std::uint32_t stage =
        need.on == Dependency::On::Task ? plan_.tasks[need.index].stage : kNone;
    // Needs are sorted.
    const bool implied = stage != kNone && std::binary_search(needs.begin(), needs.end(),
                                                              Dependency{Dependency::On::Gate,
                                                                         plan_.stages[stage].gate});
    if (!implied) kept.push_back(need);
  }
  return kept;
}

void Drawing::AddEdges(const std::vector<Dependency>& needs, const std::string& to) {
  for (const Dependency& need : needs) {
    text_ += fmt::format("  {} {} {}{}\n", NameOf(need), dot_ ? "->" : "-->", to, dot_ ? ";" : "");
  }
}

}  // namespace

std::string DrawGraph(const Plan& plan, GraphFormat format) {
  switch (format) {
    case GraphFormat::Text:
      return TextDrawing(plan).Draw();
    case GraphFormat::Dot:
      return Drawing(plan, true).Draw();
    case GraphFormat::Mermaid:
      return Drawing(plan, false).Draw();
  }
  return "";
}

}  // namespace troupe
