// A workflow file as it was written, after its shape was checked: keys, types and ranges are right
// or were reported, names are still names.
//
// Text stays in the tree (as NodeIds) until references are compiled. Borrows the tree.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "workflow/plan.h"
#include "workflow/reader.h"
#include "workflow/tree.h"

namespace troupe {

inline constexpr std::size_t kTasksMax = 1'000'000;

using EnvDoc = std::vector<std::pair<std::string_view, NodeId>>;

// What one `on_error` says; what is not set comes from the next one.
struct OnErrorDoc {
  std::optional<std::uint32_t> retry = {};
  std::optional<Duration> retry_delay = {};
  std::optional<bool> exponential_backoff = {};
  std::optional<Duration> max_retry_delay = {};
  std::uint32_t max_retry_delay_at = kNoPlace;
  std::uint32_t retry_delay_at = kNoPlace;
  std::optional<double> jitter = {};
  std::optional<std::uint32_t> retry_on = {};
  std::optional<std::uint32_t> no_retry_on = {};
  std::optional<std::vector<Named>> fallback_names = {};
  std::optional<std::uint32_t> fallback_retry = {};
  std::optional<OnExhausted> on_exhausted = {};
  std::optional<bool> prefer_other_worker = {};
  std::vector<std::uint32_t> fallback_agents = {};  // The names that exist, resolved later.
};

struct AgentDoc {
  std::uint32_t at = kNoPlace;
  Agent agent = {};  // What needs no references; the rest is put in later.
  std::optional<Provider> provider = {};
  bool provider_refused = false;  // One that is not supported yet.
  bool has_model = false;
  bool has_mock = false;
  bool has_tools = false;
  std::optional<bool> create_cwd = {};
  NodeId system_prompt = kNoNode;
  NodeId cwd = kNoNode;
  NodeId command = kNoNode;
  std::uint32_t command_at = kNoPlace;
  std::vector<NodeId> allowed_directories = {};
  EnvDoc env = {};
  OnErrorDoc on_error = {};
};

// A task's `command` or `script`.
struct WorkDoc {
  NodeId shell = kNoNode;             // command: a string
  std::vector<NodeId> argv = {};      // command: a list, or executable and args
  std::string_view interpreter = {};  // script
  NodeId content = kNoNode;
  NodeId file = kNoNode;
  NodeId working_dir = kNoNode;
  EnvDoc env = {};
  std::optional<Duration> timeout = {};
  std::uint32_t timeout_at = kNoPlace;
  bool capture_stdout = true;
  bool capture_stderr = false;
};

// A task's `loop`.
struct LoopDoc {
  Loop loop = {};  // Without what stands in the tree:
  NodeId items = kNoNode;
  NodeId path = kNoNode;
};

// A task whose end a condition waits for.
struct Ask {
  std::uint32_t task = kNone;
  std::uint32_t at = kNoPlace;
};
struct ConditionDoc {
  // Its tasks are numbered as in the document. The plan takes it over, as it may be very large.
  std::shared_ptr<Condition> condition = std::make_shared<Condition>();
  std::vector<Ask> asks = {};
};

struct TaskDoc {
  std::string_view id = "";     // Full id.
  std::string_view name = "";   // What it is called among its siblings.
  std::uint32_t at = kNoPlace;  // Its key.
  std::uint32_t place = 0;      // Of top-level tasks: orders them as the file does.
  NodeId node = kNoNode;
  std::uint32_t parent = kNone;       // Its descendants stand right behind it,
  std::uint32_t end = 0;              // up to this one.
  std::optional<TaskKind> kind = {};  // Nothing: none, several, or one that is refused.
  NodeId description = kNoNode;
  Named agent = {};         // Its own or a parent's.
  bool has_agent = false;   // There is one, though it may not be a name.
  bool owns_agent = false;  // It is its own.
  std::uint32_t agent_index = kNone;
  std::unique_ptr<WorkDoc> work = {};
  std::unique_ptr<OnErrorDoc> on_error = {};
  std::vector<Named> depends_on = {};
  std::vector<Named> parallel_with = {};
  std::uint32_t priority = 0;
  NodeId inputs = kNoNode;
  NodeId output = kNoNode;
  NodeId set = kNoNode;
  NodeId notify = kNoNode;
  NodeId condition_node = kNoNode;
  std::unique_ptr<ConditionDoc> condition = {};  // Made when names are resolved.
  std::unique_ptr<LoopDoc> loop = {};
  bool asked_for_failed = false;                  // By a condition, or a parent is.
  std::shared_ptr<const Settings> settings = {};  // Its own and its parents'. Null: none.
  std::uint32_t timeout_at = kNoPlace;
  bool refused_loop = false;      // Has keys that are refused, so that some of its references
  bool refused_subtasks = false;  // and the names below it cannot be judged.
};

// An entry of a stage's `tasks`.
struct StageEntry {
  Named task = {};
  NodeId definition = kNoNode;  // An id → task; kNoNode: a plain id.
  std::uint32_t index = kNone;  // Into Document::tasks.
};

struct StageDoc {
  Named name = {};
  std::uint32_t at = kNoPlace;
  std::vector<StageEntry> tasks = {};
  std::vector<Named> agents = {};
  std::vector<Named> depends_on = {};
  std::vector<std::uint32_t> after = {};     // Indexes of depends_on, without repeats.
  std::vector<std::uint32_t> after_at = {};  // Where each of them is written.
  bool parallel = false;
};

struct HookDoc {
  Hook hook = {};
  EnvDoc env = {};
};
struct HooksDoc {
  std::vector<HookDoc> lists[kHookListCount] = {};
};

struct WorkflowDoc {
  std::string_view name = "";
  std::uint32_t at = kNoPlace;
  std::vector<StageDoc> stages = {};
  HooksDoc hooks = {};
};

struct OutputDoc {
  std::string_view name = "";
  Named task = {};
  std::string_view state_key = "";  // Without a task.
  std::uint32_t index = kNone;      // Of the task.
};

// A subtask as its siblings know it.
struct SubtaskName {
  std::uint32_t parent = kNone;
  std::string_view name = "";
  bool operator==(const SubtaskName&) const = default;
};
struct SubtaskNameHash {
  std::size_t operator()(const SubtaskName& key) const {
    return std::hash<std::string_view>()(key.name) ^
           (std::size_t{key.parent} * 0x9E3779B97F4A7C15u);
  }
};

struct Document {
  std::string name = "";
  std::string version = "1.0.0";
  std::optional<Provider> provider = {};
  bool provider_refused = false;
  std::string model = "";
  NodeId cwd = kNoNode;
  bool create_cwd = false;
  std::vector<InputDeclaration> inputs = {};
  std::vector<OutputDoc> outputs = {};
  std::vector<AgentDoc> agents = {};
  std::vector<TaskDoc> tasks = {};
  std::vector<WorkflowDoc> workflows = {};
  HooksDoc hooks = {};
  OnErrorDoc on_error = {};
  std::uint32_t retry_budget = kNone;
  std::uint32_t worker_losses_max = 3;
  Duration rate_limit_wait_max = std::chrono::seconds(86'400);
  std::optional<BreakerRules> breaker = {};
  std::uint32_t max_parallel = kNone;
  Settings settings = {};
  std::vector<std::string> allowed_tools = {};
  std::vector<std::string> disallowed_tools = {};

  std::unordered_map<std::string_view, std::uint32_t> agent_index = {};
  std::unordered_map<std::string_view, std::uint32_t> task_index = {};  // By full id.
  std::unordered_map<SubtaskName, std::uint32_t, SubtaskNameHash> subtask_index = {};
  std::deque<std::string> ids = {};  // Full ids of subtasks.
  std::size_t id_bytes = 0;          // Of all of them.
  bool refused_tasks = false;        // `tasks` or `workflows` could not be read at all.
  bool too_large = false;            // Not all tasks were read, as there are too many.
  std::vector<bool> staged = {};     // Per task: some workflow has it in a stage.
  // The first task of a kind that troupe cannot do.
  std::uint32_t unsupported_at = kNoPlace;
  std::string unsupported = "";
};

class TaskNames;

// Reads the whole file. All problems of shape are added; what is wrong is left out.
Document ReadDocument(Reader& reader);

// The parts of it, each in a file of its own.
void ReadAgents(Reader& reader, const Field& field, Document& document);
void ReadTasks(Reader& reader, const Field& field, Document& document);
// Adds a task and its subtasks to the document.
struct NewTask {
  std::string_view name = "";
  std::uint32_t at = kNoPlace;
  std::uint32_t place = 0;
  NodeId definition = kNoNode;  // What stands under the name.
  std::uint32_t parent = kNone;
};
void ReadTask(Reader& reader, const NewTask& made, Document& document);
// Null if there is no loop that can be run; the problem was added.
std::unique_ptr<LoopDoc> ReadLoop(Reader& reader, const Field& field);
void ReadWorkflows(Reader& reader, const Field& field, Document& document);
void ReadHooks(Reader& reader, const Field& field, HooksDoc& hooks);
void ReadInputs(Reader& reader, const Field& field, Document& document);
void ReadOutputs(Reader& reader, const Field& field, Document& document);

// The condition of a task, which is `doc`, with its names resolved.
std::unique_ptr<ConditionDoc> ReadCondition(Reader& reader, TaskNames& names, std::uint32_t task,
                                            const TaskDoc& doc);

// Parts that occur in several places.
OnErrorDoc ReadOnError(Reader& reader, const Field& field);
void ReadBreaker(Reader& reader, const Field& field, std::optional<BreakerRules>& breaker);
void ReadRequires(Reader& reader, const Field& field, Settings& settings);
void ReadLimits(Reader& reader, const Field& field, Settings& settings);
EnvDoc ReadEnv(Reader& reader, const Field& field);
std::vector<std::string> ReadTools(Reader& reader, const Field& field);
std::optional<Provider> ReadProvider(Reader& reader, const Field& field, bool& refused);
// Text: kNoNode if the value is no string.
NodeId ReadText(Reader& reader, const Field& field);
// Text that may not be empty.
NodeId ReadPath(Reader& reader, const Field& field);
std::vector<NodeId> ReadTexts(Reader& reader, const Field& field);

}  // namespace troupe
