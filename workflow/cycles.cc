// Cycles: found in linear time, shown as the shortest one through the first task of each knot.
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "workflow/order.h"

namespace troupe {
namespace {

constexpr std::size_t kShownMax = 10;
constexpr std::uint32_t kUnseen = 0xFFFF'FFFF;

// Tarjan's algorithm without recursion. `needs(node, i)` is the i-th neighbour, kNone after the
// last.
template <class NeedsOf>
Components StronglyConnected(std::uint32_t nodes, const NeedsOf& needs) {
  struct Visit {
    std::uint32_t node;
    std::size_t next;
  };
  Components found;
  found.component.assign(nodes, kUnseen);
  found.order.reserve(nodes);
  std::vector<std::uint32_t> index(nodes, kUnseen);
  std::vector<std::uint32_t> low(nodes, 0);
  std::vector<std::uint32_t> open;  // Seen, but in no component yet.
  std::vector<Visit> path;
  std::uint32_t counter = 0;
  const auto enter = [&](std::uint32_t node) {
    index[node] = low[node] = counter++;
    open.push_back(node);
    path.push_back({node, 0});
  };
  for (std::uint32_t root = 0; root < nodes; ++root) {
    if (index[root] != kUnseen) continue;
    enter(root);
    while (!path.empty()) {
      const std::uint32_t node = path.back().node;
      const std::uint32_t other = needs(node, path.back().next);
      if (other != kNone) {
        ++path.back().next;
        if (index[other] == kUnseen) {
          enter(other);
        } else if (found.component[other] == kUnseen) {
          low[node] = std::min(low[node], index[other]);
        }
        continue;
      }
      path.pop_back();
      if (!path.empty()) low[path.back().node] = std::min(low[path.back().node], low[node]);
      if (low[node] != index[node]) continue;
      std::uint32_t member = kNone;
      do {
        member = open.back();
        open.pop_back();
        found.component[member] = found.count;
        found.order.push_back(member);
      } while (member != node);
      ++found.count;
    }
  }
  return found;
}

// The shortest way from `start` back to itself within its component: the edges taken, each as
// node and position. Empty if there is none.
struct Step {
  std::uint32_t node = 0;
  std::size_t edge = 0;
};
template <class NeedsOf>
std::vector<Step> ShortestCycle(const Components& components, std::uint32_t start,
                                std::vector<Step>& came_from, const NeedsOf& needs) {
  std::vector<std::uint32_t> touched = {start};
  std::deque<std::uint32_t> todo = {start};
  std::vector<Step> cycle;
  const std::uint32_t home = components.component[start];
  while (!todo.empty() && cycle.empty()) {
    const std::uint32_t node = todo.front();
    todo.pop_front();
    for (std::size_t i = 0; cycle.empty(); ++i) {
      const std::uint32_t other = needs(node, i);
      if (other == kNone) break;
      if (other == start) {
        cycle.push_back({node, i});
        for (std::uint32_t at = node; at != start; at = cycle.back().node) {
          cycle.push_back(came_from[at]);
        }
      } else if (components.component[other] == home && came_from[other].node == kNone) {
        came_from[other] = {node, i};
        touched.push_back(other);
        todo.push_back(other);
      }
    }
  }
  for (std::uint32_t node : touched) came_from[node] = {kNone, 0};
  std::reverse(cycle.begin(), cycle.end());
  return cycle;
}

// One `-> "b" (depends_on, line 9)` of a cycle.
struct Hop {
  std::string_view name = "";
  std::string origin = "depends_on";
  std::uint32_t at = kNoPlace;
  bool chosen = true;  // Someone wrote it there as an order.
};

std::string ShowCycle(std::string_view kind, std::string_view first, const std::vector<Hop>& hops,
                      const Source& source) {
  std::string text = fmt::format("cycle: {}{}", kind, Quote(first));
  const std::size_t shown = hops.size() > kShownMax ? kShownMax - 1 : hops.size();
  for (std::size_t i = 0; i < hops.size(); ++i) {
    if (i >= shown && i + 1 < hops.size()) continue;
    if (i + 1 == hops.size() && shown < hops.size()) {
      text += fmt::format(" -> ({} more)", hops.size() - shown - 1);
    }
    text += fmt::format(" -> {}{} ({}, line {})", kind, Quote(hops[i].name), hops[i].origin,
                        source.LineAt(hops[i].at));
  }
  return text;
}

// The first place that may be changed to end the cycle.
std::uint32_t PlaceOf(const std::vector<Hop>& hops) {
  for (const Hop& hop : hops) {
    if (hop.chosen) return hop.at;
  }
  return hops[0].at;
}

// Where an edge comes from: `stage "x"`, `depends_on of "p"`.
std::string OriginOf(const Order::Edge& edge, const Order& order, const Document& document,
                     std::uint32_t workflow) {
  std::string origin = "depends_on";
  switch (edge.cause) {
    case Order::Cause::DependsOn:
      break;
    case Order::Cause::Condition:
      origin = "condition";
      break;
    case Order::Cause::Stage:
      return fmt::format("stage {}",
                         Quote(document.workflows[workflow].stages[edge.stage].name.name));
    case Order::Cause::Subtask:
    case Order::Cause::Parent:
      return "subtasks";
  }
  if (edge.node >= order.tasks()) {
    const std::uint32_t parent = order.GateParent(edge.node - order.tasks());
    origin += fmt::format(" of {}", Quote(document.tasks[parent].id));
  }
  return origin;
}

}  // namespace

Components FindComponents(const Order& order) {
  return StronglyConnected(order.nodes(), [&](std::uint32_t node, std::size_t i) {
    const auto needs = order.Needs(node);
    return i < needs.size() ? needs[i].needs : kNone;
  });
}

bool CheckCycles(const Order& order, const Document& document, std::uint32_t workflow,
                 const Source& source, Problems& problems) {
  const auto needs = [&](std::uint32_t node, std::size_t i) {
    const auto edges = order.Needs(node);
    return i < edges.size() ? edges[i].needs : kNone;
  };
  const Components components = FindComponents(order);
  // The first task in the file of each component.
  std::vector<std::uint32_t> first(components.count, kNone);
  std::vector<std::uint32_t> size(components.count, 0);
  for (std::uint32_t i = 0; i < order.nodes(); ++i) {
    const std::uint32_t component = components.component[i];
    ++size[component];
    if (i >= order.tasks() || !order.Runs(i)) continue;
    std::uint32_t& best = first[component];
    if (best == kNone || document.tasks[i].at < document.tasks[best].at) best = i;
  }
  bool fine = true;
  std::vector<Step> came_from(order.nodes(), Step{kNone, 0});
  for (std::uint32_t component = 0; component < components.count; ++component) {
    const std::uint32_t start = first[component];
    if (start == kNone) continue;
    if (size[component] == 1) {
      const auto own = order.Needs(start);
      if (std::none_of(own.begin(), own.end(),
                       [&](const Order::Edge& edge) { return edge.needs == start; })) {
        continue;
      }
    }
    fine = false;
    std::vector<Hop> hops;
    bool in_gate = false;  // Within a hop that goes through gates,
    bool told = false;  // and it is known where it is written: by its first edge that is written.
    for (const Step& step : ShortestCycle(components, start, came_from, needs)) {
      const Order::Edge& edge = order.Needs(step.node)[step.edge];
      if (!in_gate) {
        hops.emplace_back();
        told = false;
      }
      if (!told) {
        hops.back().origin = OriginOf(edge, order, document, workflow);
        hops.back().at = edge.at;
        hops.back().chosen = edge.cause != Order::Cause::Subtask;
        told = edge.cause != Order::Cause::Parent;
      }
      in_gate = edge.needs >= order.tasks();
      if (!in_gate) hops.back().name = document.tasks[edge.needs].id;
    }
    problems.Error(PlaceOf(hops), "cycle", ShowCycle("", document.tasks[start].id, hops, source));
  }
  return fine;
}

void CheckStageCycles(Document& document, const Source& source, Problems& problems) {
  for (WorkflowDoc& workflow : document.workflows) {
    std::vector<StageDoc>& stages = workflow.stages;
    const auto needs = [&](std::uint32_t node, std::size_t i) {
      return i < stages[node].after.size() ? stages[node].after[i] : kNone;
    };
    const auto count = static_cast<std::uint32_t>(stages.size());
    const Components components = StronglyConnected(count, needs);
    std::vector<std::uint32_t> size(components.count, 0);
    for (std::uint32_t i = 0; i < count; ++i) ++size[components.component[i]];
    std::vector<Step> came_from(count, Step{kNone, 0});
    std::vector<bool> reported(components.count, false);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t component = components.component[i];
      const auto& after = stages[i].after;
      const bool self = std::find(after.begin(), after.end(), i) != after.end();
      if ((size[component] == 1 && !self) || reported[component]) continue;
      reported[component] = true;
      std::vector<Hop> hops;
      for (const Step& step : ShortestCycle(components, i, came_from, needs)) {
        hops.push_back({.name = stages[stages[step.node].after[step.edge]].name.name,
                        .at = stages[step.node].after_at[step.edge]});
      }
      problems.Error(hops[0].at, "cycle", ShowCycle("stage ", stages[i].name.name, hops, source));
    }
    if (std::find(reported.begin(), reported.end(), true) == reported.end()) continue;
    for (StageDoc& stage : stages) {
      stage.after.clear();
      stage.after_at.clear();
    }
  }
}

}  // namespace troupe
