// Plans made by hand, for tests of the coordinator.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "workflow/plan.h"

namespace troupe {

class PlanMaker {
 public:
  PlanMaker() { plan_.name = "test"; }

  // A mock agent; returns its index.
  std::uint32_t Agent(const std::string& name, MockRules mock = {}) {
    struct Agent agent;
    agent.name = name;
    agent.provider = Provider::Mock;
    agent.mock = std::move(mock);
    plan_.agents.push_back(std::move(agent));
    return static_cast<std::uint32_t>(plan_.agents.size() - 1);
  }

  // A task of `agent`; kNone: a command. `needs` are indexes of earlier tasks.
  std::uint32_t Task(const std::string& id, const std::vector<std::uint32_t>& needs = {},
                     std::uint32_t agent = kNone, RecoveryRules rules = {}) {
    PlannedTask task;
    task.id = id;
    task.agent = agent;
    task.kind = agent == kNone ? TaskKind::Command : TaskKind::Agent;
    if (agent == kNone) {
      OwnWork work;
      work.argv = {Literal("true")};
      task.work = std::make_shared<const OwnWork>(work);
    }
    task.description = Literal("do " + id);
    for (std::uint32_t need : needs) task.needs.push_back({Dependency::On::Task, need});
    std::sort(task.needs.begin(), task.needs.end());
    task.rules = std::make_shared<const RecoveryRules>(std::move(rules));
    plan_.tasks.push_back(std::move(task));
    return static_cast<std::uint32_t>(plan_.tasks.size() - 1);
  }

  // A parent of earlier tasks, which wait for its gate; `needs` are its own.
  std::uint32_t Parent(const std::string& id, const std::vector<std::uint32_t>& subtasks,
                       const std::vector<std::uint32_t>& needs = {}) {
    const auto index = static_cast<std::uint32_t>(plan_.tasks.size());
    PlannedTask parent;
    parent.id = id;
    parent.kind = TaskKind::Parent;
    parent.rules = std::make_shared<const RecoveryRules>();
    PlannedExtras& extra = parent.extra.Change();
    extra.subtasks = subtasks;
    extra.gate = static_cast<std::uint32_t>(plan_.gates.size());
    struct Gate gate;
    gate.parent = index;
    for (std::uint32_t need : needs) gate.needs.push_back({Dependency::On::Task, need});
    plan_.gates.push_back(std::move(gate));
    for (std::uint32_t task : subtasks) {
      parent.needs.push_back({Dependency::On::Task, task});
      plan_.tasks[task].parent = index;
      const Dependency enter{Dependency::On::Gate, extra.gate};
      if (plan_.tasks[task].kind == TaskKind::Parent) {
        plan_.gates[plan_.tasks[task].extra->gate].needs.push_back(enter);
      } else {
        plan_.tasks[task].needs.push_back(enter);
      }
    }
    plan_.tasks.push_back(std::move(parent));
    return index;
  }

  // `task` has a condition; `asks` are the tasks whose end it waits for.
  void Condition(std::uint32_t task, struct Condition condition,
                 const std::vector<std::uint32_t>& asks = {}) {
    PlannedTask& planned = plan_.tasks[task];
    auto& needs =
        planned.kind == TaskKind::Parent ? plan_.gates[planned.extra->gate].needs : planned.needs;
    planned.extra.Change().condition =
        std::make_shared<const struct Condition>(std::move(condition));
    planned.extra.Change().asks = asks;
    for (std::uint32_t ask : asks) needs.push_back({Dependency::On::Task, ask});
    std::sort(needs.begin(), needs.end());
    needs.erase(std::unique(needs.begin(), needs.end()), needs.end());
  }

  // `task` becomes a loop over the items, JSON texts.
  void Loop(std::uint32_t task, std::vector<std::string> items, bool parallel = true,
            std::uint32_t max_parallel = kNone) {
    struct Loop loop;
    loop.iterator = "x";
    loop.items = std::move(items);
    loop.parallel = parallel;
    loop.max_parallel = max_parallel;
    plan_.tasks[task].extra.Change().loop = std::make_shared<const struct Loop>(std::move(loop));
  }

  // A stage of tasks that have no needs of their own; `after` are stages.
  std::uint32_t Stage(const std::string& name, const std::vector<std::uint32_t>& tasks,
                      const std::vector<std::uint32_t>& after = {}) {
    const auto index = static_cast<std::uint32_t>(plan_.stages.size());
    const auto gate = static_cast<std::uint32_t>(plan_.gates.size());
    struct Gate g;
    g.stage = index;
    for (std::uint32_t task : tasks) {
      plan_.tasks[task].stage = index;
      g.needs.push_back({Dependency::On::Task, task});
      for (std::uint32_t before : after) {
        plan_.tasks[task].needs.push_back({Dependency::On::Gate, plan_.stages[before].gate});
      }
    }
    if (tasks.empty()) {
      for (std::uint32_t before : after) {
        g.needs.push_back({Dependency::On::Gate, plan_.stages[before].gate});
      }
    }
    plan_.gates.push_back(std::move(g));
    plan_.stages.push_back({.name = name, .tasks = tasks, .after = after, .gate = gate});
    return index;
  }

  void AddHook(HookList list, const std::string& command, bool fail = false, bool async = false) {
    Hook hook;
    hook.command = command;
    hook.fail = fail;
    hook.async = async;
    plan_.hooks[static_cast<std::size_t>(list)].push_back(hook);
  }

  Plan& plan() { return plan_; }
  std::shared_ptr<const Plan> Share() const { return std::make_shared<const Plan>(plan_); }

 private:
  Plan plan_;
};

}  // namespace troupe
