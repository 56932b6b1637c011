#include "workflow/build_plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "workflow/resolve.h"

namespace troupe {
namespace {

void Renumber(const std::vector<std::uint32_t>& index, EnvTemplates& env) {
  for (auto& [name, text] : env) RenumberTasks(index, text);
}

// A task that does not run is neither pending nor running, and nothing else is asked of such ones.
void Renumber(const std::vector<std::uint32_t>& index, Condition& condition) {
  if (condition.op == Condition::Op::TaskStatus) {
    condition.task = index[condition.task];
    if (condition.task == kNone) condition.op = Condition::Op::Never;
  }
  for (Condition& part : condition.parts) Renumber(index, part);
}

void Renumber(const std::vector<std::uint32_t>& index, PlannedExtras& extra) {
  RenumberTasks(index, extra.output);
  RenumberTasks(index, extra.notify);
  for (StateWrite& write : extra.set) RenumberTasks(index, write.value);
  if (extra.loop != nullptr && !extra.loop->path.empty()) {
    Loop loop = *extra.loop;
    RenumberTasks(index, loop.path);
    extra.loop = std::make_shared<const Loop>(std::move(loop));
  }
  for (auto& [name, text] : extra.inputs) RenumberTasks(index, text);
}

void Renumber(const std::vector<std::uint32_t>& index, PlannedTask& task) {
  RenumberTasks(index, task.description);
  if (task.extra) Renumber(index, task.extra.Change());
  if (task.work == nullptr) return;
  OwnWork work = *task.work;
  for (Template& word : work.argv) RenumberTasks(index, word);
  RenumberTasks(index, work.script_content);
  RenumberTasks(index, work.script_file);
  if (work.working_dir) RenumberTasks(index, *work.working_dir);
  Renumber(index, work.env);
  task.work = std::make_shared<const OwnWork>(std::move(work));
}

bool UsesItself(const Template& text) {
  return std::any_of(text.begin(), text.end(), [](const auto& piece) {
    const auto* ref = std::get_if<Ref>(&piece);
    return ref != nullptr &&
           (ref->kind == Ref::Kind::SelfOutput || ref->kind == Ref::Kind::SelfResult);
  });
}

// Those of `tasks` that `chosen` names, in that order. Needs no room for two of each.
std::vector<PlannedTask> Permuted(std::vector<PlannedTask> tasks,
                                  const std::vector<std::uint32_t>& chosen) {
  std::vector<std::uint32_t> stands_at(tasks.size());  // Where each of them is by now,
  std::iota(stands_at.begin(), stands_at.end(), 0u);
  std::vector<std::uint32_t> is_at = stands_at;  // and which one is at each place.
  for (std::uint32_t i = 0; i < chosen.size(); ++i) {
    const std::uint32_t from = stands_at[chosen[i]];
    if (from == i) continue;
    std::swap(tasks[i], tasks[from]);
    is_at[from] = is_at[i];
    stands_at[is_at[from]] = from;
  }
  tasks.resize(chosen.size());
  return tasks;
}

auto KeyOf(const RecoveryRules& rules) {
  return std::tuple(rules.retry, rules.retry_delay, rules.exponential_backoff,
                    rules.max_retry_delay, rules.jitter, rules.retry_on, rules.no_retry_on,
                    rules.fallback_agents, rules.fallback_retry, rules.on_exhausted,
                    rules.prefer_other_worker);
}
auto KeyOf(const Settings& settings) {
  return std::tuple(settings.timeout, settings.silence, settings.queue_timeout,
                    settings.max_stdout_bytes, settings.max_stderr_bytes,
                    settings.max_combined_bytes, settings.truncation, settings.labels);
}

// Those that are equal are stored once.
template <class T>
class Shared {
 public:
  std::shared_ptr<const T> Share(const T& value) {
    auto& shared = known_[KeyOf(value)];
    if (shared == nullptr) shared = std::make_shared<const T>(value);
    return shared;
  }

 private:
  std::map<decltype(KeyOf(std::declval<const T&>())), std::shared_ptr<const T>> known_;
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
  void SortTasks();
  void AddParts(std::uint32_t index, PlannedTask& task) const;
  std::vector<Dependency> Needs(std::uint32_t node) const;
  void MarkReferenced(std::uint32_t task);

  const Document& document_;
  const Order& order_;
  std::uint32_t workflow_;
  CompiledTexts texts_;
  std::shared_ptr<Plan> plan_;
  std::vector<std::uint32_t> tasks_;       // What runs, in the file's order.
  std::vector<std::uint32_t> plan_index_;  // Of each task of the document.
  std::vector<std::uint32_t> gate_index_;  // Of each gate of the order.
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
  SortTasks();
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

// Numbers what runs: top-level tasks as in the file, each with its subtasks behind it.
void Builder::SortTasks() {
  std::vector<std::uint32_t> tops;
  for (std::uint32_t i = 0; i < order_.tasks(); i = document_.tasks[i].end) tops.push_back(i);
  std::stable_sort(tops.begin(), tops.end(), [&](std::uint32_t a, std::uint32_t b) {
    return document_.tasks[a].place < document_.tasks[b].place;
  });
  plan_index_.assign(order_.tasks(), kNone);
  for (std::uint32_t top : tops) {
    for (std::uint32_t i = top; i < document_.tasks[top].end; ++i) {
      if (!order_.Runs(i)) continue;
      plan_index_[i] = static_cast<std::uint32_t>(tasks_.size());
      tasks_.push_back(i);
    }
  }
  std::uint32_t gates = 0;
  for (std::uint32_t i = 0; i < order_.gates(); ++i) {
    gate_index_.push_back(order_.GateRuns(i) ? gates++ : kNone);
  }
}

std::vector<Dependency> Builder::Needs(std::uint32_t node) const {
  std::vector<Dependency> needs;
  for (const Order::Edge& edge : order_.Needs(node)) {
    if (edge.needs < order_.tasks()) {
      // A parent may run with only some of its subtasks.
      if (plan_index_[edge.needs] == kNone) continue;
      needs.push_back({Dependency::On::Task, plan_index_[edge.needs]});
    } else {
      needs.push_back({Dependency::On::Gate, gate_index_[edge.needs - order_.tasks()]});
    }
  }
  std::sort(needs.begin(), needs.end());
  needs.erase(std::unique(needs.begin(), needs.end()), needs.end());
  return needs;
}

void Builder::AddTasks() {
  Shared<RecoveryRules> rules;
  Shared<Settings> settings;
  std::vector<std::uint64_t> agents;
  for (const Agent& agent : plan_->agents) agents.push_back(Fingerprint(agent));
  std::vector<std::string_view> ids;
  for (const TaskDoc& doc : document_.tasks) ids.push_back(doc.id);
  plan_->tasks = Permuted(std::move(texts_.tasks), tasks_);
  for (std::uint32_t i = 0; i < tasks_.size(); ++i) {
    const std::uint32_t index = tasks_[i];
    const TaskDoc& doc = document_.tasks[index];
    PlannedTask& task = plan_->tasks[i];
    task.rules = rules.Share(MergeRules(OnErrorOf(doc, document_), doc.asked_for_failed));
    if (doc.settings != nullptr) task.settings = settings.Share(*doc.settings);
    if (doc.condition) task.extra.Change().condition = doc.condition->condition;
    task.fingerprint = Fingerprint(task, agents, ids);
    Renumber(plan_index_, task);
    if (doc.condition) Renumber(plan_index_, *doc.condition->condition);
    AddParts(index, task);
    task.needs = Needs(index);
    task.stage = order_.StageOf(index);
  }
}

// What ties a task to its parent, its subtasks and those its condition asks about.
void Builder::AddParts(std::uint32_t index, PlannedTask& task) const {
  const TaskDoc& doc = document_.tasks[index];
  if (doc.parent != kNone) task.parent = plan_index_[doc.parent];
  if (task.kind == TaskKind::Parent) {
    PlannedExtras& extra = task.extra.Change();
    extra.gate = gate_index_[order_.StartOf(index) - order_.tasks()];
    for (std::uint32_t child = index + 1; child < doc.end; child = document_.tasks[child].end) {
      if (plan_index_[child] != kNone) extra.subtasks.push_back(plan_index_[child]);
    }
  }
  if (!doc.condition) return;
  std::vector<std::uint32_t>& asks = task.extra.Change().asks;
  for (const Ask& ask : doc.condition->asks) asks.push_back(plan_index_[ask.task]);
  std::sort(asks.begin(), asks.end());
  asks.erase(std::unique(asks.begin(), asks.end()), asks.end());
}

void Builder::AddGatesAndStages() {
  for (std::uint32_t i = 0; i < order_.gates(); ++i) {
    if (gate_index_[i] == kNone) continue;
    const std::uint32_t parent = order_.GateParent(i);
    plan_->gates.push_back({.needs = Needs(order_.tasks() + i),
                            .stage = order_.GateStage(i),
                            .parent = parent == kNone ? kNone : plan_index_[parent]});
  }
  if (workflow_ == kNone) return;
  const std::vector<StageDoc>& stages = document_.workflows[workflow_].stages;
  for (std::uint32_t i = 0; i < stages.size(); ++i) {
    Stage stage{.name = std::string(stages[i].name.name),
                .after = stages[i].after,
                .gate = gate_index_[order_.StageGate(i)]};
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
    OutputDeclaration declared{.name = std::string(output.name)};
    if (output.index == kNone) {
      declared.state_key = output.state_key;
    } else {
      declared.task = plan_index_[output.index];
      if (declared.task == kNone) continue;
      MarkReferenced(declared.task);
    }
    plan_->outputs.push_back(std::move(declared));
  }
}

// The output of a parent is made of those of its subtasks.
void Builder::MarkReferenced(std::uint32_t task) {
  if (plan_->tasks[task].referenced) return;
  plan_->tasks[task].referenced = true;
  for (std::uint32_t subtask : plan_->tasks[task].extra->subtasks) MarkReferenced(subtask);
}

void Builder::MarkReferenced() {
  const auto mark = [&](const Template& text) {
    for (const auto& piece : text) {
      const auto* ref = std::get_if<Ref>(&piece);
      if (ref == nullptr) continue;
      if (ref->kind == Ref::Kind::TaskOutput || ref->kind == Ref::Kind::TaskResult) {
        MarkReferenced(ref->task);
      }
    }
  };
  for (std::uint32_t i = 0; i < plan_->tasks.size(); ++i) {
    const PlannedTask& task = plan_->tasks[i];
    mark(task.description);
    mark(task.extra->output);
    mark(task.extra->notify);
    for (const StateWrite& write : task.extra->set) mark(write.value);
    for (const auto& [name, text] : task.extra->inputs) mark(text);
    // A parent or a loop has its own output only from what is kept of its parts.
    const bool parts = task.kind == TaskKind::Parent || task.extra->loop != nullptr;
    if (parts && UsesItself(task.extra->notify)) MarkReferenced(i);
    if (task.extra->loop != nullptr) mark(task.extra->loop->path);
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
