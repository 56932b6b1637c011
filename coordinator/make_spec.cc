#include "coordinator/make_spec.h"

#include <fmt/format.h>

namespace troupe {
namespace {

// Fills templates into a spec; remembers the first error so that the caller reads straight through.
class Filler {
 public:
  explicit Filler(const ValueSource& values) : values_(values) {}

  std::string operator()(const Template& text) {
    Result<std::string> filled = Fill(text, values_);
    if (filled) return *std::move(filled);
    if (!error_) error_ = filled.error();
    return "";
  }
  std::vector<std::string> operator()(const std::vector<Template>& texts) {
    std::vector<std::string> filled;
    for (const Template& text : texts) filled.push_back((*this)(text));
    return filled;
  }
  std::vector<std::pair<std::string, std::string>> operator()(const EnvTemplates& env) {
    std::vector<std::pair<std::string, std::string>> filled;
    for (const auto& [name, text] : env) filled.emplace_back(name, (*this)(text));
    return filled;
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  const ValueSource& values_;
  std::optional<Error> error_;
};

void SetMock(const MockRules& rules, const TaskRecord& record, AttemptSpec& spec) {
  spec.kind = RunnerKind::Mock;
  const std::uint32_t before = record.attempts_by_step[record.step];
  if (rules.fail_times == kNone || before < rules.fail_times) {
    spec.mock.fail = rules.failure;
    spec.mock.retry_after = rules.retry_after;
  }
  spec.mock.sleep = rules.sleep;
  spec.mock.output = rules.echo ? spec.prompt : rules.output;
  spec.mock.result_json = rules.result_json;
}

void SetAgent(const Plan& plan, const Agent& agent, const PlannedTask& task,
              const TaskRecord& record, Filler& fill, AttemptSpec& spec) {
  spec.agent = agent.name;
  spec.model = agent.model;
  spec.prompt = fill(task.description);
  spec.env = fill(agent.env);
  spec.pass_env = agent.pass_env;
  if (agent.cwd) spec.working_dir = fill(*agent.cwd);
  spec.create_working_dir = agent.create_cwd;
  const std::string system = fill(agent.system_prompt);
  switch (agent.provider) {
    case Provider::Mock:
      SetMock(agent.mock, record, spec);
      return;
    case Provider::Command:
      spec.kind = RunnerKind::AgentCommand;
      spec.shell = agent.shell;
      spec.argv = fill(agent.command);
      spec.prompt_mode = agent.prompt;
      spec.result_mode = agent.result;
      if (!system.empty()) spec.prompt = system + "\n\n" + spec.prompt;
      return;
    case Provider::Claude:
      spec.kind = RunnerKind::Claude;
      spec.prompt_mode = PromptMode::Stdin;
      spec.claude = {.system_prompt = system,
                     .permission_mode = agent.permission_mode,
                     .tools = agent.tools,
                     .disallowed_tools = plan.disallowed_tools,
                     .allowed_directories = fill(agent.allowed_directories),
                     .max_turns = agent.max_turns};
      return;
  }
}

void SetOwnWork(const PlannedTask& task, Filler& fill, AttemptSpec& spec) {
  const OwnWork& work = *task.work;
  spec.kind = task.kind == TaskKind::Script ? RunnerKind::Script : RunnerKind::Command;
  spec.shell = work.shell;
  spec.argv = fill(work.argv);
  spec.script_content = fill(work.script_content);
  spec.script_file = fill(work.script_file);
  spec.env = fill(work.env);
  if (work.working_dir) spec.working_dir = fill(*work.working_dir);
  spec.create_working_dir = work.create_working_dir;
  spec.capture_stdout = work.capture_stdout;
  spec.capture_stderr = work.capture_stderr;
}

std::size_t BytesOf(const AttemptSpec& spec) {
  std::size_t bytes = spec.script_content.size() + spec.script_file.size() + spec.prompt.size() +
                      spec.inputs_json.size() + spec.working_dir.size() + spec.output_path.size() +
                      spec.claude.system_prompt.size() + spec.mock.output.size() +
                      spec.mock.result_json.size();
  for (const std::string& word : spec.argv) bytes += word.size();
  for (const auto& [name, value] : spec.env) bytes += name.size() + value.size();
  for (const std::string& directory : spec.claude.allowed_directories) bytes += directory.size();
  return bytes;
}

}  // namespace

std::string ProviderFor(const Plan& plan, std::uint32_t agent) {
  if (agent == kNone) return "command";
  switch (plan.agents[agent].provider) {
    case Provider::Mock:
      return "mock";
    case Provider::Command:
      return "command";
    case Provider::Claude:
      return "claude";
  }
  return "";
}

Result<AttemptSpec> MakeTaskSpec(const Plan& plan, const RunRecord& run, const TextOwner& owner,
                                 std::uint32_t agent, const TaskRecord& record, const AttemptId& id,
                                 const ValueSource& values) {
  const PlannedTask& task = *owner.task;
  Filler fill(values);
  Result<AttemptSpec> made{std::in_place};
  AttemptSpec& spec = *made;
  spec.id = id;
  spec.task = owner.id;
  spec.run_dir = run.run_dir;
  if (agent != kNone) {
    SetAgent(plan, plan.agents[agent], task, record, fill, spec);
  } else if (task.work != nullptr) {
    SetOwnWork(task, fill, spec);
  } else {
    return Error{ErrorCode::Invalid, "this kind of task is not supported"};
  }
  spec.output_path = fill(task.extra->output);
  if (task.extra->inputs.empty()) {
    spec.inputs_json = task.extra->inputs_json;
  } else {
    Result<std::string> inputs = FillInputs(task, values);
    if (!inputs) return inputs.error();
    spec.inputs_json = *std::move(inputs);
  }
  if (fill.error()) return *fill.error();
  if (spec.prompt.size() > kPromptBytesMax) {
    return Error{ErrorCode::Invalid, fmt::format("the prompt has {} bytes; the limit is {}",
                                                 spec.prompt.size(), kPromptBytesMax)};
  }
  if (const std::size_t bytes = BytesOf(spec); bytes > kSpecBytesMax) {
    return Error{ErrorCode::Invalid, fmt::format("the texts of the attempt have {} bytes; the "
                                                 "limit is {}",
                                                 bytes, kSpecBytesMax)};
  }
  const EffectiveSettings settings = SettingsFor(plan, task, agent);
  spec.timeout = settings.timeout;
  spec.silence = settings.silence;
  spec.limits = settings.limits;
  return made;
}

Result<AttemptSpec> MakeCollectionSpec(const Plan& plan, const RunRecord& run,
                                       const PlannedTask& loop, const AttemptId& id,
                                       const ValueSource& values) {
  Filler fill(values);
  AttemptSpec spec;
  spec.id = id;
  spec.kind = RunnerKind::Collection;
  spec.task = loop.id;
  spec.run_dir = run.run_dir;
  spec.script_file = fill(loop.extra->loop->path);
  spec.collection_format = loop.extra->loop->format;
  if (fill.error()) return *fill.error();
  spec.timeout = SettingsFor(plan, loop, kNone).timeout;
  return spec;
}

Result<AttemptSpec> MakeHookSpec(const Hook& hook, const RunRecord& run, const HookRecord& record,
                                 const AttemptId& id, const ValueSource& values,
                                 std::vector<std::pair<std::string, std::string>> environment) {
  Filler fill(values);
  AttemptSpec spec;
  spec.id = id;
  spec.kind = RunnerKind::Hook;
  spec.task = fmt::format("{}[{}]", Name(static_cast<HookList>(record.list)), record.index);
  spec.shell = true;
  spec.argv = {hook.command};
  spec.run_dir = run.run_dir;
  spec.timeout = hook.timeout;
  spec.env = fill(hook.env);
  for (auto& variable : environment) spec.env.push_back(std::move(variable));
  if (fill.error()) return *fill.error();
  return spec;
}

}  // namespace troupe
