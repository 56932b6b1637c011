#include "coordinator/task_graph.h"

#include <algorithm>
#include <utility>

#include "base/mutant.h"

namespace troupe {

TaskGraph::TaskGraph(const Plan& plan)
    : plan_(&plan), tasks_(static_cast<std::uint32_t>(plan.tasks.size())) {
  nodes_.resize(plan.tasks.size() + plan.gates.size() + 1);
  SetKinds();
  Connect();
}

void TaskGraph::SetKinds() {
  for (std::uint32_t i = 0; i < tasks_; ++i) {
    const PlannedTask& task = plan_->tasks[i];
    if (task.kind == TaskKind::Parent) {
      nodes_[i].kind = Kind::Parent;
    } else if (!task.extra->asks.empty()) {
      nodes_[i].kind = Kind::Asking;
    }
  }
  for (std::uint32_t i = 0; i < plan_->gates.size(); ++i) {
    const Gate& gate = plan_->gates[i];
    Kind kind = Kind::Gate;
    if (gate.stage != kNone) kind = Kind::StageGate;
    if (gate.parent != kNone) {
      kind = plan_->tasks[gate.parent].extra->asks.empty() ? Kind::ParentGate : Kind::AskingGate;
    }
    nodes_[tasks_ + i].kind = kind;
  }
}

// Turns "needs" around.
void TaskGraph::Connect() {
  const auto count = static_cast<std::uint32_t>(nodes_.size() - 1);
  for (std::uint32_t n = 0; n < count; ++n) {
    nodes_[n].open = static_cast<std::uint32_t>(NeedsOf(n).size());
    for (Dependency d : NeedsOf(n)) ++nodes_[NodeOf(d) + 1].first;
  }
  for (std::uint32_t n = 0; n < count; ++n) nodes_[n + 1].first += nodes_[n].first;
  dependents_.resize(nodes_[count].first);
  std::vector<std::uint32_t> next(count);
  for (std::uint32_t n = 0; n < count; ++n) next[n] = nodes_[n].first;
  for (std::uint32_t n = 0; n < count; ++n) {
    for (Dependency d : NeedsOf(n)) dependents_[next[NodeOf(d)]++] = n;
  }
}

const std::vector<Dependency>& TaskGraph::NeedsOf(std::uint32_t node) const {
  return node < tasks_ ? plan_->tasks[node].needs : plan_->gates[node - tasks_].needs;
}

// The node that says when a task may start.
std::uint32_t TaskGraph::EntryOf(std::uint32_t task) const {
  const PlannedTask& planned = plan_->tasks[task];
  return planned.kind == TaskKind::Parent ? tasks_ + planned.extra->gate : task;
}

std::uint32_t TaskGraph::waits(std::uint32_t task) const { return nodes_[EntryOf(task)].open; }

void TaskGraph::Roots(Change& change) {
  for (std::uint32_t n = 0; n + 1 < nodes_.size(); ++n) {
    if (nodes_[n].open == 0 && !nodes_[n].settled) Complete(n, change);
  }
  while (!to_settle_.empty()) {
    const auto [node, good] = to_settle_.back();
    to_settle_.pop_back();
    Settle(node, good, change);
  }
}

void TaskGraph::Settle(std::uint32_t settled, bool is_good, Change& change) {
  to_settle_.emplace_back(settled, is_good);
  while (!to_settle_.empty()) {
    const auto [node, good] = to_settle_.back();
    to_settle_.pop_back();
    if (nodes_[node].settled) continue;
    nodes_[node].settled = true;
    if (!good) Doom(node, change);
    for (std::uint32_t i = nodes_[node].first; i < nodes_[node + 1].first; ++i) {
      if (--nodes_[dependents_[i]].open == 0) Complete(dependents_[i], change);
    }
  }
}

// `bad` is bad, or will be: what needs it knows at once, and what needs that.
void TaskGraph::Doom(std::uint32_t bad, Change& change) {
  to_doom_.push_back(bad);
  while (!to_doom_.empty()) {
    const std::uint32_t node = to_doom_.back();
    to_doom_.pop_back();
    if (nodes_[node].told) continue;
    nodes_[node].told = true;
    for (std::uint32_t i = nodes_[node].first; i < nodes_[node + 1].first; ++i) {
      const std::uint32_t dependent = dependents_[i];
      if (nodes_[dependent].bad++ > 0) continue;
      switch (nodes_[dependent].kind) {
        case Kind::Task:
          if (Mutant(Defect::DependenciesIgnored)) break;
          change.doomed.push_back(dependent);  // It will be settled, and then doom others.
          break;
        case Kind::Asking:
        case Kind::AskingGate:
          break;  // Judged when all has settled.
        case Kind::Parent:
        case Kind::Gate:
        case Kind::StageGate:
        case Kind::ParentGate:
          to_doom_.push_back(dependent);
          break;
      }
    }
  }
}

// All that `node` needs has settled.
void TaskGraph::Complete(std::uint32_t node, Change& change) {
  const bool good = nodes_[node].bad == 0;
  switch (nodes_[node].kind) {
    case Kind::Task:
      if (good || Mutant(Defect::DependenciesIgnored)) change.ready.push_back(node);
      break;
    case Kind::Asking:
      change.judged.push_back(node);
      break;
    case Kind::Parent:
      change.joined.push_back(node);
      break;
    case Kind::Gate:
      to_settle_.emplace_back(node, good);
      break;
    case Kind::StageGate:
      change.met.push_back(plan_->gates[node - tasks_].stage);
      break;
    case Kind::ParentGate:
      if (good) {
        change.entered.push_back(plan_->gates[node - tasks_].parent);
      } else {
        to_settle_.emplace_back(node, false);
      }
      break;
    case Kind::AskingGate:
      change.entered.push_back(plan_->gates[node - tasks_].parent);
      break;
  }
}

bool TaskGraph::BadBesidesAsked(std::uint32_t task) const {
  const std::vector<std::uint32_t>& asks = plan_->tasks[task].extra->asks;
  std::vector<std::uint32_t> open = {EntryOf(task)};
  for (std::size_t next = 0; next < open.size(); ++next) {
    for (Dependency need : NeedsOf(open[next])) {
      const std::uint32_t node = NodeOf(need);
      if (!nodes_[node].told) continue;
      const bool is_task = node < tasks_;
      if (is_task && std::binary_search(asks.begin(), asks.end(), node)) continue;
      // A gate or a parent is as bad as what it is made of.
      const bool made_of_others = !is_task || nodes_[node].kind == Kind::Parent;
      if (!made_of_others || NeedsOf(node).empty()) return true;
      if (std::find(open.begin(), open.end(), node) == open.end()) open.push_back(node);
    }
  }
  return false;
}

}  // namespace troupe
