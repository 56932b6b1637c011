// The graph of a plan as a list: stages, tasks in the order of their steps, subtasks below parents.
#include <fmt/format.h>

#include <algorithm>

#include "workflow/draw.h"
#include "workflow/source.h"

namespace troupe {
namespace {

constexpr std::size_t kNameWidthMax = 40;
constexpr std::size_t kNamesShown = 4;

// The names of tasks: `a, b, c, d and 3 more`.
class NameList {
 public:
  explicit NameList(const Plan& plan) : plan_(plan) {}

  // `needs` are sorted, tasks first.
  void Add(const std::vector<Dependency>& needs) {
    const auto end =
        std::lower_bound(needs.begin(), needs.end(), Dependency{Dependency::On::Gate, 0});
    for (auto need = needs.begin(); need != end && shown_ < kNamesShown; ++need) {
      if (++shown_ > 1) text_ += ", ";
      text_ += plan_.tasks[need->index].id;
    }
    count_ += static_cast<std::size_t>(end - needs.begin());
  }
  std::string Text() const {
    return count_ > kNamesShown ? fmt::format("{} and {} more", text_, count_ - kNamesShown)
                                : text_;
  }

 private:
  const Plan& plan_;
  std::string text_;
  std::size_t count_ = 0;
  std::size_t shown_ = 0;
};

// What a task waits for, without what its heading says: the stages its own stage waits for, and
// what its parent waits for.
std::string After(const Plan& plan, const PlannedTask& task) {
  const bool parent = task.kind == TaskKind::Parent;
  const std::vector<Dependency>& needs = parent ? plan.gates[task.extra->gate].needs : task.needs;
  NameList names(plan);
  names.Add(needs);
  for (const Dependency& need : needs) {
    if (need.on != Dependency::On::Gate) continue;
    const Gate& gate = plan.gates[need.index];
    if (gate.stage == kNone && gate.parent == kNone) names.Add(gate.needs);
  }
  return names.Text();
}

// The step of each task, from 1: one more than that of the last thing it waits for. A parent has
// that of its first subtask.
std::vector<std::uint32_t> Steps(const Plan& plan) {
  const auto tasks = static_cast<std::uint32_t>(plan.tasks.size());
  const auto nodes = tasks + static_cast<std::uint32_t>(plan.gates.size());
  const auto needs = [&](std::uint32_t node) -> const std::vector<Dependency>& {
    return node < tasks ? plan.tasks[node].needs : plan.gates[node - tasks].needs;
  };
  const auto node_of = [&](const Dependency& need) {
    return need.on == Dependency::On::Task ? need.index : tasks + need.index;
  };
  std::vector<std::vector<std::uint32_t>> waiting(nodes);
  std::vector<std::size_t> missing(nodes);
  std::vector<std::uint32_t> step(nodes, 0);
  std::vector<std::uint32_t> ready;
  for (std::uint32_t node = 0; node < nodes; ++node) {
    missing[node] = needs(node).size();
    if (missing[node] == 0) ready.push_back(node);
    for (const Dependency& need : needs(node)) waiting[node_of(need)].push_back(node);
  }
  while (!ready.empty()) {
    const std::uint32_t node = ready.back();
    ready.pop_back();
    for (const Dependency& need : needs(node)) {
      step[node] = std::max(step[node], step[node_of(need)]);
    }
    if (node < tasks && plan.tasks[node].kind != TaskKind::Parent) ++step[node];
    for (std::uint32_t other : waiting[node]) {
      if (--missing[other] == 0) ready.push_back(other);
    }
  }
  for (std::uint32_t i = 0; i < tasks; ++i) {
    if (plan.tasks[i].kind == TaskKind::Parent)
      step[i] = step[tasks + plan.tasks[i].extra->gate] + 1;
  }
  step.resize(tasks);
  return step;
}

std::string Padded(const std::string& text, std::size_t width) {
  const std::size_t length = DecodeUtf8(text).size();
  return text + std::string(length < width ? width - length : 0, ' ');
}

class TextDrawing {
 public:
  explicit TextDrawing(const Plan& plan) : plan_(plan), step_(Steps(plan)) {}

  std::string Draw();

 private:
  void AddTasks(std::vector<std::uint32_t> tasks, std::size_t depth);
  std::string Words(const PlannedTask& task) const;

  const Plan& plan_;
  std::vector<std::uint32_t> step_;
  std::size_t name_width_ = 0;
  std::size_t runner_width_ = 0;
  std::string text_;
};

std::string TextDrawing::Draw() {
  std::size_t count = 0;
  std::vector<std::size_t> depth(plan_.tasks.size(), 0);
  for (std::uint32_t i = 0; i < plan_.tasks.size(); ++i) {
    const PlannedTask& task = plan_.tasks[i];
    if (task.parent != kNone) depth[i] = depth[task.parent] + 1;
    if (task.kind != TaskKind::Parent) ++count;
    const auto shown = [](const std::string& text) {
      return std::min(DecodeUtf8(text).size(), kNameWidthMax);
    };
    name_width_ = std::max(name_width_, shown(task.id) + 2 * depth[i]);
    runner_width_ = std::max(runner_width_, shown(RunnerWords(plan_, task)));
  }
  text_ = plan_.name;
  if (!plan_.workflow.empty()) text_ += fmt::format(", workflow {}", plan_.workflow);
  text_ += ": " + Counted(count, "task");
  if (!plan_.stages.empty()) text_ += " in " + Counted(plan_.stages.size(), "stage");
  text_ += "\nTasks with the same number can run at the same time.\n";
  for (const Stage& stage : plan_.stages) {
    text_ += fmt::format("\nstage {}", stage.name);
    for (std::size_t i = 0; i < stage.after.size(); ++i) {
      text_ += fmt::format("{}{}", i == 0 ? ", after " : ", ", plan_.stages[stage.after[i]].name);
    }
    text_ += stage.tasks.empty() ? ": no tasks\n" : "\n";
    AddTasks(stage.tasks, 0);
  }
  std::vector<std::uint32_t> others;
  for (std::uint32_t i = 0; i < plan_.tasks.size(); ++i) {
    if (plan_.tasks[i].stage == kNone && plan_.tasks[i].parent == kNone) others.push_back(i);
  }
  if (!others.empty()) text_ += plan_.stages.empty() ? "\n" : "\nin no stage\n";
  AddTasks(std::move(others), 0);
  return std::move(text_);
}

// As deep as subtasks are nested.
void TextDrawing::AddTasks(std::vector<std::uint32_t> tasks, std::size_t depth) {
  std::stable_sort(tasks.begin(), tasks.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return step_[a] < step_[b]; });
  for (std::uint32_t i : tasks) {
    const PlannedTask& task = plan_.tasks[i];
    const bool parent = task.kind == TaskKind::Parent;
    text_ += fmt::format("{:>4}  {}{}  {}\n", parent ? "" : std::to_string(step_[i]),
                         std::string(2 * depth, ' '), Padded(task.id, name_width_ - 2 * depth),
                         Words(task));
    if (parent) AddTasks(task.extra->subtasks, depth + 1);
  }
}

// Who does it, after what, and if what holds.
std::string TextDrawing::Words(const PlannedTask& task) const {
  const std::string runner = RunnerWords(plan_, task);
  const std::string after = After(plan_, task);
  std::string more = after.empty() ? "" : "after " + after;
  if (task.extra->condition != nullptr) {
    more += (more.empty() ? "if " : ", if ") + ConditionWords(plan_, *task.extra->condition);
  }
  return more.empty() ? runner : fmt::format("{}  {}", Padded(runner, runner_width_), more);
}

}  // namespace

std::string DrawText(const Plan& plan) { return TextDrawing(plan).Draw(); }

}  // namespace troupe
