#include "workflow/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "workflow/task_names.h"

namespace troupe {
namespace {

class Resolver {
 public:
  Resolver(Reader& reader, Document& document)
      : reader_(reader),
        problems_(reader.problems),
        document_(document),
        names_(document, reader.problems) {}

  void Resolve();

 private:
  void AddStageTasks();
  void AddStageTask(StageEntry& entry, std::uint32_t place);
  std::uint32_t FindStageTask(const Named& name, const std::string& whose);
  void CompareWithRoot(const StageEntry& entry);
  void ResolveStages(WorkflowDoc& workflow, std::uint32_t number);
  void CheckStageAgents(const StageDoc& stage);
  void ResolveTask(std::uint32_t index);
  void NoteAsked();
  void WarnAboutParallel();
  void WarnAboutParallelOf(std::uint32_t index);
  void ResolveOnError(const std::string& whose, OnErrorDoc& on_error);
  void CheckAgent(AgentDoc& agent);
  void CheckRules(const TaskDoc& task);

  std::uint32_t FindAgent(const Named& name, const std::string& message);
  const std::vector<std::string_view>& AgentNames();

  Reader& reader_;
  Problems& problems_;
  Document& document_;
  TaskNames names_;
  std::size_t root_tasks_ = 0;
  std::vector<std::string_view> agent_names_;
  std::unordered_set<std::uint64_t> edges_;  // Task and what it needs, for WarnAboutParallel().
  // Per task, the workflow and stage that were last seen to list it.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> listed_in_;
};

const std::vector<std::string_view>& Resolver::AgentNames() {
  if (agent_names_.empty()) {
    for (const AgentDoc& agent : document_.agents) agent_names_.push_back(agent.agent.name);
  }
  return agent_names_;
}

std::uint32_t Resolver::FindAgent(const Named& name, const std::string& message) {
  const auto it = document_.agent_index.find(name.name);
  if (it != document_.agent_index.end()) return it->second;
  problems_.Error(name.at, "unknown-agent",
                  fmt::format("{} {}, which does not exist{}", message, Quote(name.name),
                              problems_.Suggest(name.name, AgentNames())));
  return kNone;
}

void Resolver::Resolve() {
  AddStageTasks();
  if (document_.tasks.empty() && !document_.refused_tasks) {
    problems_.Error(reader_.tree.At(reader_.tree.root()), "missing-key",
                    "the workflow has no tasks");
  }
  listed_in_.assign(document_.tasks.size(), {kNone, kNone});
  document_.staged.assign(document_.tasks.size(), false);
  for (std::uint32_t i = 0; i < document_.workflows.size(); ++i) {
    ResolveStages(document_.workflows[i], i);
  }
  ResolveOnError("on_error of the workflow", document_.on_error);
  for (AgentDoc& agent : document_.agents) {
    ResolveOnError("on_error of agent " + Quote(agent.agent.name), agent.on_error);
    CheckAgent(agent);
  }
  for (std::uint32_t i = 0; i < document_.tasks.size(); ++i) ResolveTask(i);
  NoteAsked();
  for (const WorkflowDoc& workflow : document_.workflows) {
    for (const StageDoc& stage : workflow.stages) CheckStageAgents(stage);
  }
  WarnAboutParallel();
  for (const TaskDoc& task : document_.tasks) CheckRules(task);
  for (OutputDoc& output : document_.outputs) {
    if (output.task.at == kNoPlace) continue;
    output.index =
        names_.Require(output.task, kNone, fmt::format("output {} takes task", Quote(output.name)));
  }
}

void Resolver::AddStageTasks() {
  root_tasks_ = document_.tasks.size();
  std::uint32_t place = 0;
  for (WorkflowDoc& workflow : document_.workflows) {
    for (StageDoc& stage : workflow.stages) {
      for (StageEntry& entry : stage.tasks) {
        place = std::max(place, entry.task.at);
        if (!document_.too_large) AddStageTask(entry, place);
      }
    }
  }
}

// A task that a stage defines. If root `tasks` has the id, that definition counts.
void Resolver::AddStageTask(StageEntry& entry, std::uint32_t place) {
  if (entry.definition == kNoNode) return;
  const auto it = document_.task_index.find(entry.task.name);
  if (it == document_.task_index.end() || document_.tasks[it->second].parent != kNone) {
    reader_.CheckName("task name", entry.task.name, entry.task.at);
    ReadTask(reader_,
             {.name = entry.task.name,
              .at = entry.task.at,
              .place = place,
              .definition = entry.definition},
             document_);
    return;
  }
  if (it->second < root_tasks_) {
    CompareWithRoot(entry);
    return;
  }
  if (document_.tasks[it->second].node == entry.definition) return;
  problems_.Error(entry.task.at, "duplicate-task",
                  fmt::format("task {} is defined twice in stages", Quote(entry.task.name)));
}

// Only top-level tasks can be in stages.
std::uint32_t Resolver::FindStageTask(const Named& name, const std::string& whose) {
  const std::uint32_t task = names_.Require(name, kNone, whose + " lists task");
  if (task == kNone || document_.tasks[task].parent == kNone) return task;
  std::uint32_t top = task;
  while (document_.tasks[top].parent != kNone) top = document_.tasks[top].parent;
  problems_.Error(name.at, "unknown-task",
                  fmt::format("{} lists {}, which is a subtask; a stage can list {}, which stands "
                              "for all its subtasks",
                              whose, Quote(name.name), Quote(document_.tasks[top].id)));
  return kNone;
}

void Resolver::CompareWithRoot(const StageEntry& entry) {
  const Tree& tree = reader_.tree;
  const NodeId root = document_.tasks[document_.task_index.at(entry.task.name)].node;
  if (!reader_.IsMap({entry.task.name, entry.definition})) return;
  if (tree.Kind(root) != NodeKind::Map) return;
  for (const MapEntry& here : tree.Entries(entry.definition)) {
    const std::string_view key = tree.Key(here);
    if (key == "description" || key.substr(0, 2) == "x-") continue;
    const NodeId there = tree.Find(root, key);
    if (there != kNoNode && tree.Same(there, here.value)) continue;
    problems_.Warning(here.key_at, "stage-differs",
                      fmt::format("{} of task {} differs from its definition in \"tasks\", which "
                                  "counts",
                                  Quote(key), Quote(entry.task.name)));
  }
}

void Resolver::ResolveStages(WorkflowDoc& workflow, std::uint32_t number) {
  std::unordered_map<std::string_view, std::uint32_t> index;
  std::vector<std::string_view> names;
  for (std::uint32_t i = 0; i < workflow.stages.size(); ++i) {
    const Named& name = workflow.stages[i].name;
    if (name.at == kNoPlace) continue;
    names.push_back(name.name);
    if (index.emplace(name.name, i).second) continue;
    problems_.Error(name.at, "bad-name",
                    fmt::format("there are two stages called {}", Quote(name.name)));
  }
  for (std::uint32_t i = 0; i < workflow.stages.size(); ++i) {
    StageDoc& stage = workflow.stages[i];
    const std::string whose = fmt::format("stage {}", Quote(stage.name.name));
    for (StageEntry& entry : stage.tasks) {
      entry.index = FindStageTask(entry.task, whose);
      if (entry.index == kNone) continue;
      auto& [in_workflow, in_stage] = listed_in_[entry.index];
      if (in_workflow == number) {
        const std::string_view other = workflow.stages[in_stage].name.name;
        problems_.Error(
            entry.task.at, "duplicate-task",
            in_stage == i
                ? fmt::format("task {} is twice in {}", Quote(entry.task.name), whose)
                : fmt::format("task {} is in the stages {} and {}", Quote(entry.task.name),
                              Quote(other), Quote(stage.name.name)));
        entry.index = kNone;
        continue;
      }
      listed_in_[entry.index] = {number, i};
      document_.staged[entry.index] = true;
    }
    if (stage.tasks.empty()) {
      problems_.Warning(stage.at, "empty-stage", fmt::format("{} has no tasks", whose));
    }
    std::unordered_set<std::uint32_t> seen;
    for (const Named& name : stage.depends_on) {
      const auto it = index.find(name.name);
      if (it == index.end()) {
        problems_.Error(name.at, "unknown-stage",
                        fmt::format("{} depends on {}, which does not exist{}", whose,
                                    Quote(name.name), problems_.Suggest(name.name, names)));
      } else if (seen.insert(it->second).second) {
        stage.after.push_back(it->second);
        stage.after_at.push_back(name.at);
      }
    }
  }
}

void Resolver::CheckStageAgents(const StageDoc& stage) {
  std::unordered_set<std::string_view> agents;
  for (const Named& name : stage.agents) {
    FindAgent(name, fmt::format("stage {} names agent", Quote(stage.name.name)));
    agents.insert(name.name);
  }
  if (agents.empty()) return;
  for (const StageEntry& entry : stage.tasks) {
    if (entry.index == kNone) continue;
    for (std::uint32_t i = entry.index; i < document_.tasks[entry.index].end; ++i) {
      const TaskDoc& task = document_.tasks[i];
      if (task.kind != TaskKind::Agent || task.agent.at == kNoPlace) continue;
      if (agents.count(task.agent.name) > 0) continue;
      problems_.Warning(
          entry.task.at, "stage-agent",
          fmt::format("task {} has agent {}, which stage {} does not list", Quote(task.id),
                      Quote(task.agent.name), Quote(stage.name.name)));
    }
  }
}

void Resolver::ResolveTask(std::uint32_t index) {
  TaskDoc& task = document_.tasks[index];
  const std::string whose = "task " + Quote(task.id);
  if (task.owns_agent) {
    if (task.agent.at != kNoPlace) task.agent_index = FindAgent(task.agent, whose + " has agent");
  } else if (task.has_agent) {
    task.agent_index = document_.tasks[task.parent].agent_index;
  }
  for (Named& name : task.depends_on) {
    name.index = names_.Require(name, index, whose + " depends on");
  }
  for (Named& name : task.parallel_with) {
    name.index = names_.Require(name, index, whose + " runs parallel with");
  }
  if (task.on_error) ResolveOnError("on_error of " + whose, *task.on_error);
  if (task.condition_node != kNoNode) {
    task.condition = ReadCondition(reader_, names_, index, task);
  }
}

void AddAskedForFailed(const Condition& condition, std::vector<std::uint32_t>& tasks) {
  if (condition.op == Condition::Op::TaskStatus && condition.status == AskedStatus::Failed &&
      condition.task != kNone) {
    tasks.push_back(condition.task);
  }
  for (const Condition& part : condition.parts) AddAskedForFailed(part, tasks);
}

// Marks what conditions ask `failed` of, subtasks included.
void Resolver::NoteAsked() {
  std::vector<std::uint32_t> asked;
  for (const TaskDoc& task : document_.tasks) {
    if (task.condition) AddAskedForFailed(*task.condition->condition, asked);
  }
  for (std::uint32_t task : asked) document_.tasks[task].asked_for_failed = true;
  for (TaskDoc& task : document_.tasks) {
    if (task.parent != kNone && document_.tasks[task.parent].asked_for_failed) {
      task.asked_for_failed = true;
    }
  }
}

void Resolver::WarnAboutParallel() {
  const bool any = std::any_of(document_.tasks.begin(), document_.tasks.end(),
                               [](const TaskDoc& task) { return !task.parallel_with.empty(); });
  if (!any) return;
  for (std::uint32_t i = 0; i < document_.tasks.size(); ++i) {
    for (const Named& need : document_.tasks[i].depends_on) {
      edges_.insert((std::uint64_t{i} << 32) | need.index);
    }
  }
  for (std::uint32_t i = 0; i < document_.tasks.size(); ++i) WarnAboutParallelOf(i);
}

void Resolver::WarnAboutParallelOf(std::uint32_t index) {
  const TaskDoc& task = document_.tasks[index];
  const auto depends = [&](std::uint32_t a, std::uint32_t b) {
    return edges_.count((std::uint64_t{a} << 32) | b) > 0;
  };
  for (const Named& name : task.parallel_with) {
    const std::uint32_t other = name.index;
    if (other == kNone) continue;
    std::string what;
    if (other == index) {
      what = "itself";
    } else if (depends(index, other)) {
      what = Quote(document_.tasks[other].id) + ", on which it depends";
    } else if (depends(other, index)) {
      what = Quote(document_.tasks[other].id) + ", which depends on it";
    } else {
      continue;
    }
    problems_.Warning(name.at, "parallel-with",
                      fmt::format("task {} cannot run parallel with {}", Quote(task.id), what));
  }
}

void Resolver::ResolveOnError(const std::string& whose, OnErrorDoc& on_error) {
  if (!on_error.fallback_names) return;
  std::unordered_set<std::uint32_t> seen;
  for (const Named& name : *on_error.fallback_names) {
    const std::uint32_t agent = FindAgent(name, whose + " names agent");
    if (agent == kNone) continue;
    if (seen.insert(agent).second) {
      on_error.fallback_agents.push_back(agent);
    } else {
      problems_.Error(name.at, "bad-value",
                      fmt::format("{} names agent {} twice", whose, Quote(name.name)));
    }
  }
}

void Resolver::CheckAgent(AgentDoc& doc) {
  if (doc.provider_refused) return;
  if (document_.provider_refused && !doc.provider && doc.command == kNoNode && !doc.has_mock)
    return;
  doc.agent.provider = ProviderOf(doc, document_);
  const bool command = doc.agent.provider == Provider::Command;
  if (command && doc.command == kNoNode) {
    problems_.Error(
        doc.at, "missing-key",
        fmt::format("agent {} needs \"command\": its provider is command", Quote(doc.agent.name)));
  } else if (!command && doc.command != kNoNode) {
    problems_.Error(
        doc.command_at, "kind",
        fmt::format("agent {} has provider {}, which has no \"command\"", Quote(doc.agent.name),
                    doc.agent.provider == Provider::Mock ? "mock" : "claude"));
  }
}

// What depends on where a task's rules come from.
void Resolver::CheckRules(const TaskDoc& task) {
  if (!task.kind || task.kind == TaskKind::Parent) return;
  const OnErrorChain chain = OnErrorOf(task, document_);
  const RecoveryRules rules = MergeRules(chain, task.asked_for_failed);
  const bool prompt = task.kind == TaskKind::Agent || !rules.fallback_agents.empty();
  if (prompt && reader_.tree.Find(task.node, "description") == kNoNode) {
    problems_.Error(task.at, "missing-key",
                    fmt::format("task {} needs \"description\": it is the prompt of its {}agent",
                                Quote(task.id), task.kind == TaskKind::Agent ? "" : "fallback "));
  }
  for (const OnErrorDoc* source : chain) {
    if (!source->fallback_names) continue;
    for (const Named& name : *source->fallback_names) {
      if (task.kind != TaskKind::Agent || name.name != task.agent.name) continue;
      problems_.Warning(name.at, "same-agent",
                        fmt::format("fallback agent {} of task {} is its own agent",
                                    Quote(name.name), Quote(task.id)));
    }
    break;
  }
  if (rules.max_retry_delay >= rules.retry_delay) return;
  std::uint32_t at = task.at;
  for (const OnErrorDoc* source : chain) {
    if (!source->max_retry_delay) continue;
    at = source->max_retry_delay_at;
    break;
  }
  problems_.Error(
      at, "out-of-range",
      fmt::format("\"max_retry_delay_secs\" of task {} is {}, less than its "
                  "\"retry_delay_secs\", which is {}",
                  Quote(task.id), ToSeconds(rules.max_retry_delay), ToSeconds(rules.retry_delay)));
}

}  // namespace

void ResolveNames(Reader& reader, Document& document) { Resolver(reader, document).Resolve(); }

OnErrorChain OnErrorOf(const TaskDoc& task, const Document& document) {
  OnErrorChain chain;
  for (const TaskDoc* at = &task;; at = &document.tasks[at->parent]) {
    if (at->on_error) chain.push_back(at->on_error.get());
    if (at->parent == kNone) break;
  }
  if (task.agent_index != kNone) chain.push_back(&document.agents[task.agent_index].on_error);
  chain.push_back(&document.on_error);
  return chain;
}

RecoveryRules MergeRules(const OnErrorChain& chain, bool asked_for_failed) {
  const auto first = [&](auto member, auto otherwise) {
    for (const OnErrorDoc* source : chain) {
      if (source->*member) return *(source->*member);
    }
    return otherwise;
  };
  RecoveryRules rules;
  rules.retry = first(&OnErrorDoc::retry, rules.retry);
  rules.retry_delay = first(&OnErrorDoc::retry_delay, rules.retry_delay);
  rules.exponential_backoff = first(&OnErrorDoc::exponential_backoff, rules.exponential_backoff);
  rules.max_retry_delay = first(&OnErrorDoc::max_retry_delay,
                                std::max<Duration>(rules.max_retry_delay, rules.retry_delay));
  rules.jitter = first(&OnErrorDoc::jitter, rules.jitter);
  rules.no_retry_on = first(&OnErrorDoc::no_retry_on, rules.no_retry_on);
  rules.fallback_retry = first(&OnErrorDoc::fallback_retry, rules.fallback_retry);
  rules.on_exhausted = first(&OnErrorDoc::on_exhausted,
                             asked_for_failed ? OnExhausted::Continue : OnExhausted::Abort);
  rules.prefer_other_worker = first(&OnErrorDoc::prefer_other_worker, rules.prefer_other_worker);
  for (const OnErrorDoc* source : chain) {
    if (!rules.retry_on) rules.retry_on = source->retry_on;
  }
  for (const OnErrorDoc* source : chain) {
    if (!source->fallback_names) continue;
    rules.fallback_agents = source->fallback_agents;
    break;
  }
  return rules;
}

Provider ProviderOf(const AgentDoc& agent, const Document& document) {
  if (agent.provider) return *agent.provider;
  if (agent.command != kNoNode) return Provider::Command;
  if (agent.has_mock) return Provider::Mock;
  return document.provider.value_or(Provider::Claude);
}

}  // namespace troupe
