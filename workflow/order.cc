#include "workflow/order.h"

#include <algorithm>
#include <unordered_set>

namespace troupe {

Order::Order(const Document& document, std::uint32_t workflow)
    : document_(document), tasks_(static_cast<std::uint32_t>(document.tasks.size())) {
  if (workflow != kNone) workflow_ = &document.workflows[workflow];
  stage_of_.assign(tasks_, kNone);
  start_of_.resize(tasks_);
  if (workflow_ != nullptr) {
    for (std::uint32_t i = 0; i < workflow_->stages.size(); ++i) AddGate(i, kNone);
  }
  for (std::uint32_t i = 0; i < tasks_; ++i) {
    start_of_[i] = document.tasks[i].kind == TaskKind::Parent ? AddGate(kNone, i) : i;
  }
  for (std::uint32_t i = 0; i < tasks_; ++i) AddTask(i);
  if (workflow_ != nullptr) AddStages();
  SortEdges();
  FindWhatRuns();
}

// The node of the new gate.
std::uint32_t Order::AddGate(std::uint32_t stage, std::uint32_t parent) {
  gate_stage_.push_back(stage);
  gate_parent_.push_back(parent);
  return tasks_ + gates() - 1;
}

void Order::AddTask(std::uint32_t index) {
  const TaskDoc& task = document_.tasks[index];
  const std::uint32_t start = start_of_[index];
  if (task.parent != kNone) {
    Add(task.parent, index, task.at, Cause::Subtask);
    Add(start, start_of_[task.parent], task.at, Cause::Parent);
  }
  for (const Named& need : task.depends_on) {
    if (need.index != kNone) Add(start, need.index, need.at, Cause::DependsOn);
  }
  if (!task.condition) return;
  for (const Ask& ask : task.condition->asks) Add(start, ask.task, ask.at, Cause::Condition);
}

void Order::AddStages() {
  const std::vector<StageDoc>& stages = workflow_->stages;
  for (std::uint32_t i = 0; i < stages.size(); ++i) {
    const StageDoc& stage = stages[i];
    std::vector<std::uint32_t> members;
    for (const StageEntry& entry : stage.tasks) {
      if (entry.index == kNone) continue;
      std::fill(stage_of_.begin() + entry.index,
                stage_of_.begin() + document_.tasks[entry.index].end, i);
      members.push_back(entry.index);
      AddOfStage(tasks_ + i, entry.index, entry.task.at, i);
    }
    const auto wait_for_stages = [&](std::uint32_t node) {
      for (std::size_t j = 0; j < stage.after.size(); ++j) {
        AddOfStage(node, tasks_ + stage.after[j], stage.after_at[j], i);
      }
    };
    if (members.empty()) {
      wait_for_stages(tasks_ + i);
    } else if (members.size() > 1 && stage.after.size() > 1) {
      const std::uint32_t entry = AddGate(kNone, kNone);
      wait_for_stages(entry);
      for (std::uint32_t task : members) {
        AddOfStage(start_of_[task], entry, stage.after_at[0], i);
      }
    } else {
      for (std::uint32_t task : members) wait_for_stages(start_of_[task]);
    }
    if (!stage.parallel) AddGroups(i);
  }
}

void Order::AddGroups(std::uint32_t stage) {
  const std::vector<StageEntry>& entries = workflow_->stages[stage].tasks;
  std::vector<std::uint32_t> before;
  for (const std::vector<std::size_t>& group : GroupsOf(workflow_->stages[stage], document_)) {
    std::vector<std::uint32_t> members;
    std::vector<std::size_t> waiting;  // Entries of the group that wait for the one before.
    for (std::size_t i : group) {
      members.push_back(entries[i].index);
      if (document_.tasks[entries[i].index].depends_on.empty()) waiting.push_back(i);
    }
    AddGroupEdges(stage, before, waiting);
    before = std::move(members);
  }
}

void Order::AddGroupEdges(std::uint32_t stage, const std::vector<std::uint32_t>& group,
                          const std::vector<std::size_t>& waiting) {
  if (group.empty() || waiting.empty()) return;
  const std::vector<StageEntry>& entries = workflow_->stages[stage].tasks;
  if (group.size() > 1 && waiting.size() > 1) {
    const std::uint32_t gate = AddGate(kNone, kNone);
    for (std::uint32_t task : group) AddOfStage(gate, task, entries[waiting[0]].task.at, stage);
    for (std::size_t i : waiting) {
      AddOfStage(start_of_[entries[i].index], gate, entries[i].task.at, stage);
    }
    return;
  }
  for (std::size_t i : waiting) {
    for (std::uint32_t task : group) {
      AddOfStage(start_of_[entries[i].index], task, entries[i].task.at, stage);
    }
  }
}

void Order::FindWhatRuns() {
  runs_.assign(nodes(), false);
  std::vector<std::uint32_t> todo;
  const auto run = [&](std::uint32_t node) {
    if (runs_[node]) return;
    runs_[node] = true;
    todo.push_back(node);
  };
  for (std::uint32_t i = 0; i < gates(); ++i) {
    if (gate_stage_[i] != kNone) run(tasks_ + i);
  }
  for (std::uint32_t i = 0; i < tasks_; i = document_.tasks[i].end) {
    if (stage_of_[i] != kNone || !document_.staged[i]) run(i);
  }
  while (!todo.empty()) {
    const std::uint32_t node = todo.back();
    todo.pop_back();
    for (const Edge& edge : Needs(node)) run(edge.needs);
  }
  // A parent of which only some subtasks are needed.
  for (std::uint32_t i = 0; i < gates(); ++i) {
    if (gate_parent_[i] != kNone && runs_[tasks_ + i]) runs_[gate_parent_[i]] = true;
  }
}

// Groups the edges by node, in the order in which they were added.
void Order::SortEdges() {
  first_.assign(nodes() + 1, 0);
  for (const Edge& edge : edges_) ++first_[edge.node + 1];
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  std::vector<Edge> sorted(edges_.size());
  std::vector<std::size_t> next(first_.begin(), first_.end() - 1);
  for (const Edge& edge : edges_) sorted[next[edge.node]++] = edge;
  edges_ = std::move(sorted);
}

std::vector<std::vector<std::size_t>> GroupsOf(const StageDoc& stage, const Document& document) {
  std::vector<std::vector<std::size_t>> groups;
  std::unordered_set<std::uint32_t> group;
  std::unordered_set<std::uint32_t> named;  // By a task of the group.
  for (std::size_t i = 0; i < stage.tasks.size(); ++i) {
    const std::uint32_t index = stage.tasks[i].index;
    if (index == kNone) continue;
    const TaskDoc& task = document.tasks[index];
    const bool joins =
        named.count(index) > 0 ||
        std::any_of(task.parallel_with.begin(), task.parallel_with.end(),
                    [&](const Named& other) { return group.count(other.index) > 0; });
    if (!joins) {
      groups.emplace_back();
      group.clear();
      named.clear();
    }
    group.insert(index);
    for (const Named& other : task.parallel_with) named.insert(other.index);
    groups.back().push_back(i);
  }
  return groups;
}

}  // namespace troupe
