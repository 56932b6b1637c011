// The graph of a plan for dot and mermaid: stages and parents are boxes around their tasks.
#include <fmt/format.h>

#include <algorithm>

#include "workflow/draw.h"

namespace troupe {
namespace {

// A label of some lines, quoted.
std::string DotString(const std::string& text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return quoted + "\"";
}

std::string MermaidString(const std::string& text) {
  std::string quoted = "\"";
  for (char c : text) {
    switch (c) {
      case '"':
        quoted += "#quot;";
        break;
      case '<':
        quoted += "#lt;";
        break;
      case '>':
        quoted += "#gt;";
        break;
      case '\n':
        quoted += "<br/>";
        break;
      default:
        quoted += c;
    }
  }
  return quoted + "\"";
}

// Dot and mermaid differ in how a node, a box around nodes and an edge are written.
class Drawing {
 public:
  Drawing(const Plan& plan, BoxFormat format) : plan_(plan), dot_(format == BoxFormat::Dot) {}

  std::string Draw();

 private:
  void FindPoints();
  void OpenBox(const std::string& name, const std::string& label, const std::string& indent);
  void CloseBox(const std::string& indent) { text_ += indent + (dot_ ? "}\n" : "end\n"); }
  void AddTask(std::uint32_t task, const std::string& indent);
  void AddPoint(const std::string& name, const std::string& indent);
  bool IsEmpty(std::uint32_t gate) const;
  void AddEdges(const std::vector<Dependency>& needs, const std::string& to,
                const std::vector<std::uint32_t>& asks);
  std::vector<Dependency> Drawn(const std::vector<Dependency>& needs,
                                const std::vector<std::uint32_t>& asks) const;
  std::string Label(const PlannedTask& task) const;
  static std::string NameOf(const Dependency& need) {
    return fmt::format("{}{}", need.on == Dependency::On::Task ? 't' : 'g', need.index);
  }

  const Plan& plan_;
  const bool dot_;
  std::vector<bool> gate_used_;    // Something that is drawn waits for it.
  std::vector<bool> parent_used_;  // By task.
  std::string text_;
};

std::string Drawing::Draw() {
  FindPoints();
  text_ = dot_ ? fmt::format("digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=rounded];\n",
                             DotString(plan_.name))
               : "flowchart LR\n";
  for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
    const Stage& stage = plan_.stages[i];
    if (stage.tasks.empty()) continue;
    OpenBox(fmt::format("s{}", i), stage.name, "  ");
    for (std::uint32_t task : stage.tasks) AddTask(task, "    ");
    CloseBox("  ");
  }
  for (std::uint32_t i = 0; i < plan_.tasks.size(); ++i) {
    if (plan_.tasks[i].stage == kNone && plan_.tasks[i].parent == kNone) AddTask(i, "  ");
  }
  for (std::uint32_t i = 0; i < plan_.gates.size(); ++i) {
    if (!gate_used_[i]) continue;
    const std::uint32_t parent = plan_.gates[i].parent;
    if (parent == kNone) AddPoint(fmt::format("g{}", i), "  ");
    AddEdges(plan_.gates[i].needs, fmt::format("g{}", i),
             parent == kNone ? std::vector<std::uint32_t>() : plan_.tasks[parent].extra->asks);
  }
  for (std::uint32_t i = 0; i < plan_.tasks.size(); ++i) {
    const PlannedTask& task = plan_.tasks[i];
    if (task.kind == TaskKind::Parent && !parent_used_[i]) continue;
    AddEdges(task.needs, fmt::format("t{}", i),
             task.kind == TaskKind::Parent ? std::vector<std::uint32_t>() : task.extra->asks);
  }
  if (dot_) text_ += "}\n";
  return std::move(text_);
}

// Gates and the ends of parents that something waits for are points between the many and the many.
void Drawing::FindPoints() {
  gate_used_.assign(plan_.gates.size(), false);
  parent_used_.assign(plan_.tasks.size(), false);
  std::vector<Dependency> todo;
  const auto use = [&](const std::vector<Dependency>& needs) {
    for (const Dependency& need : needs) {
      if (need.on == Dependency::On::Gate) {
        if (gate_used_[need.index] || IsEmpty(need.index)) continue;
        gate_used_[need.index] = true;
        todo.push_back(need);
      } else if (plan_.tasks[need.index].kind == TaskKind::Parent && !parent_used_[need.index]) {
        parent_used_[need.index] = true;
        todo.push_back(need);
      }
    }
  };
  for (const PlannedTask& task : plan_.tasks) {
    if (task.kind != TaskKind::Parent) use(task.needs);
  }
  while (!todo.empty()) {
    const Dependency next = todo.back();
    todo.pop_back();
    use(next.on == Dependency::On::Gate ? plan_.gates[next.index].needs
                                        : plan_.tasks[next.index].needs);
  }
}

// Whether a parent waits for nothing, nor does what encloses it.
bool Drawing::IsEmpty(std::uint32_t gate) const {
  while (plan_.gates[gate].parent != kNone) {
    const std::vector<Dependency>& needs = plan_.gates[gate].needs;
    if (needs.empty()) return true;
    if (needs.size() > 1 || needs[0].on != Dependency::On::Gate) return false;
    gate = needs[0].index;
  }
  return false;
}

void Drawing::OpenBox(const std::string& name, const std::string& label,
                      const std::string& indent) {
  text_ += dot_ ? fmt::format("{0}subgraph cluster_{1} {{\n{0}  label={2};\n", indent, name,
                              DotString(label))
                : fmt::format("{}subgraph {}[{}]\n", indent, name, MermaidString(label));
}

void Drawing::AddPoint(const std::string& name, const std::string& indent) {
  text_ += fmt::format(fmt::runtime(dot_ ? "{}{} [shape=point];\n" : "{}{}(( ))\n"), indent, name);
}

// The id, and what makes the task a special one.
std::string Drawing::Label(const PlannedTask& task) const {
  std::string label = task.id;
  if (task.extra->loop != nullptr) label += "\n" + LoopWords(*task.extra->loop);
  if (task.extra->condition != nullptr)
    label += "\nif " + ConditionWords(plan_, *task.extra->condition);
  return label;
}

// As deep as subtasks are nested.
void Drawing::AddTask(std::uint32_t index, const std::string& indent) {
  const PlannedTask& task = plan_.tasks[index];
  if (task.kind == TaskKind::Parent) {
    OpenBox(fmt::format("p{}", index), Label(task), indent);
    if (gate_used_[task.extra->gate]) AddPoint(fmt::format("g{}", task.extra->gate), indent + "  ");
    for (std::uint32_t subtask : task.extra->subtasks) AddTask(subtask, indent + "  ");
    if (parent_used_[index]) AddPoint(fmt::format("t{}", index), indent + "  ");
    CloseBox(indent);
    return;
  }
  if (dot_) {
    text_ += fmt::format("{}t{} [label={}{}{}];\n", indent, index, DotString(Label(task)),
                         task.extra->loop != nullptr ? ", peripheries=2" : "",
                         task.extra->condition != nullptr ? ", style=\"rounded,dashed\"" : "");
    return;
  }
  // A loop has double sides, a condition makes a hexagon.
  const char* shape = task.extra->loop != nullptr        ? "{}t{}[[{}]]\n"
                      : task.extra->condition != nullptr ? "{}t{}{{{{{}}}}}\n"
                                                         : "{}t{}[{}]\n";
  text_ += fmt::format(fmt::runtime(shape), indent, index, MermaidString(Label(task)));
}

// Without gates that are not drawn, and without tasks of a stage whose gate is among the needs too,
// unless a condition asks about them.
std::vector<Dependency> Drawing::Drawn(const std::vector<Dependency>& needs,
                                       const std::vector<std::uint32_t>& asks) const {
  std::vector<Dependency> kept;
  for (const Dependency& need : needs) {
    if (need.on == Dependency::On::Gate && !gate_used_[need.index]) continue;
    const std::uint32_t stage =
        need.on == Dependency::On::Task ? plan_.tasks[need.index].stage : kNone;
    // Needs and asks are sorted.
    const bool implied =
        stage != kNone && !std::binary_search(asks.begin(), asks.end(), need.index) &&
        std::binary_search(needs.begin(), needs.end(),
                           Dependency{Dependency::On::Gate, plan_.stages[stage].gate});
    if (!implied) kept.push_back(need);
  }
  return kept;
}

void Drawing::AddEdges(const std::vector<Dependency>& needs, const std::string& to,
                       const std::vector<std::uint32_t>& asks) {
  for (const Dependency& need : Drawn(needs, asks)) {
    const bool asked =
        need.on == Dependency::On::Task && std::binary_search(asks.begin(), asks.end(), need.index);
    if (dot_) {
      text_ += fmt::format("  {} -> {}{};\n", NameOf(need), to, asked ? " [style=dashed]" : "");
    } else {
      text_ += fmt::format("  {} {} {}\n", NameOf(need), asked ? "-.->" : "-->", to);
    }
  }
}

}  // namespace

std::string DrawBoxes(const Plan& plan, BoxFormat format) { return Drawing(plan, format).Draw(); }

}  // namespace troupe
