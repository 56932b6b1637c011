#include "workflow/plan.h"

#include <queue>

namespace troupe {

Duration QueueTimeoutFor(const Plan& plan, const PlannedTask& task, std::uint32_t agent) {
  if (task.settings != nullptr && task.settings->queue_timeout)
    return *task.settings->queue_timeout;
  if (agent != kNone && plan.agents[agent].settings.queue_timeout) {
    return *plan.agents[agent].settings.queue_timeout;
  }
  return plan.settings.queue_timeout.value_or(Duration{});
}

EffectiveSettings SettingsFor(const Plan& plan, const PlannedTask& task, std::uint32_t agent) {
  static const Settings kNothing;
  const Settings& own = task.settings == nullptr ? kNothing : *task.settings;
  const Settings& middle = agent == kNone ? kNothing : plan.agents[agent].settings;
  const auto first = [&](auto member, auto otherwise) {
    for (const Settings* settings : {&own, &middle, &plan.settings}) {
      if (settings->*member) return *(settings->*member);
    }
    return otherwise;
  };
  const bool speaks = agent != kNone && plan.agents[agent].provider == Provider::Claude;
  const OutputLimits limits;
  EffectiveSettings effective;
  effective.timeout = first(&Settings::timeout, Duration(std::chrono::seconds(86'400)));
  effective.silence = first(&Settings::silence, Duration(std::chrono::seconds(speaks ? 1'800 : 0)));
  effective.queue_timeout = QueueTimeoutFor(plan, task, agent);
  effective.limits.stdout_bytes = first(&Settings::max_stdout_bytes, limits.stdout_bytes);
  effective.limits.stderr_bytes = first(&Settings::max_stderr_bytes, limits.stderr_bytes);
  effective.limits.combined_bytes = first(&Settings::max_combined_bytes, limits.combined_bytes);
  effective.limits.truncation = first(&Settings::truncation, limits.truncation);
  effective.labels = first(&Settings::labels, std::vector<std::string>());
  return effective;
}

std::uint64_t RangeItems(const Loop& loop) {
  const auto distance = [](std::int64_t from, std::int64_t to) {
    return static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
  };
  if (loop.step > 0 && loop.end > loop.start) {
    return (distance(loop.start, loop.end) - 1) / static_cast<std::uint64_t>(loop.step) + 1;
  }
  if (loop.step < 0 && loop.end < loop.start) {
    return (distance(loop.end, loop.start) - 1) / distance(loop.step, 0) + 1;
  }
  return 0;
}

std::vector<std::uint32_t> StartOrder(const Plan& plan) {
  const auto tasks = static_cast<std::uint32_t>(plan.tasks.size());
  const auto nodes = tasks + static_cast<std::uint32_t>(plan.gates.size());
  const auto needs = [&](std::uint32_t node) -> const std::vector<Dependency>& {
    return node < tasks ? plan.tasks[node].needs : plan.gates[node - tasks].needs;
  };
  std::vector<std::vector<std::uint32_t>> waiting(nodes);
  std::vector<std::size_t> missing(nodes);
  for (std::uint32_t node = 0; node < nodes; ++node) {
    missing[node] = needs(node).size();
    for (const Dependency& need : needs(node)) {
      waiting[need.on == Dependency::On::Task ? need.index : tasks + need.index].push_back(node);
    }
  }
  std::priority_queue<std::pair<std::uint32_t, std::uint32_t>,
                      std::vector<std::pair<std::uint32_t, std::uint32_t>>, std::greater<>>
      ready;                        // Priority and place in the file.
  std::vector<std::uint32_t> open;  // Gates and parents.
  std::vector<std::uint32_t> order;
  const auto offer = [&](std::uint32_t node) {
    if (node < tasks && plan.tasks[node].kind != TaskKind::Parent) {
      ready.push({plan.tasks[node].priority, node});
    } else {
      open.push_back(node);
    }
  };
  const auto pass = [&](std::uint32_t node) {
    for (std::uint32_t other : waiting[node]) {
      if (--missing[other] == 0) offer(other);
    }
  };
  for (std::uint32_t node = 0; node < nodes; ++node) {
    if (missing[node] == 0) offer(node);
  }
  while (!ready.empty() || !open.empty()) {
    if (!open.empty()) {
      const std::uint32_t node = open.back();
      open.pop_back();
      pass(node);
      continue;
    }
    const std::uint32_t task = ready.top().second;
    ready.pop();
    order.push_back(task);
    pass(task);
  }
  return order;
}

}  // namespace troupe
