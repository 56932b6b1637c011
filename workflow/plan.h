// What a run executes: the workflow file after parsing, checking and resolving.
//
// Names have become indexes, defaults have been filled in, stages have become edges. A plan never
// changes; the coordinator shares it between the run's tasks. Order is the file's order and is
// what ties are broken by.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/attempt.h"
#include "base/failure.h"
#include "base/time.h"
#include "workflow/template.h"

namespace troupe {

inline constexpr std::uint32_t kNone = 0xFFFF'FFFF;  // "No such index."

// Timeouts, limits and placement: what a task, an agent or the root says. Not set: ask the next
// (task, enclosing parents, agent, root; then the default).
struct Settings {
  std::optional<Duration> timeout = {};
  std::optional<Duration> silence = {};
  std::optional<Duration> queue_timeout = {};
  std::optional<std::uint64_t> max_stdout_bytes = {};
  std::optional<std::uint64_t> max_stderr_bytes = {};
  std::optional<std::uint64_t> max_combined_bytes = {};
  std::optional<Truncation> truncation = {};
  std::optional<std::vector<std::string>> labels = {};
  bool operator==(const Settings&) const = default;
};

enum class OnExhausted : std::uint8_t { Abort, Skip, Continue };

// A task's resolved on_error rules.
struct RecoveryRules {
  std::uint32_t retry = 0;
  Duration retry_delay = std::chrono::seconds(1);
  bool exponential_backoff = false;
  Duration max_retry_delay = std::chrono::seconds(60);
  double jitter = 0;
  std::optional<std::uint32_t> retry_on = {};  // Bit per FailureClass; not set: the defaults.
  std::uint32_t no_retry_on = 0;               // Bit per FailureClass.
  std::vector<std::uint32_t> fallback_agents = {};
  std::uint32_t fallback_retry = 0;
  OnExhausted on_exhausted = OnExhausted::Abort;
  bool prefer_other_worker = true;
  bool operator==(const RecoveryRules&) const = default;
};

struct BreakerRules {
  std::uint32_t failures = 5;
  Duration window = std::chrono::seconds(60);
  Duration cooldown = std::chrono::seconds(60);
};

enum class Provider : std::uint8_t { Claude, Command, Mock };

struct MockRules {
  std::uint32_t fail_times = 0;  // kNone: always.
  FailureClass failure = FailureClass::AgentError;
  Duration retry_after{};
  Duration sleep{};
  std::string output = "ok";
  bool echo = false;
  std::string result_json = "";  // Empty: none.
};

using EnvTemplates = std::vector<std::pair<std::string, Template>>;

struct Agent {
  std::string name = "";
  std::string description = "";
  Provider provider = Provider::Claude;
  std::string model = "";
  Template system_prompt = {};  // Empty: none.
  std::vector<std::string> tools = {};
  std::string permission_mode = "default";
  std::vector<Template> allowed_directories = {};
  std::uint32_t max_turns = 0;       // 0: not set.
  std::optional<Template> cwd = {};  // The agent's, else the root's.
  bool create_cwd = false;
  EnvTemplates env = {};
  std::vector<std::string> pass_env = {};
  bool shell = false;                  // provider command: command[0] is for sh -c.
  std::vector<Template> command = {};  // {{prompt}} and {{prompt_file}} stay literal.
  PromptMode prompt = PromptMode::Stdin;
  ResultMode result = ResultMode::Text;
  std::uint32_t max_concurrent = kNone;
  MockRules mock = {};
  std::optional<BreakerRules> breaker = {};
  Settings settings = {};
};

enum class TaskKind : std::uint8_t { Agent, Command, Script };

// A task's own command or script.
struct OwnWork {
  bool shell = false;               // argv[0] is for sh -c.
  std::vector<Template> argv = {};  // Script: the interpreter.
  Template script_content = {};
  Template script_file = {};
  std::optional<Template> working_dir = {};  // The task's, else the root's cwd.
  bool create_working_dir = false;
  EnvTemplates env = {};
  bool capture_stdout = true;
  bool capture_stderr = false;
};

struct Dependency {
  enum class On : std::uint8_t { Task, Gate };
  On on = On::Task;
  std::uint32_t index = 0;
  auto operator<=>(const Dependency&) const = default;
};

struct PlannedTask {
  std::string id = "";  // Full id.
  TaskKind kind = TaskKind::Command;
  std::uint32_t agent = kNone;                      // kind Agent: index into Plan::agents.
  Template description = {};                        // The prompt; a label for the other kinds.
  std::shared_ptr<const OwnWork> work = {};         // kinds Command and Script.
  std::vector<Dependency> needs = {};               // Without repeats, sorted.
  std::uint32_t stage = kNone;                      // Index into Plan::stages.
  std::uint32_t priority = 0;                       // Lower starts first.
  std::shared_ptr<const RecoveryRules> rules = {};  // Shared by tasks with equal rules; never null.
  std::vector<std::pair<std::string, Template>> inputs = {};  // name → JSON text with references.
  std::string inputs_json = "{}";  // When no input holds a reference: all as one object.
  Template output = {};            // Path of the output file; empty: none.
  Settings settings = {};          // The task's own and its parents'.
  bool referenced = false;         // Another task or an output of the run uses its output.
  std::uint64_t fingerprint = 0;   // Of all that defines what it does, its agents included.
};

// Something tasks wait for that is not a task. It opens when all it needs is completed or skipped
// and, for a stage's gate, when the stage's hooks that are not async have finished. It is blocked
// as soon as one thing it needs is failed or blocked.
struct Gate {
  std::vector<Dependency> needs = {};
  std::uint32_t stage = kNone;
};

struct Stage {
  std::string name = "";
  std::vector<std::uint32_t> tasks = {};
  std::vector<std::uint32_t> after = {};  // Stages it depends on.
  std::uint32_t gate = kNone;             // Its gate; every stage has one.
};

enum class HookList : std::uint8_t { PreWorkflow, OnStageComplete, OnError, PostWorkflow };
inline constexpr int kHookListCount = 4;
constexpr std::string_view Name(HookList list) {
  constexpr std::string_view kNames[] = {"pre_workflow", "on_stage_complete", "on_error",
                                         "post_workflow"};
  return kNames[static_cast<std::size_t>(list)];
}

struct Hook {
  std::string command = "";
  std::string description = "";
  Duration timeout = std::chrono::seconds(300);
  bool async = false;
  bool fail = false;  // on_failure: fail. Else warn.
  EnvTemplates env = {};
  std::vector<std::string> runs_on = {};
};

enum class InputType : std::uint8_t { String, Number, Integer, Boolean, List, Object };
struct InputDeclaration {
  std::string name = "";
  InputType type = InputType::String;
  bool required = false;
  std::optional<std::string> default_json = {};
};

struct OutputDeclaration {
  std::string name = "";
  std::uint32_t task = kNone;  // {type: task_output, task}
};

struct Plan {
  std::string name = "";
  std::string version = "1.0.0";
  std::string workflow = "";  // The chosen one; "" without any.
  std::vector<Agent> agents = {};
  std::vector<PlannedTask> tasks = {};
  std::vector<Gate> gates = {};
  std::vector<Stage> stages = {};
  std::vector<Hook> hooks[kHookListCount] = {};  // The root's, then the workflow's.
  std::vector<InputDeclaration> inputs = {};
  std::vector<OutputDeclaration> outputs = {};
  std::vector<std::string> disallowed_tools = {};
  std::uint32_t max_parallel = kNone;
  std::uint32_t retry_budget = kNone;
  std::uint32_t worker_losses_max = 3;
  Duration rate_limit_wait_max = std::chrono::seconds(86'400);
  std::optional<BreakerRules> breaker = {};
  Settings settings = {};  // The root's.
};

// What holds for `task` when `agent` runs it (kNone: its own work): task, agent, root, defaults.
struct EffectiveSettings {
  Duration timeout{};  // 0: no limit, as for the two others.
  Duration silence{};
  Duration queue_timeout{};
  OutputLimits limits = {};
  std::vector<std::string> labels = {};
};
EffectiveSettings SettingsFor(const Plan& plan, const PlannedTask& task, std::uint32_t agent);

// The task's inputs as one JSON object. Unresolved as Fill(). What Ref::TaskInput looks up is a
// member of this; the references within inputs are never TaskInputs.
Result<std::string> FillInputs(const PlannedTask& task, const ValueSource& values);

// The order in which tasks would start if one ran at a time: what they need first; ties by
// priority, then by place in the file.
std::vector<std::uint32_t> StartOrder(const Plan& plan);

}  // namespace troupe
