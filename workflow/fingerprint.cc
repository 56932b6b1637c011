#include "workflow/build_plan.h"

namespace troupe {
namespace {

// FNV-1a over a sequence of parts; each part is told apart from the next.
class Hash {
 public:
  void Add(std::string_view text) {
    Add(std::uint64_t{text.size()});
    for (char c : text) AddByte(static_cast<unsigned char>(c));
  }
  void Add(std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) {
      AddByte(static_cast<unsigned char>((number >> shift) & 0xFF));
    }
  }
  void Add(const Template& text) {
    Add(std::uint64_t{text.size()});
    for (const auto& piece : text) {
      if (const auto* literal = std::get_if<std::string>(&piece)) {
        Add(std::string_view(*literal));
      } else {
        // By its name, as the number of a task changes when tasks are added.
        Add(std::uint64_t{1});
        Add(std::string_view(std::get<Ref>(piece).words->written));
      }
    }
  }
  void Add(const std::optional<Template>& text) {
    Add(std::uint64_t{text.has_value()});
    if (text) Add(*text);
  }
  void Add(const std::vector<Template>& texts) {
    Add(std::uint64_t{texts.size()});
    for (const Template& text : texts) Add(text);
  }
  void Add(const std::vector<std::string>& texts) {
    Add(std::uint64_t{texts.size()});
    for (const std::string& text : texts) Add(std::string_view(text));
  }
  void Add(const EnvTemplates& env) {
    Add(std::uint64_t{env.size()});
    for (const auto& [name, text] : env) {
      Add(std::string_view(name));
      Add(text);
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  void AddByte(unsigned char byte) {
    value_ ^= byte;
    value_ *= 0x100000001B3u;
  }
  std::uint64_t value_ = 0xCBF29CE484222325u;
};

template <class Enum>
std::uint64_t Number(Enum value) {
  return static_cast<std::uint64_t>(value);
}

void Add(const Condition& condition, const std::vector<std::string_view>& ids, Hash& hash) {
  hash.Add(Number(condition.op));
  hash.Add(condition.task == kNone ? "" : ids[condition.task]);
  hash.Add(Number(condition.status));
  hash.Add(std::string_view(condition.key));
  hash.Add(std::string_view(condition.value_json));
  hash.Add(std::uint64_t{condition.parts.size()});
  for (const Condition& part : condition.parts) Add(part, ids, hash);
}

void Add(const Loop& loop, Hash& hash) {
  hash.Add(std::string_view(loop.iterator));
  hash.Add(Number(loop.source));
  hash.Add(loop.items);
  for (std::int64_t bound : {loop.start, loop.end, loop.step}) {
    hash.Add(static_cast<std::uint64_t>(bound));
  }
  hash.Add(loop.path);
  hash.Add(Number(loop.format));
}

}  // namespace

std::uint64_t Fingerprint(const Agent& agent) {
  Hash hash;
  hash.Add(std::string_view(agent.name));
  hash.Add(Number(agent.provider));
  hash.Add(std::string_view(agent.model));
  hash.Add(agent.system_prompt);
  hash.Add(agent.tools);
  hash.Add(std::string_view(agent.permission_mode));
  hash.Add(agent.allowed_directories);
  hash.Add(std::uint64_t{agent.max_turns});
  hash.Add(agent.cwd);
  hash.Add(agent.env);
  hash.Add(agent.pass_env);
  hash.Add(std::uint64_t{agent.shell});
  hash.Add(agent.command);
  hash.Add(Number(agent.prompt));
  hash.Add(Number(agent.result));
  hash.Add(std::uint64_t{agent.mock.fail_times});
  hash.Add(Number(agent.mock.failure));
  hash.Add(std::string_view(agent.mock.output));
  hash.Add(std::uint64_t{agent.mock.echo});
  hash.Add(std::string_view(agent.mock.result_json));
  return hash.value();
}

std::uint64_t Fingerprint(const PlannedTask& task, const std::vector<std::uint64_t>& agents,
                          const std::vector<std::string_view>& ids) {
  Hash hash;
  hash.Add(std::string_view(task.id));
  hash.Add(Number(task.kind));
  hash.Add(task.agent == kNone ? std::uint64_t{0} : agents[task.agent]);
  for (std::uint32_t agent : task.rules->fallback_agents) hash.Add(agents[agent]);
  hash.Add(task.description);
  hash.Add(task.extra->output);
  hash.Add(std::string_view(task.extra->inputs_json));
  hash.Add(task.extra->inputs);
  if (task.work != nullptr) {
    const OwnWork& work = *task.work;
    hash.Add(std::uint64_t{work.shell});
    hash.Add(work.argv);
    hash.Add(work.script_content);
    hash.Add(work.script_file);
    hash.Add(work.working_dir);
    hash.Add(work.env);
    hash.Add(std::uint64_t{work.capture_stdout});
    hash.Add(std::uint64_t{work.capture_stderr});
  }
  if (task.extra->condition != nullptr) Add(*task.extra->condition, ids, hash);
  if (task.extra->loop != nullptr) Add(*task.extra->loop, hash);
  for (const StateWrite& write : task.extra->set) {
    hash.Add(std::string_view(write.key));
    hash.Add(std::uint64_t{write.json});
    hash.Add(write.value);
  }
  if (!task.extra->notify.empty()) hash.Add(task.extra->notify);
  return hash.value();
}

}  // namespace troupe
