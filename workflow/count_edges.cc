// Counts dependencies without listing them.
//
// What can be depended on forms a tree: stages hold groups, groups hold tasks, parents hold
// subtasks. The dependencies of a task are its own and those of all that encloses it. So the tree
// is walked once; on the way down targets are marked, and taken back on the way up, while the
// number of tasks below marked targets is kept.
#include "workflow/order.h"

namespace troupe {
namespace {

class EdgeCounter {
 public:
  EdgeCounter(const Document& document, std::uint32_t workflow);

  std::size_t Count();

 private:
  struct Undo {
    std::uint32_t node = 0;
    std::size_t added = 0;
  };

  std::uint32_t AddNode(std::uint32_t parent) {
    parent_.push_back(parent);
    return static_cast<std::uint32_t>(parent_.size() - 1);
  }
  void AddStages();
  void CountLeaves();
  void Mark(std::uint32_t target);
  void TakeBack(std::size_t marks);
  void Walk(std::uint32_t task);
  void WalkStages();

  const Document& document_;
  const WorkflowDoc* workflow_ = nullptr;
  // Nodes are the tasks, then stages and groups.
  std::vector<std::uint32_t> parent_;
  std::vector<std::size_t> leaves_;  // Tasks that can run, below a node.
  std::vector<std::size_t> below_;   // Of them, those below marked nodes.
  std::vector<bool> marked_;
  std::vector<Undo> marks_;
  std::size_t covered_ = 0;  // Tasks below marked nodes, in all.
  std::size_t edges_ = 0;
  std::vector<bool> staged_;                                   // Tasks that stand in a stage.
  std::vector<std::uint32_t> stage_node_;                      // Of each stage.
  std::vector<std::vector<std::vector<std::size_t>>> groups_;  // Of each stage.
  std::vector<std::vector<std::uint32_t>> group_node_;
};

EdgeCounter::EdgeCounter(const Document& document, std::uint32_t workflow) : document_(document) {
  if (workflow != kNone) workflow_ = &document.workflows[workflow];
  for (const TaskDoc& task : document.tasks) AddNode(task.parent);
  staged_.assign(document.tasks.size(), false);
  if (workflow_ != nullptr) AddStages();
  CountLeaves();
  below_.assign(parent_.size(), 0);
  marked_.assign(parent_.size(), false);
}

void EdgeCounter::AddStages() {
  for (const StageDoc& stage : workflow_->stages) {
    const std::uint32_t node = AddNode(kNone);
    stage_node_.push_back(node);
    groups_.emplace_back();
    group_node_.emplace_back();
    if (stage.parallel) {
      for (const StageEntry& entry : stage.tasks) {
        if (entry.index == kNone) continue;
        parent_[entry.index] = node;
        staged_[entry.index] = true;
      }
      continue;
    }
    groups_.back() = GroupsOf(stage, document_);
    for (const std::vector<std::size_t>& group : groups_.back()) {
      group_node_.back().push_back(AddNode(node));
      for (std::size_t i : group) {
        parent_[stage.tasks[i].index] = group_node_.back().back();
        staged_[stage.tasks[i].index] = true;
      }
    }
  }
}

void EdgeCounter::CountLeaves() {
  leaves_.assign(parent_.size(), 0);
  for (std::uint32_t i = 0; i < document_.tasks.size(); ++i) {
    if (document_.tasks[i].kind == TaskKind::Parent) continue;
    for (std::uint32_t node = i; node != kNone; node = parent_[node]) ++leaves_[node];
  }
}

void EdgeCounter::Mark(std::uint32_t target) {
  for (std::uint32_t node = target; node != kNone; node = parent_[node]) {
    if (marked_[node]) return;
  }
  marked_[target] = true;
  const std::size_t added = leaves_[target] - below_[target];
  for (std::uint32_t node = target; node != kNone; node = parent_[node]) below_[node] += added;
  covered_ += added;
  marks_.push_back({target, added});
}

// Takes back all marks but the first `marks`.
void EdgeCounter::TakeBack(std::size_t marks) {
  while (marks_.size() > marks) {
    const Undo undo = marks_.back();
    marks_.pop_back();
    marked_[undo.node] = false;
    covered_ -= undo.added;
    for (std::uint32_t node = undo.node; node != kNone; node = parent_[node]) {
      below_[node] -= undo.added;
    }
  }
}

// As deep as subtasks are nested, which the nesting of the file bounds.
void EdgeCounter::Walk(std::uint32_t index) {
  const TaskDoc& task = document_.tasks[index];
  const std::size_t before = marks_.size();
  for (const Named& need : task.depends_on) {
    if (need.index != kNone) Mark(need.index);
  }
  if (task.condition) {
    for (const Ask& ask : task.condition->asks) Mark(ask.task);
  }
  if (task.kind == TaskKind::Parent) {
    for (std::uint32_t child = index + 1; child < task.end; child = document_.tasks[child].end) {
      Walk(child);
    }
  } else {
    edges_ += covered_;
  }
  TakeBack(before);
}

void EdgeCounter::WalkStages() {
  for (std::size_t i = 0; i < stage_node_.size(); ++i) {
    const StageDoc& stage = workflow_->stages[i];
    for (std::uint32_t other : stage.after) Mark(stage_node_[other]);
    if (stage.parallel) {
      for (const StageEntry& entry : stage.tasks) {
        if (entry.index != kNone) Walk(entry.index);
      }
    }
    for (std::size_t group = 0; group < groups_[i].size(); ++group) {
      const std::size_t before = marks_.size();
      for (std::size_t j : groups_[i][group]) {
        const std::uint32_t task = stage.tasks[j].index;
        if (!document_.tasks[task].depends_on.empty()) Walk(task);
      }
      if (group > 0) Mark(group_node_[i][group - 1]);
      for (std::size_t j : groups_[i][group]) {
        const std::uint32_t task = stage.tasks[j].index;
        if (document_.tasks[task].depends_on.empty()) Walk(task);
      }
      TakeBack(before);
    }
    TakeBack(0);
  }
}

std::size_t EdgeCounter::Count() {
  WalkStages();
  for (std::uint32_t i = 0; i < document_.tasks.size(); i = document_.tasks[i].end) {
    if (!staged_[i]) Walk(i);
  }
  return edges_;
}

}  // namespace

std::size_t CountEdges(const Document& document, std::uint32_t workflow) {
  return EdgeCounter(document, workflow).Count();
}

}  // namespace troupe
