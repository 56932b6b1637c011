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
#include "base/rare.h"
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
  std::optional<BreakerRules> breaker = {};  // The agent's, else the root's.
  Settings settings = {};
};

// Parent: never runs; a join of its subtasks. Unsupported: work that this program cannot do;
// started with --lenient, it fails when its turn comes, so that a fallback agent may do it.
enum class TaskKind : std::uint8_t { Agent, Command, Script, Parent, Unsupported };

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

// What a condition may ask of a task.
enum class AskedStatus : std::uint8_t { Completed, Failed, Skipped, Pending, Running };

struct Condition {
  enum class Op : std::uint8_t {
    Always,
    Never,
    TaskStatus,
    StateEquals,
    StateExists,
    And,
    Or,
    Not
  };
  Op op = Op::Always;
  std::uint32_t task = kNone;                   // TaskStatus
  AskedStatus status = AskedStatus::Completed;  // TaskStatus
  std::string key = "";                         // StateEquals, StateExists
  std::string value_json = "";                  // StateEquals
  std::vector<Condition> parts = {};            // And, Or; Not has one.
};

// A loop over a collection. Its iterations are tasks of their own, made when their turn comes.
struct Loop {
  enum class Source : std::uint8_t { Inline, Range, File };
  std::string iterator = "";  // The loop variable.
  bool parallel = false;
  std::uint32_t max_parallel = kNone;  // Iterations that have begun and are not settled.
  Source source = Source::Inline;
  std::vector<std::string> items = {};  // Inline: JSON texts.
  std::int64_t start = 0;               // Range: `end` is excluded.
  std::int64_t end = 0;
  std::int64_t step = 1;
  Template path = {};  // File
  CollectionFormat format = CollectionFormat::Json;
};
// The number of items of a range.
std::uint64_t RangeItems(const Loop& loop);

// A key of the run's state that a task writes when it completes. `json`: `value` is JSON text with
// references within its strings; else a text, and one reference alone keeps its type (FillTyped).
struct StateWrite {
  std::string key = "";
  bool json = false;
  Template value = {};
};

struct Dependency {
  enum class On : std::uint8_t { Task, Gate };
  On on = On::Task;
  std::uint32_t index = 0;
  auto operator<=>(const Dependency&) const = default;
};

// What few tasks have.
struct PlannedExtras {
  std::vector<std::uint32_t> subtasks = {};         // kind Parent: in reading order.
  std::uint32_t gate = kNone;                       // kind Parent: the gate its subtasks wait for.
  std::shared_ptr<const Condition> condition = {};  // Null: none.
  // Tasks whose end alone the condition waits for: that they failed or are blocked does not block
  // this task. Sorted. `needs` (of a parent: its gate's) has an edge to each of them, maybe through
  // the gate of a stage.
  std::vector<std::uint32_t> asks = {};
  std::shared_ptr<const Loop> loop = {};  // Null: none. This task is then what iterations are like.
  std::vector<StateWrite> set = {};
  Template notify = {};                                       // on_complete.notify; empty: none.
  std::vector<std::pair<std::string, Template>> inputs = {};  // name → JSON text with references.
  std::string inputs_json = "{}";  // When no input holds a reference: all as one object.
  Template output = {};            // Path of the output file; empty: none.
};

// There may be a million of them, so that their size counts.
struct PlannedTask {
  std::string id = "";  // Full id.
  TaskKind kind = TaskKind::Command;
  bool referenced = false;       // Another task or an output of the run uses its output.
  std::uint32_t agent = kNone;   // kind Agent: index into Plan::agents.
  std::uint32_t parent = kNone;  // The enclosing parent: an index into Plan::tasks.
  std::uint32_t stage = kNone;   // Index into Plan::stages; a subtask's is its parent's.
  std::uint32_t priority = 0;    // Lower starts first.
  Template description = {};     // The prompt; a label for the other kinds.
  std::shared_ptr<const OwnWork> work = {};  // kinds Command and Script.
  // Without repeats, sorted. Of a parent: its subtasks; what the parent itself waits for is what
  // its gate needs.
  std::vector<Dependency> needs = {};
  // Shared by tasks with equal ones.
  std::shared_ptr<const RecoveryRules> rules = {};  // Never null.
  std::shared_ptr<const Settings> settings = {};    // Its own and its parents'. Null: none.
  std::uint64_t fingerprint = 0;  // Of all that defines what it does, its agents included.
  Rare<PlannedExtras> extra = {};
};

// Something tasks wait for that is not a task. It opens when all it needs is completed or skipped
// and, for a stage's gate, when the stage's hooks that are not async have finished. It is blocked
// as soon as one thing it needs is failed or blocked.
//
// The gate of a parent opens when it has all it needs and the parent's condition holds.
struct Gate {
  std::vector<Dependency> needs = {};
  std::uint32_t stage = kNone;
  std::uint32_t parent = kNone;
};

struct Stage {
  std::string name = "";
  std::vector<std::uint32_t> tasks = {};  // Top-level ones; a parent stands for its subtasks.
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
  std::string state_key = "";  // {type: state, key}, when task is kNone.
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
// Only this one of them.
Duration QueueTimeoutFor(const Plan& plan, const PlannedTask& task, std::uint32_t agent);

// The task's inputs as one JSON object. Unresolved as Fill(). What Ref::TaskInput looks up is a
// member of this; the references within inputs are never TaskInputs.
Result<std::string> FillInputs(const PlannedTask& task, const ValueSource& values);

// JSON text with references within its strings, filled in.
Result<std::string> FillJson(const Template& json, const ValueSource& values);

// The order in which tasks would start if one ran at a time: what they need first; ties by
// priority, then by place in the file. Without parents, as they never start.
std::vector<std::uint32_t> StartOrder(const Plan& plan);

}  // namespace troupe
