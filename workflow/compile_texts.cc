#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "workflow/build_plan.h"
#include "workflow/resolve.h"
#include "workflow/values.h"

namespace troupe {
namespace {

class TextCompiler {
 public:
  TextCompiler(Reader& reader, Document& document, References& references)
      : reader_(reader), document_(document), references_(references) {}

  CompiledTexts Compile(bool keep);

 private:
  Agent CompileAgent(const AgentDoc& doc);
  void CompileCommand(const AgentDoc& doc, Agent& agent);
  PlannedTask CompileTask(std::uint32_t index);
  OwnWork CompileWork(const WorkDoc& doc, const Scope& scope);
  HooksDoc CompileHooks(const HooksDoc& hooks);
  std::shared_ptr<const Loop> CompileLoop(const LoopDoc& doc, const Scope& scope);
  std::optional<Template> WorkingDirectory(NodeId own, const Scope& scope);

  Reader& reader_;
  Document& document_;
  References& references_;
  std::optional<Template> root_cwd_;
};

// A string for a shell: never substituted.
Template Verbatim(const Tree& tree, NodeId node) { return Literal(std::string(tree.Text(node))); }

// Inputs without references as one JSON object.
std::string JsonOf(const std::vector<std::pair<std::string, Template>>& inputs) {
  std::string json = "{";
  for (const auto& [name, text] : inputs) {
    if (json.size() > 1) json += ',';
    json += JsonString(name) + ":" + std::get<std::string>(text[0]);
  }
  return json + "}";
}

bool VariesByIteration(const Template& text) {
  return std::any_of(text.begin(), text.end(), [](const auto& piece) {
    const auto* ref = std::get_if<Ref>(&piece);
    return ref != nullptr &&
           (ref->kind == Ref::Kind::LoopIndex || ref->kind == Ref::Kind::LoopItem);
  });
}

CompiledTexts TextCompiler::Compile(bool keep) {
  CompiledTexts texts;
  if (document_.cwd != kNoNode) root_cwd_ = references_.Compile(document_.cwd, {});
  for (const AgentDoc& agent : document_.agents) texts.agents.push_back(CompileAgent(agent));
  if (keep) texts.tasks.reserve(document_.tasks.size());
  for (std::uint32_t i = 0; i < document_.tasks.size(); ++i) {
    PlannedTask task = CompileTask(i);
    document_.tasks[i].work.reset();
    if (keep) texts.tasks.push_back(std::move(task));
  }
  texts.root_hooks = CompileHooks(document_.hooks);
  for (const WorkflowDoc& workflow : document_.workflows) {
    texts.workflow_hooks.push_back(CompileHooks(workflow.hooks));
  }
  return texts;
}

std::optional<Template> TextCompiler::WorkingDirectory(NodeId own, const Scope& scope) {
  if (own != kNoNode) return references_.Compile(own, scope);
  return root_cwd_;
}

Agent TextCompiler::CompileAgent(const AgentDoc& doc) {
  Agent agent = doc.agent;
  agent.provider = ProviderOf(doc, document_);
  if (!doc.has_model) agent.model = document_.model;
  if (!doc.has_tools) agent.tools = document_.allowed_tools;
  const auto forbidden = [&](const std::string& tool) {
    return std::find(document_.disallowed_tools.begin(), document_.disallowed_tools.end(), tool) !=
           document_.disallowed_tools.end();
  };
  agent.tools.erase(std::remove_if(agent.tools.begin(), agent.tools.end(), forbidden),
                    agent.tools.end());
  agent.create_cwd = doc.create_cwd.value_or(document_.create_cwd);
  agent.cwd = WorkingDirectory(doc.cwd, {});
  agent.system_prompt = references_.CompileOptional(doc.system_prompt, {});
  agent.env = references_.Compile(doc.env, {});
  for (NodeId directory : doc.allowed_directories) {
    agent.allowed_directories.push_back(references_.Compile(directory, {}));
  }
  if (doc.command != kNoNode) CompileCommand(doc, agent);
  return agent;
}

void TextCompiler::CompileCommand(const AgentDoc& doc, Agent& agent) {
  if (agent.shell) {
    agent.command.push_back(Verbatim(reader_.tree, doc.command));
    return;
  }
  bool prompt = false;
  bool prompt_file = false;
  for (NodeId item : ReadTexts(reader_, {"command", doc.command})) {
    agent.command.push_back(references_.Compile(item, {.prompt_placeholders = true}));
    for (const auto& piece : agent.command.back()) {
      const auto* text = std::get_if<std::string>(&piece);
      if (text == nullptr) continue;
      prompt = prompt || text->find("{{prompt}}") != std::string::npos;
      prompt_file = prompt_file || text->find("{{prompt_file}}") != std::string::npos;
    }
  }
  const auto wrong = [&](std::string message) {
    reader_.problems.Error(doc.command_at, "unknown-reference", std::move(message));
  };
  const std::string name = Quote(agent.name);
  if (agent.prompt == PromptMode::Arg && !prompt) {
    wrong(fmt::format("the command of agent {} has no {{{{prompt}}}}, but its \"prompt\" is arg",
                      name));
  }
  if (agent.prompt != PromptMode::Arg && prompt) {
    wrong(fmt::format("the command of agent {} has {{{{prompt}}}}, but its \"prompt\" is not arg",
                      name));
  }
  if (agent.prompt != PromptMode::File && prompt_file) {
    wrong(fmt::format(
        "the command of agent {} has {{{{prompt_file}}}}, but its \"prompt\" is not file", name));
  }
}

PlannedTask TextCompiler::CompileTask(std::uint32_t index) {
  const TaskDoc& doc = document_.tasks[index];
  const Scope scope{.task = index};
  PlannedTask task;
  task.id = doc.id;
  task.kind = doc.kind.value_or(TaskKind::Command);
  if (task.kind == TaskKind::Agent) task.agent = doc.agent_index;
  task.description = references_.CompileOptional(doc.description, scope);
  if (doc.work) task.work = std::make_shared<const OwnWork>(CompileWork(*doc.work, scope));
  task.priority = doc.priority;
  PlannedExtras extra;
  extra.output = references_.CompileOptional(doc.output, scope);
  if (doc.loop && doc.output != kNoNode && !VariesByIteration(extra.output)) {
    reader_.problems.Error(
        reader_.tree.At(doc.output), "loop-output",
        fmt::format("all iterations would write {}; put ${{loop.index}} into the path",
                    Quote(reader_.tree.Text(doc.output))));
  }
  bool holds_references = false;
  extra.inputs = references_.CompileInputs(index, holds_references);
  // What belongs to the loop as a whole knows nothing of its iterations.
  const bool inputs_vary =
      std::any_of(extra.inputs.begin(), extra.inputs.end(),
                  [](const auto& input) { return VariesByIteration(input.second); });
  if (!holds_references && !extra.inputs.empty()) {
    extra.inputs_json = JsonOf(extra.inputs);
    extra.inputs.clear();
  }
  const Scope whole{.task = index, .inputs_vary = inputs_vary, .iteration = false};
  if (doc.loop) extra.loop = CompileLoop(*doc.loop, whole);
  Scope ended = whole;
  ended.ended = true;
  extra.notify = references_.CompileOptional(doc.notify, ended);
  ended = scope;
  ended.ended = true;
  extra.set = references_.CompileSet(doc.set, ended);
  const bool none = doc.output == kNoNode && doc.inputs == kNoNode && doc.notify == kNoNode &&
                    doc.set == kNoNode && !doc.loop;
  if (!none) task.extra = std::move(extra);
  return task;
}

std::shared_ptr<const Loop> TextCompiler::CompileLoop(const LoopDoc& doc, const Scope& scope) {
  Loop loop = doc.loop;
  loop.path = references_.CompileOptional(doc.path, scope);
  if (doc.items != kNoNode) {
    for (const Field& item : reader_.List({"items", doc.items})) {
      loop.items.push_back(ToJson(reader_, item.node));
    }
  }
  return std::make_shared<const Loop>(std::move(loop));
}

OwnWork TextCompiler::CompileWork(const WorkDoc& doc, const Scope& scope) {
  OwnWork work;
  if (doc.shell != kNoNode) {
    work.shell = true;
    work.argv.push_back(Verbatim(reader_.tree, doc.shell));
  }
  if (!doc.interpreter.empty()) work.argv.push_back(Literal(std::string(doc.interpreter)));
  for (NodeId word : doc.argv) work.argv.push_back(references_.Compile(word, scope));
  Scope code = scope;
  code.code = true;
  work.script_content = references_.CompileOptional(doc.content, code);
  work.script_file = references_.CompileOptional(doc.file, scope);
  work.working_dir = WorkingDirectory(doc.working_dir, scope);
  work.create_working_dir = document_.create_cwd;
  work.env = references_.Compile(doc.env, scope);
  work.capture_stdout = doc.capture_stdout;
  work.capture_stderr = doc.capture_stderr;
  return work;
}

HooksDoc TextCompiler::CompileHooks(const HooksDoc& hooks) {
  HooksDoc compiled = hooks;
  for (std::vector<HookDoc>& list : compiled.lists) {
    for (HookDoc& doc : list) doc.hook.env = references_.Compile(doc.env, {});
  }
  return compiled;
}

}  // namespace

CompiledTexts CompileTexts(Reader& reader, Document& document, References& references, bool keep) {
  return TextCompiler(reader, document, references).Compile(keep);
}

}  // namespace troupe
