#include "coordinator/task_graph.h"

namespace troupe {

TaskGraph::TaskGraph(const Plan& plan) : tasks_(static_cast<std::uint32_t>(plan.tasks.size())) {
  nodes_.resize(plan.tasks.size() + plan.gates.size() + 1);
  for (const Gate& gate : plan.gates) gate_stage_.push_back(gate.stage);

  const auto needs_of = [&](std::uint32_t node) -> const std::vector<Dependency>& {
    return node < tasks_ ? plan.tasks[node].needs : plan.gates[node - tasks_].needs;
  };
  const auto count = static_cast<std::uint32_t>(nodes_.size() - 1);
  for (std::uint32_t n = 0; n < count; ++n) {
    nodes_[n].waits = static_cast<std::uint32_t>(needs_of(n).size());
    for (Dependency d : needs_of(n)) ++nodes_[NodeOf(d) + 1].first;
  }
  for (std::uint32_t n = 0; n < count; ++n) nodes_[n + 1].first += nodes_[n].first;
  dependents_.resize(nodes_[count].first);
  std::vector<std::uint32_t> next(count);
  for (std::uint32_t n = 0; n < count; ++n) next[n] = nodes_[n].first;
  for (std::uint32_t n = 0; n < count; ++n) {
    for (Dependency d : needs_of(n)) dependents_[next[NodeOf(d)]++] = n;
  }
}

// `node` has all it needs: a task is ready, a plain gate opens by itself.
void TaskGraph::Met(std::uint32_t node, std::vector<std::uint32_t>& open, Change& change) const {
  if (node < tasks_) {
    change.ready.push_back(node);
  } else if (const std::uint32_t stage = gate_stage_[node - tasks_]; stage != kNone) {
    change.met.push_back(stage);
  } else {
    open.push_back(node);
  }
}

TaskGraph::Change TaskGraph::Roots() {
  Change change;
  std::vector<std::uint32_t> open;
  for (std::uint32_t n = 0; n + 1 < nodes_.size(); ++n) {
    if (nodes_[n].waits == 0) Met(n, open, change);
  }
  for (std::uint32_t node : open) {
    Change more = Pass({Dependency::On::Gate, node - tasks_});
    change.ready.insert(change.ready.end(), more.ready.begin(), more.ready.end());
    change.met.insert(change.met.end(), more.met.begin(), more.met.end());
  }
  return change;
}

TaskGraph::Change TaskGraph::Pass(Dependency passed) {
  Change change;
  std::vector<std::uint32_t> open = {NodeOf(passed)};
  while (!open.empty()) {
    const std::uint32_t node = open.back();
    open.pop_back();
    for (std::uint32_t i = nodes_[node].first; i < nodes_[node + 1].first; ++i) {
      Node& dependent = nodes_[dependents_[i]];
      if (--dependent.waits == 0 && !dependent.blocked) Met(dependents_[i], open, change);
    }
  }
  return change;
}

TaskGraph::Change TaskGraph::Fail(std::uint32_t task) {
  Change change;
  std::vector<std::uint32_t> failed = {task};
  while (!failed.empty()) {
    const std::uint32_t node = failed.back();
    failed.pop_back();
    for (std::uint32_t i = nodes_[node].first; i < nodes_[node + 1].first; ++i) {
      Node& dependent = nodes_[dependents_[i]];
      if (dependent.blocked) continue;
      dependent.blocked = true;
      if (dependents_[i] < tasks_) change.blocked.push_back(dependents_[i]);
      failed.push_back(dependents_[i]);
    }
  }
  return change;
}

}  // namespace troupe
