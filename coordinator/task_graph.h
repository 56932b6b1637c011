// Which tasks wait for which: counts down as things settle.
//
// Knows the plan's edges and nothing else: no states, no time. Linear in the edges over the life of
// a run, and never recursive, so that long chains are harmless.
#pragma once

#include <cstdint>
#include <vector>

#include "workflow/plan.h"

namespace troupe {

class TaskGraph {
 public:
  // What a Pass() or Fail() set free or stopped; indexes into the plan.
  struct Change {
    std::vector<std::uint32_t> ready = {};    // Tasks whose last need was met.
    std::vector<std::uint32_t> blocked = {};  // Tasks that cannot run any more.
    std::vector<std::uint32_t> met = {};      // Stages whose gate has all it needs; Pass() it when
                                              // the stage's hooks are done.
  };

  explicit TaskGraph(const Plan& plan);

  // Tasks and stage gates that wait for nothing.
  Change Roots();
  // The task is completed or skipped; or the gate is open.
  Change Pass(Dependency node);
  // The task failed: what needs it is blocked, and what needs that. A task is reported once.
  Change Fail(std::uint32_t task);

  // How many needs of the task are not met.
  std::uint32_t waits(std::uint32_t task) const { return nodes_[task].waits; }

 private:
  struct Node {
    std::uint32_t waits = 0;
    bool blocked = false;
    std::uint32_t first = 0;  // Its dependents: dependents_[first .. next node's first).
  };

  std::uint32_t NodeOf(Dependency d) const {
    return d.on == Dependency::On::Task ? d.index : tasks_ + d.index;
  }
  void Met(std::uint32_t node, std::vector<std::uint32_t>& open, Change& change) const;

  std::uint32_t tasks_ = 0;
  std::vector<Node> nodes_;                // Tasks, then gates, then a sentinel.
  std::vector<std::uint32_t> dependents_;  // Nodes.
  std::vector<std::uint32_t> gate_stage_;  // Gate → stage or kNone.
};

}  // namespace troupe
