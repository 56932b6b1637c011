#include "workflow/order.h"

#include <algorithm>

namespace troupe {

Order::Order(const Document& document, std::uint32_t workflow)
    : document_(document), tasks_(static_cast<std::uint32_t>(document.tasks.size())) {
  if (workflow != kNone) workflow_ = &document.workflows[workflow];
  stage_of_.assign(tasks_, kNone);
  earlier_in_group_.assign(tasks_, 0);
  for (std::uint32_t i = 0; i < tasks_; ++i) {
    const TaskDoc& task = document.tasks[i];
    for (std::size_t j = 0; j < task.needs.size(); ++j) {
      if (task.needs[j] != kNone) Add(i, task.needs[j], task.depends_on[j].at, kNone);
    }
  }
  if (workflow_ != nullptr) AddStages();
  SortEdges();
  FindWhatRuns();
}

std::uint32_t Order::AddGate(std::uint32_t stage) {
  gate_stage_.push_back(stage);
  return tasks_ + gates() - 1;
}

void Order::AddStages() {
  const std::vector<StageDoc>& stages = workflow_->stages;
  for (std::uint32_t i = 0; i < stages.size(); ++i) AddGate(i);
  for (std::uint32_t i = 0; i < stages.size(); ++i) {
    const StageDoc& stage = stages[i];
    std::vector<std::uint32_t> members;
    for (const StageEntry& entry : stage.tasks) {
      if (entry.index == kNone) continue;
      stage_of_[entry.index] = i;
      members.push_back(entry.index);
      Add(tasks_ + i, entry.index, entry.task.at, i);
    }
    const auto wait_for_stages = [&](std::uint32_t node) {
      for (std::size_t j = 0; j < stage.after.size(); ++j) {
        Add(node, tasks_ + stage.after[j], stage.after_at[j], i);
      }
    };
    if (members.empty()) {
      wait_for_stages(tasks_ + i);
    } else if (members.size() > 1 && stage.after.size() > 1) {
      const std::uint32_t entry = AddGate(kNone);
      wait_for_stages(entry);
      for (std::uint32_t task : members) Add(task, entry, stage.after_at[0], i);
    } else {
      for (std::uint32_t task : members) wait_for_stages(task);
    }
    if (!stage.parallel) AddGroups(i);
  }
}

// Splits a sequential stage into groups; each waits for the one before.
void Order::AddGroups(std::uint32_t stage) {
  const std::vector<StageEntry>& entries = workflow_->stages[stage].tasks;
  std::unordered_set<std::uint32_t> group;
  std::unordered_set<std::uint32_t> named;  // By a task of the group.
  std::vector<std::uint32_t> members;
  std::vector<std::uint32_t> before;
  std::vector<std::size_t> waiting;  // Entries of the group that wait for the one before.
  const auto finish = [&] {
    AddGroupEdges(stage, before, waiting);
    before = std::move(members);
    members.clear();
    waiting.clear();
    group.clear();
    named.clear();
  };
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].index == kNone) continue;
    const TaskDoc& task = document_.tasks[entries[i].index];
    const bool joins = named.count(entries[i].index) > 0 ||
                       std::any_of(task.parallel.begin(), task.parallel.end(),
                                   [&](std::uint32_t other) { return group.count(other) > 0; });
    if (!joins) finish();
    group.insert(entries[i].index);
    named.insert(task.parallel.begin(), task.parallel.end());
    members.push_back(entries[i].index);
    if (task.depends_on.empty()) waiting.push_back(i);
  }
  finish();
}

void Order::AddGroupEdges(std::uint32_t stage, const std::vector<std::uint32_t>& group,
                          const std::vector<std::size_t>& waiting) {
  if (group.empty() || waiting.empty()) return;
  const std::vector<StageEntry>& entries = workflow_->stages[stage].tasks;
  for (std::size_t i : waiting) earlier_in_group_[entries[i].index] = group.size();
  if (group.size() > 1 && waiting.size() > 1) {
    const std::uint32_t gate = AddGate(kNone);
    for (std::uint32_t task : group) Add(gate, task, entries[waiting[0]].task.at, stage);
    for (std::size_t i : waiting) Add(entries[i].index, gate, entries[i].task.at, stage);
    return;
  }
  for (std::size_t i : waiting) {
    for (std::uint32_t task : group) Add(entries[i].index, task, entries[i].task.at, stage);
  }
}

void Order::FindWhatRuns() {
  std::vector<bool> in_some_stage(tasks_, false);
  for (const WorkflowDoc& workflow : document_.workflows) {
    for (const StageDoc& stage : workflow.stages) {
      for (const StageEntry& entry : stage.tasks) {
        if (entry.index != kNone) in_some_stage[entry.index] = true;
      }
    }
  }
  runs_.assign(tasks_, false);
  std::vector<std::uint32_t> todo;
  const auto run = [&](std::uint32_t task) {
    if (runs_[task]) return;
    runs_[task] = true;
    todo.push_back(task);
  };
  for (std::uint32_t i = 0; i < tasks_; ++i) {
    if (stage_of_[i] != kNone || !in_some_stage[i]) run(i);
  }
  while (!todo.empty()) {
    const std::uint32_t task = todo.back();
    todo.pop_back();
    // What gates need are tasks of stages, and they run anyway.
    for (std::uint32_t need : document_.tasks[task].needs) {
      if (need != kNone) run(need);
    }
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

std::size_t Order::CountEdges() const {
  std::size_t count = 0;
  std::vector<std::size_t> stage_tasks;
  if (workflow_ != nullptr) {
    for (const StageDoc& stage : workflow_->stages) {
      stage_tasks.push_back(static_cast<std::size_t>(
          std::count_if(stage.tasks.begin(), stage.tasks.end(),
                        [](const StageEntry& entry) { return entry.index != kNone; })));
    }
  }
  // Per stage, the tasks of all stages it depends on; and the last stage that asked.
  std::vector<std::size_t> before(stage_tasks.size(), 0);
  std::vector<std::unordered_set<std::uint32_t>> after(stage_tasks.size());
  for (std::size_t i = 0; i < stage_tasks.size(); ++i) {
    for (std::uint32_t stage : workflow_->stages[i].after) {
      before[i] += stage_tasks[stage];
      after[i].insert(stage);
    }
  }
  for (std::uint32_t i = 0; i < tasks_; ++i) {
    const std::uint32_t stage = stage_of_[i];
    std::vector<std::uint32_t> needs = document_.tasks[i].needs;
    std::sort(needs.begin(), needs.end());
    needs.erase(std::unique(needs.begin(), needs.end()), needs.end());
    for (std::uint32_t need : needs) {
      if (need == kNone) continue;
      const bool implied =
          stage != kNone && stage_of_[need] != kNone && after[stage].count(stage_of_[need]) > 0;
      if (!implied) ++count;
    }
    if (stage != kNone) count += before[stage];
    count += earlier_in_group_[i];
  }
  return count;
}

}  // namespace troupe
