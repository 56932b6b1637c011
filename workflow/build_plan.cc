#include "workflow/build_plan.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "workflow/resolve.h"

namespace troupe {
namespace {

void Renumber(const std::vector<std::uint32_t>& index, EnvTemplates& env) {
  for (auto& [name, text] : env) RenumberTasks(index, text);
}

void Renumber(const std::vector<std::uint32_t>& index, PlannedTask& task) {
  RenumberTasks(index, task.description);
  RenumberTasks(index, task.output);
  for (auto& [name, text] : task.inputs) RenumberTasks(index, text);
  if (task.work == nullptr) return;
  OwnWork work = *task.work;
  for (Template& word : work.argv) RenumberTasks(index, word);
  RenumberTasks(index, work.script_content);
  RenumberTasks(index, work.script_file);
  if (work.working_dir) RenumberTasks(index, *work.working_dir);
  Renumber(index, work.env);
  task.work = std::make_shared<const OwnWork>(std::move(work));
}

// Rules that are equal are stored once.
class SharedRules {
 public:
  std::shared_ptr<const RecoveryRules> Share(const RecoveryRules& rules) {
    auto& shared = known_[std::tuple(rules.retry, rules.retry_delay, rules.exponential_backoff,
                                     rules.max_retry_delay, rules.jitter, rules.retry_on,
                                     rules.no_retry_on, rules.fallback_agents, rules.fallback_retry,
                                     rules.on_exhausted, rules.prefer_other_worker)];
    if (shared == nullptr) shared = std::make_shared<const RecoveryRules>(rules);
    return shared;
  }

 private:
  std::map<std::tuple<std::uint32_t, Duration, bool, Duration, double, std::optional<std::uint32_t>,
                      std::uint32_t, std::vector<std::uint32_t>, std::uint32_t, OnExhausted, bool>,
           std::shared_ptr<const RecoveryRules>>
      known_;
};

class Builder {
 public:
  Builder(const Document& document, const Order& order, std::uint32_t workflow, CompiledTexts texts)
      : document_(document),
        order_(order),
        workflow_(workflow),
        texts_(std::move(texts)),
        plan_(std::make_shared<Plan>()) {}

  std::shared_ptr<const Plan> Build();

 private:
  void AddTasks();
  void AddGatesAndStages();
  void AddHooks(const HooksDoc& hooks);
  void AddOutputs();
  void MarkReferenced();
  std::vector<Dependency> Needs(std::uint32_t node) const;

  const Document& document_;
  const Order& order_;
  std::uint32_t workflow_;
  CompiledTexts texts_;
  std::shared_ptr<Plan> plan_;
  std::vector<std::uint32_t> tasks_;       // What runs, in the file's order.
  std::vector<std::uint32_t> plan_index_;  // Of each task of the document.
};

std::shared_ptr<const Plan> Builder::Build() {
  plan_->name = document_.name;
  plan_->version = document_.version;
  plan_->agents = std::move(texts_.agents);
  plan_->inputs = document_.inputs;
  plan_->disallowed_tools = document_.disallowed_tools;
  plan_->max_parallel = document_.max_parallel;
  plan_->retry_budget = document_.retry_budget;
  plan_->worker_losses_max = document_.worker_losses_max;
  plan_->rate_limit_wait_max = document_.rate_limit_wait_max;
  for (Agent& agent : plan_->agents) {
    if (!agent.breaker) agent.breaker = document_.breaker;
  }
  plan_->settings = document_.settings;
  for (std::uint32_t i = 0; i < order_.tasks(); ++i) {
    if (order_.Runs(i)) tasks_.push_back(i);
  }
  std::stable_sort(tasks_.begin(), tasks_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return document_.tasks[a].at < document_.tasks[b].at;
  });
  plan_index_.assign(order_.tasks(), kNone);
  for (std::uint32_t i = 0; i < tasks_.size(); ++i) plan_index_[tasks_[i]] = i;
  AddTasks();
  AddGatesAndStages();
  AddHooks(texts_.root_hooks);
  if (workflow_ != kNone) {
    plan_->workflow = document_.workflows[workflow_].name;
    AddHooks(texts_.workflow_hooks[workflow_]);
  }
  AddOutputs();
  MarkReferenced();
  return plan_;
}

std::vector<Dependency> Builder::Needs(std::uint32_t node) const {
  std::vector<Dependency> needs;
  for (const Order::Edge& edge : order_.Needs(node)) {
    if (edge.needs < order_.tasks()) {
      needs.push_back({Dependency::On::Task, plan_index_[edge.needs]});
    } else {
      needs.push_back({Dependency::On::Gate, edge.needs - order_.tasks()});
    }
  }
  std::sort(needs.begin(), needs.end());
  needs.erase(std::unique(needs.begin(), needs.end()), needs.end());
  return needs;
}

void Builder::AddTasks() {
  SharedRules rules;
  std::vector<std::uint64_t> agents;
  for (const Agent& agent : plan_->agents) agents.push_back(Fingerprint(agent));
  plan_->tasks.reserve(tasks_.size());
  for (std::uint32_t index : tasks_) {
    const TaskDoc& doc = document_.tasks[index];
    PlannedTask task = std::move(texts_.tasks[index]);
    const OnErrorDoc* agent =
        doc.agent_index == kNone ? nullptr : &document_.agents[doc.agent_index].on_error;
    task.rules = rules.Share(MergeRules(doc.on_error.get(), agent, document_.on_error));
    task.fingerprint = Fingerprint(task, agents);
    Renumber(plan_index_, task);
    task.needs = Needs(index);
    task.stage = order_.StageOf(index);
    plan_->tasks.push_back(std::move(task));
  }
}

void Builder::AddGatesAndStages() {
  for (std::uint32_t i = 0; i < order_.gates(); ++i) {
    plan_->gates.push_back({.needs = Needs(order_.tasks() + i), .stage = order_.GateStage(i)});
  }
  if (workflow_ == kNone) return;
  const std::vector<StageDoc>& stages = document_.workflows[workflow_].stages;
  for (std::uint32_t i = 0; i < stages.size(); ++i) {
    Stage stage{.name = std::string(stages[i].name.name),
                .after = stages[i].after,
                .gate = order_.StageGate(i)};
    for (const StageEntry& entry : stages[i].tasks) {
      stage.tasks.push_back(plan_index_[entry.index]);
    }
    plan_->stages.push_back(std::move(stage));
  }
}

void Builder::AddHooks(const HooksDoc& hooks) {
  for (std::size_t list = 0; list < kHookListCount; ++list) {
    for (const HookDoc& doc : hooks.lists[list]) plan_->hooks[list].push_back(doc.hook);
  }
}

// Outputs of tasks that do not run under this workflow are left out.
void Builder::AddOutputs() {
  for (const OutputDoc& output : document_.outputs) {
    const std::uint32_t task = plan_index_[document_.task_index.at(output.task.name)];
    if (task == kNone) continue;
    plan_->tasks[task].referenced = true;
    plan_->outputs.push_back({.name = std::string(output.name), .task = task});
  }
}

void Builder::MarkReferenced() {
  const auto mark = [&](const Template& text) {
    for (const auto& piece : text) {
      const auto* ref = std::get_if<Ref>(&piece);
      if (ref == nullptr) continue;
      if (ref->kind == Ref::Kind::TaskOutput || ref->kind == Ref::Kind::TaskResult) {
        plan_->tasks[ref->task].referenced = true;
      }
    }
  };
  for (const PlannedTask& task : plan_->tasks) {
    mark(task.description);
    mark(task.output);
    for (const auto& [name, text] : task.inputs) mark(text);
    if (task.work == nullptr) continue;
    for (const Template& word : task.work->argv) mark(word);
    mark(task.work->script_content);
    mark(task.work->script_file);
    if (task.work->working_dir) mark(*task.work->working_dir);
    for (const auto& [name, text] : task.work->env) mark(text);
  }
}

}  // namespace

std::shared_ptr<const Plan> BuildPlan(const Document& document, const Order& order,
                                      std::uint32_t workflow, CompiledTexts texts) {
  return Builder(document, order, workflow, std::move(texts)).Build();
}

}  // namespace troupe
