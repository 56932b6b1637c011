// What survives a crash. What is not here, a restart forgets.
//
// Records are the state itself, not a log to replay: a restarted coordinator loads them and goes
// on. Each is written whole whenever it changes, in the batch of the step that changed it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/attempt.h"
#include "base/failure.h"
#include "base/ids.h"
#include "base/rare.h"
#include "base/time.h"

namespace troupe {

enum class RunState : std::uint8_t { Running, Paused, Succeeded, Failed, Cancelled };
std::string_view Name(RunState state);  // "running"
inline bool IsFinal(RunState s) { return s != RunState::Running && s != RunState::Paused; }

// Where a run is within its life. Only ever goes forward (but a redrive opens a new round).
enum class RunPhase : std::uint8_t { PreHooks, Tasks, ErrorHooks, PostHooks, Ended };

struct RunRecord {
  RunId id{};
  std::string workflow_name = "";
  std::string workflow_version = "";
  std::string file = "";  // Absolute path of the workflow file; "" if it had none.
  std::string chosen_workflow = "";
  std::string run_dir = "";  // R, absolute.
  std::string inputs_json = "{}";
  std::string key = "";  // Idempotency key; "" none.
  RunState state = RunState::Running;
  RunPhase phase = RunPhase::PreHooks;
  std::uint32_t round = 0;
  bool aborting = false;
  bool cancelling = false;
  Instant created{};
  Instant started{};
  Instant ended{};
  std::uint32_t retries_used = 0;  // Of the run's retry budget.
  std::uint32_t failures = 0;      // Tasks and `fail` hooks that failed in this round.
  std::string first_failure = "";  // `task "fetch": agent_error: exit status 1`
  std::string first_failure_stage = "";
  // What can run: tasks without subtasks; of a loop that has begun its iterations instead of it.
  std::uint32_t tasks = 0;
  std::uint32_t settled = 0;              // Of these; kept when the run pauses and ends.
  std::vector<std::uint32_t> slots = {};  // Plan index → TaskId; empty: the same number.
  std::string outputs_json = "";          // The run's declared outputs, when it succeeded.
  std::string state_json = "";            // The state as a JSON object; "": still the inputs.
  // In a round that a redrive opened: stages whose hooks began in a round before and that no task
  // was put back into. They do not complete again.
  std::vector<std::string> stages_done = {};
  bool operator==(const RunRecord&) const = default;
};

// The workflow's text as it was when the run began; written once (and by --accept-changes).
struct WorkflowTextRecord {
  RunId run{};
  std::string text = "";
  bool operator==(const WorkflowTextRecord&) const = default;
};

enum class TaskState : std::uint8_t {
  Pending,
  Ready,
  Waiting,
  Running,
  Completed,
  Skipped,
  Failed,
  Blocked,
  Cancelled,
};
std::string_view Name(TaskState state);  // "pending"
inline constexpr int kTaskStateCount = 9;
inline bool IsSettled(TaskState s) { return s >= TaskState::Completed; }

// A number for each step of a task's ladder that it has been on. One step takes no memory apart.
class StepCounts {
 public:
  StepCounts() = default;
  StepCounts(std::initializer_list<std::uint32_t> counts) {
    for (const std::uint32_t count : counts) Append(count);
  }

  std::uint32_t size() const { return size_; }
  // 0 for a step that it has not been on.
  std::uint32_t operator[](std::uint32_t step) const {
    if (step >= size_) return 0;
    return step == 0 ? first_ : (*others_)[step - 1];
  }
  void Append(std::uint32_t count) {
    if (size_++ == 0) {
      first_ = count;
    } else {
      others_.Change().push_back(count);
    }
  }
  void Increment(std::uint32_t step) {
    while (size_ <= step) Append(0);
    ++At(step);
  }
  void Decrement(std::uint32_t step) {
    if (step < size_) --At(step);
  }
  bool operator==(const StepCounts&) const = default;

 private:
  std::uint32_t& At(std::uint32_t step) { return step == 0 ? first_ : others_.Change()[step - 1]; }

  std::uint32_t size_ = 0;
  std::uint32_t first_ = 0;
  Rare<std::vector<std::uint32_t>> others_;
};

// What is known of few tasks: of those that something has happened to.
struct RecordExtras {
  std::uint32_t step_failures = 0;  // Counted failures with the runner of this step.
  std::uint32_t losses = 0;         // worker_lost attempts.
  // Their numbers: an outcome of one comes too late.
  std::vector<std::uint32_t> lost_attempts = {};
  std::uint32_t rate_limits = 0;  // In a row, of its own work; agents have records of their own.
  Duration rate_limit_waited{};
  // auth or spawn_failed there, with this step's runner.
  std::vector<std::string> unfit_workers = {};
  std::vector<std::string> failed_workers =
      {};                    // Where it failed or was lost; avoided if possible.
  std::string message = "";  // Why it failed or was skipped.
  std::string notice = "";   // Its on_complete message.
  bool operator==(const RecordExtras&) const = default;
};

// A task that has not been touched has no record: it is pending. There is one in memory for each
// task of a run, so that its size counts.
struct TaskRecord {
  RunId run{};
  TaskId task{};
  TaskState state = TaskState::Pending;
  bool dead_letter = false;
  // A parent or a loop whose items are known: it is the join of others and has no attempts of its
  // own any more.
  bool joins = false;
  std::uint32_t attempts = 0;  // Number of the latest attempt; never goes back.
  std::uint32_t step = 0;      // On the ladder: 0 own runner, n the n-th fallback agent.
  // Of a loop that joins: iteration i is task first_iteration + i. One without a record was not
  // touched.
  std::uint32_t first_iteration = 0;
  std::uint32_t iterations = 0;
  StepCounts attempts_by_step = {};  // In the whole run; lost ones included.
  Instant due{};                     // state Waiting: when it goes on.
  Instant ready_since{};
  std::string worker = "";  // Of the current or latest attempt.
  Instant first_started{};
  Instant attempt_started{};
  Instant ended{};                           // When it was settled.
  std::optional<FailureClass> failure = {};  // Of the latest failed attempt.
  std::uint64_t fingerprint = 0;             // Of the definition it was settled under.
  Rare<RecordExtras> extra = {};
  bool operator==(const TaskRecord&) const = default;
};

// The history of an attempt: written once, when it has ended.
struct AttemptRecord {
  AttemptOutcome outcome = {};
  std::string worker = "";
  std::string agent = "";
  Instant dispatched{};
  bool accepted = true;  // false: stale; it changed nothing.
  bool operator==(const AttemptRecord&) const = default;
};

enum class HookState : std::uint8_t { Ready, Running, Succeeded, Failed, Cancelled };
std::string_view Name(HookState state);

struct HookRecord {
  RunId run{};
  std::uint32_t execution = 0;  // 0, 1, 2 … within the run; AttemptId::index of its attempts.
  std::uint8_t list = 0;        // HookList
  std::uint32_t index = 0;      // Within the list.
  std::string stage = "";
  std::uint32_t round = 0;
  HookState state = HookState::Ready;
  std::uint32_t attempts = 0;
  std::uint32_t losses = 0;
  std::string command = "";
  std::string description = "";
  std::string worker = "";
  Instant ready_since{};
  Instant started{};
  Instant ended{};
  std::int32_t exit_code = -1;
  std::string message = "";       // Why it failed.
  std::string output = "";        // stdout
  std::string error_output = "";  // stderr
  bool operator==(const HookRecord&) const = default;
};

// What a run knows of an agent that has failed: whether it is shut, and how long.
struct AgentRecord {
  RunId run{};
  std::string agent = "";
  Instant shut_since{};                // The rate limit: from when
  Instant shut_until{};                // until when.
  std::uint32_t rate_limits = 0;       // In a row, without a success between.
  std::vector<Instant> failures = {};  // That count for the breaker, within its window.
  bool breaker_open = false;           // Or half open, when `opens` has passed.
  Instant opens{};
  // The one attempt that was let through half open; number 0: none.
  std::uint32_t probe_task = 0;
  std::uint32_t probe_attempt = 0;
  bool operator==(const AgentRecord&) const = default;
};

// Its memory is kept for the next turn, unless it is much.
template <class T>
void Empty(std::vector<T>& list) {
  constexpr std::size_t kKept = 10'000;
  if (list.capacity() > kKept) {
    list = std::vector<T>();  // {} would only empty it.
  } else {
    list.clear();
  }
}

// What one turn of the coordinator changed. Lands whole or not at all. Records of one kind stand
// together because that is how the store is fast; a later record of the same key wins.
struct Batch {
  std::vector<RunRecord> runs = {};
  std::vector<WorkflowTextRecord> texts = {};
  std::vector<TaskRecord> tasks = {};
  std::vector<AttemptRecord> attempts = {};
  std::vector<HookRecord> hooks = {};
  std::vector<AgentRecord> agents = {};
  std::vector<RunId> deleted_runs = {};  // Everything of these runs; applied before the puts.
  void Clear() {
    Empty(runs);
    Empty(texts);
    Empty(tasks);
    Empty(attempts);
    Empty(hooks);
    Empty(agents);
    Empty(deleted_runs);
  }
  std::size_t records() const {
    return runs.size() + texts.size() + tasks.size() + attempts.size() + hooks.size() +
           agents.size() + deleted_runs.size();
  }
  bool empty() const { return records() == 0; }
};

}  // namespace troupe
