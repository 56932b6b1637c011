// Which tasks wait for which: counts down as things settle.
//
// Knows the plan's edges and nothing else: no states, no time. A thing that settles is *good*
// (completed, skipped, an open gate) or *bad* (failed, blocked, cancelled). What needs a bad thing
// is doomed at once, before the rest of what it needs has settled; but a task whose condition asks
// how others ended (PlannedTask::asks) is judged when all it needs has settled. Linear in the edges
// over the life of a run, and never recursive, so that long chains are harmless.
#pragma once

#include <cstdint>
#include <vector>

#include "workflow/plan.h"

namespace troupe {

class TaskGraph {
 public:
  // What became known; indexes into the plan. Each is reported once.
  struct Change {
    std::vector<std::uint32_t> ready = {};    // Tasks: all they need is good.
    std::vector<std::uint32_t> judged = {};   // Tasks that ask: all they need has settled.
    std::vector<std::uint32_t> doomed = {};   // Tasks that cannot run any more.
    std::vector<std::uint32_t> entered = {};  // Parents: all they need is good, or has settled if
                                              // they ask. Settle their gate.
    std::vector<std::uint32_t> joined = {};   // Parents: all their subtasks have settled.
    std::vector<std::uint32_t> met = {};      // Stages: all their gate needs has settled. Settle it
                                              // when the stage's hooks are done.
  };

  explicit TaskGraph(const Plan& plan);

  // What waits for nothing.
  void Roots(Change& change);
  // Once for each task and for each gate that is reported as entered or met.
  void SettleTask(std::uint32_t task, bool good, Change& change) { Settle(task, good, change); }
  // A stage's gate is good if all it needed is.
  void SettleStageGate(std::uint32_t gate, Change& change) {
    Settle(tasks_ + gate, nodes_[tasks_ + gate].bad == 0, change);
  }
  void SettleParentGate(std::uint32_t gate, bool good, Change& change) {
    Settle(tasks_ + gate, good, change);
  }

  // How many needs of the task have not settled; of a parent, those of its gate.
  std::uint32_t waits(std::uint32_t task) const;
  // Does the gate need something bad?
  bool IsBad(std::uint32_t gate) const { return nodes_[tasks_ + gate].bad > 0; }
  // Is something bad that the task (of a parent: its gate) needs, apart from what it asks about?
  bool BadBesidesAsked(std::uint32_t task) const;

 private:
  enum class Kind : std::uint8_t { Task, Asking, Parent, Gate, StageGate, ParentGate, AskingGate };
  struct Node {
    Kind kind = Kind::Task;
    bool told = false;        // Its dependents know that it is bad.
    bool settled = false;     //
    std::uint32_t open = 0;   // Needs that have not settled.
    std::uint32_t bad = 0;    // Needs that are known to be bad.
    std::uint32_t first = 0;  // Its dependents: dependents_[first .. next node's first).
  };

  std::uint32_t NodeOf(Dependency d) const {
    return d.on == Dependency::On::Task ? d.index : tasks_ + d.index;
  }
  const std::vector<Dependency>& NeedsOf(std::uint32_t node) const;
  std::uint32_t EntryOf(std::uint32_t task) const;
  void SetKinds();
  void Connect();
  void Settle(std::uint32_t node, bool good, Change& change);
  void Doom(std::uint32_t node, Change& change);
  void Complete(std::uint32_t node, Change& change);

  const Plan* plan_;  // Outlives it.
  std::uint32_t tasks_ = 0;
  std::vector<Node> nodes_;                // Tasks, then gates, then a sentinel.
  std::vector<std::uint32_t> dependents_;  // Nodes.
  // Work that is left of a call.
  std::vector<std::uint32_t> to_doom_;
  std::vector<std::pair<std::uint32_t, bool>> to_settle_;
};

}  // namespace troupe
