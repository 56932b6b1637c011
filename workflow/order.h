// The order of tasks under one workflow: what runs, and what waits for what.
//
// Nodes are the document's tasks, then gates. A gate stands for many things at once, so that n
// tasks after m tasks cost n + m edges: a stage, a group of a sequential stage, or what the
// subtasks of a parent wait for. The node of a parent itself waits for its subtasks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "workflow/document.h"
#include "workflow/references.h"

namespace troupe {

class Order {
 public:
  // Where an edge comes from. Subtask: a parent waits for its subtasks. Parent: a subtask waits for
  // what its parent waits for.
  enum class Cause : std::uint8_t { DependsOn, Stage, Condition, Subtask, Parent };
  struct Edge {
    std::uint32_t node = 0;       // It waits
    std::uint32_t needs = 0;      // for this one,
    std::uint32_t at = kNoPlace;  // as is written here.
    std::uint32_t stage = kNone;  // Cause Stage: which one.
    Cause cause = Cause::DependsOn;
  };

  // `workflow`: an index into the document's, or kNone. With names resolved.
  Order(const Document& document, std::uint32_t workflow);

  std::uint32_t tasks() const { return tasks_; }
  std::uint32_t gates() const { return static_cast<std::uint32_t>(gate_stage_.size()); }
  // The stage or the parent whose gate it is, kNone for others.
  std::uint32_t GateStage(std::uint32_t gate) const { return gate_stage_[gate]; }
  std::uint32_t GateParent(std::uint32_t gate) const { return gate_parent_[gate]; }
  // Each stage's gate.
  std::uint32_t StageGate(std::uint32_t stage) const { return stage; }
  // The node that waits before a task starts: of a parent its gate, else the task.
  std::uint32_t StartOf(std::uint32_t task) const { return start_of_[task]; }
  // The stage of a task, kNone without one.
  std::uint32_t StageOf(std::uint32_t task) const { return stage_of_[task]; }
  // Tasks of stages, tasks in no workflow's stages, and what these depend on. If others depend on
  // some subtasks of a parent only, it runs with these alone.
  bool Runs(std::uint32_t task) const { return runs_[task]; }
  // Gates that something which runs waits for, and those of stages.
  bool GateRuns(std::uint32_t gate) const { return runs_[tasks_ + gate]; }
  std::span<const Edge> Needs(std::uint32_t node) const {
    return {edges_.data() + first_[node], first_[node + 1] - first_[node]};
  }
  std::uint32_t nodes() const { return tasks_ + gates(); }

 private:
  void AddTask(std::uint32_t task);
  void AddStages();
  void AddGroups(std::uint32_t stage);
  void AddGroupEdges(std::uint32_t stage, const std::vector<std::uint32_t>& group,
                     const std::vector<std::size_t>& waiting);
  std::uint32_t AddGate(std::uint32_t stage, std::uint32_t parent);
  void Add(std::uint32_t node, std::uint32_t needs, std::uint32_t at, Cause cause) {
    edges_.push_back({node, needs, at, kNone, cause});
  }
  void AddOfStage(std::uint32_t node, std::uint32_t needs, std::uint32_t at, std::uint32_t stage) {
    edges_.push_back({node, needs, at, stage, Cause::Stage});
  }
  void FindWhatRuns();
  void SortEdges();

  const Document& document_;
  const WorkflowDoc* workflow_ = nullptr;
  std::uint32_t tasks_ = 0;
  std::vector<std::uint32_t> gate_stage_;
  std::vector<std::uint32_t> gate_parent_;
  std::vector<std::uint32_t> stage_of_;
  std::vector<std::uint32_t> start_of_;
  std::vector<bool> runs_;  // By node.
  std::vector<Edge> edges_;
  std::vector<std::size_t> first_;
};

// The groups of a sequential stage, as positions in its list; each waits for the one before.
std::vector<std::vector<std::size_t>> GroupsOf(const StageDoc& stage, const Document& document);

// Distinct direct dependencies between tasks that can run (all but parents) under `workflow`: one
// on a parent is one on each of its subtasks, and what a parent depends on, each of its subtasks
// depends on.
std::size_t CountEdges(const Document& document, std::uint32_t workflow);

// Reports cycles among what runs; false if there are any.
bool CheckCycles(const Order& order, const Document& document, std::uint32_t workflow,
                 const Source& source, Problems& problems);
// Reports cycles among the stages of each workflow, and takes the edges of those stages away.
void CheckStageCycles(Document& document, const Source& source, Problems& problems);

// Reports references to tasks that are not upstream. Looks only at tasks that run and are not in
// `checked`, and adds them to it. There must be no cycles.
void CheckUpstream(const Order& order, const Document& document,
                   const std::vector<References::Use>& uses, std::vector<bool>& checked,
                   Problems& problems);

// Nodes in an order in which each comes after what it needs, if there are no cycles; and the
// strongly connected component of each.
struct Components {
  std::vector<std::uint32_t> order = {};
  std::vector<std::uint32_t> component = {};
  std::uint32_t count = 0;
};
Components FindComponents(const Order& order);

}  // namespace troupe
