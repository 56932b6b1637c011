// One run while it lives: the state of every task and hook, and what follows from each event.
//
// Pure: no clock, no I/O. Everything that must survive is in the records it marks dirty; the
// coordinator writes them before anything is sent. Restore() from those records gives the same run
// again. Used by one thread.
//
// In seven files: live_run.cc (life and phases), live_run_tasks.cc (what becomes of each task),
// live_run_recovery.cc (what a failure leads to), live_run_joins.cc (conditions, parents, loops),
// live_run_hooks.cc (hooks and stages), live_run_place.cc (what starts where), live_run_counts.cc
// (metrics).
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/agent_gate.h"
#include "coordinator/event.h"
#include "coordinator/random.h"
#include "coordinator/recovery_policy.h"
#include "coordinator/task_graph.h"
#include "coordinator/values.h"
#include "coordinator/worker_pool.h"
#include "storage/checkpoint_store.h"

namespace troupe {

// What the steps of one turn share.
struct Turn {
  Instant now{};
  Effects& effects;
  WorkerPool& pool;
  Random& random;
};

class LiveRun final : public RunValues {
 public:
  LiveRun(RunRecord record, std::shared_ptr<const Plan> plan);

  // A new run begins.
  void Begin(Turn& turn);
  // A run goes on after a restart. `outcomes`: what LoadOutcomes() gives. What was running is
  // expected from its workers: they are made known to the pool.
  // `dormant`: outcomes are taken, nothing is started.
  void Restore(const Checkpoint& checkpoint, const std::vector<AttemptRecord>& outcomes,
               bool dormant, Turn& turn);

  // An attempt of this run ended on `worker` (its name). An outcome that is not of the current
  // attempt changes nothing.
  void OnOutcome(const AttemptOutcome& outcome, const std::string& worker, Turn& turn);
  // The worker is gone for good, with this attempt.
  void OnLost(const AttemptId& id, const std::string& worker, Turn& turn);
  // The worker is there, and does not have this attempt: it never began.
  void OnReturned(const AttemptId& id, const std::string& worker, Turn& turn);
  // Is this the attempt that the run waits for, on this worker?
  bool IsCurrent(const AttemptId& id, const std::string& worker) const;

  void Pause(bool stop_running, Turn& turn);
  void Resume(Turn& turn);
  void Cancel(Turn& turn);

  // What is due by now: retries, queue timeouts.
  void OnTime(Turn& turn);
  // Starts what can start, at most so many tasks: fills the outboxes of workers with free slots.
  // True: there may be more.
  bool Place(std::uint32_t most, Turn& turn);
  // Puts the changed records into the turn's batch, once each.
  void SaveChanges(Turn& turn);
  // When OnTime() has something to do next.
  Instant NextTime(Instant now) const;

  const RunRecord& record() const { return record_; }
  const Plan& plan() const { return *plan_; }
  std::shared_ptr<const Plan> shared_plan() const { return plan_; }
  bool ended() const { return record_.phase == RunPhase::Ended; }
  std::uint32_t running() const { return running_; }
  // Attempts of tasks and hooks that are on workers.
  std::uint32_t Busy() const {
    return running_ + hooks_open_ - static_cast<std::uint32_t>(ready_hooks_.size());
  }

  // Tasks have an index: that of the plan; iterations of loops that were made have those behind.
  std::uint32_t size() const { return static_cast<std::uint32_t>(tasks_.size()); }
  // All of them in the order of the file, iterations behind their loop.
  std::vector<std::uint32_t> InOrder() const;
  const PlannedTask& Planned(std::uint32_t task) const {
    return plan_->tasks[tasks_[task].planned];
  }
  std::string FullId(std::uint32_t task) const;
  // Is it an iteration?
  bool IsIteration(std::uint32_t task) const { return tasks_[task].iteration != kNone; }

  // RunValues, by index.
  const TaskRecord& Record(std::uint32_t task) const override { return tasks_[task].record; }
  const TaskResult* ResultOf(std::uint32_t task) const override;

  // For Explain().
  std::uint32_t Waits(std::uint32_t task) const { return graph_.waits(task); }
  std::uint32_t AgentOf(std::uint32_t task) const;
  // Instant{}: it is not shut. With whether that is because of its breaker.
  Instant ShutUntil(std::uint32_t agent, Instant now) const;
  bool BreakerOpen(std::uint32_t agent) const;
  // Half open, and the one attempt that was let through is under way.
  bool HasProbe(std::uint32_t agent) const;
  Requirement RequirementOf(std::uint32_t task) const;
  std::uint32_t AgentRunning(std::uint32_t agent) const { return agent_running_[agent]; }
  struct LoopCounts {
    std::uint32_t all = 0;
    std::uint32_t settled = 0;
    std::uint32_t open = 0;  // Begun or about to begin.
  };
  LoopCounts Iterations(std::uint32_t loop) const;
  const std::vector<HookRecord> Hooks() const;

  // For metrics. Tasks by their state, where parents and loops under way count as pending; agents
  // that are shut.
  using StateCounts = std::array<std::uint32_t, kTaskStateCount>;
  StateCounts CountTasks() const;
  struct ShutCounts {
    std::uint32_t open = 0;  // Its breaker is open,
    std::uint32_t half_open = 0;
    std::uint32_t rate_limited = 0;
  };
  ShutCounts CountShut(Instant now) const;

 private:
  struct LiveTask {
    TaskRecord record = {};
    std::uint32_t planned = 0;        // Index into the plan: itself, or its loop.
    std::uint32_t iteration = kNone;  // Of that loop.
    std::uint32_t group = kNone;      // While it is ready: index into groups_.
    bool dirty = false;
  };
  // A loop whose items are known.
  struct LiveLoop {
    std::vector<std::string> items = {};   // JSON texts, of a file's.
    std::uint32_t next = 0;                // The first that may not have been made.
    std::vector<std::uint32_t> made = {};  // Iteration → index; kNone or missing: not made.
    std::uint32_t made_count = 0;
    std::uint32_t Made(std::uint32_t iteration) const {
      return iteration < made.size() ? made[iteration] : kNone;
    }
    std::uint32_t ready = 0;  // Made ones that have not started.
    std::uint32_t open = 0;   // Made ones that are not settled.
    std::uint32_t failed = 0;
    std::uint32_t cancelled = 0;
    bool closed = false;          // No more are made.
    std::uint32_t group = kNone;  // That its iterations were last in, when ready.
  };
  struct LiveHook {
    HookRecord record = {};
    const Hook* hook = nullptr;
    bool dirty = false;
  };
  // A list of hooks on its way: its items one after another.
  struct ListProgress {
    HookList list = HookList::PreWorkflow;
    std::uint32_t stage = kNone;
    std::uint32_t next = 0;         // Item.
    std::uint32_t current = kNone;  // Execution that the list waits for.
    bool done = false;
  };
  struct LiveStage {
    std::uint32_t unsettled = 0;
    bool broken = false;  // A task is blocked or cancelled: it never completes.
    bool met = false;     // Its gate has all it needs.
    bool completed = false;
    bool hooks_done = false;
  };
  // What a ready task is ordered by.
  struct ReadyPlace {
    std::uint32_t priority = 0;
    std::uint32_t planned = 0;
    std::uint32_t iteration = 0;
    std::uint32_t task = 0;
    auto operator<=>(const ReadyPlace&) const = default;
  };
  // Ready tasks that ask the same of a worker and have the same agent.
  struct ReadyGroup {
    std::uint32_t agent = kNone;
    Requirement requirement = {};
    std::set<ReadyPlace> tasks = {};
  };
  // What was settled, and what needs it does not know yet.
  struct Settled {
    enum class What : std::uint8_t { Task, StageGate, ParentGate };
    What what = What::Task;
    std::uint32_t index = 0;  // Task or gate of the plan.
    bool good = true;
  };
  struct LiveGate {
    AgentGate gate;
    bool dirty = false;
  };

  // live_run.cc
  void NextPhase(Turn& turn);
  bool PhaseDone() const;
  void EnterPhase(RunPhase phase, Turn& turn);
  void End(Turn& turn);
  void NoteFailure(const std::string& text, const std::string& stage);
  RunEvent Say(RunEvent::Kind kind, const Turn& turn) const;
  std::uint32_t IndexOf(TaskId id) const;  // kNone: there is no such task.
  TaskId IdOf(std::uint32_t planned) const;
  void MarkTask(std::uint32_t task);
  void MarkHook(std::uint32_t execution);
  void StopRunning(Turn& turn);
  void CancelUnstarted(Turn& turn);
  void FinishOutputs();
  void RestoreTasks(const Checkpoint& checkpoint, const std::vector<AttemptRecord>& outcomes,
                    Turn& turn);
  void RestoreTask(std::uint32_t task, Turn& turn);
  void RestoreAgents(const Checkpoint& checkpoint);
  std::vector<std::uint32_t> PartsFirst() const;
  void RestoreGraph(Turn& turn);

  // live_run_tasks.cc
  bool TakesTasks() const;
  bool OnWorker(std::uint32_t task) const;
  bool IsReader(std::uint32_t task) const;  // A loop that has to read its collection first.
  void Propagate(Turn& turn);
  void Apply(const TaskGraph::Change& change, Turn& turn);
  void MayStart(std::uint32_t task, Turn& turn);
  std::uint32_t GroupOf(std::uint32_t task);
  ReadyPlace PlaceOf(std::uint32_t task) const;
  void MakeReady(std::uint32_t task, Turn& turn);
  void LeaveReady(std::uint32_t task);
  void TaskEnded(std::uint32_t task, const AttemptOutcome& outcome, Turn& turn);
  AttemptRecord& RecordAttempt(std::uint32_t task, const AttemptOutcome& outcome, bool accepted,
                               const std::string& worker, Turn& turn);
  TextOwner OwnerOf(std::uint32_t task, std::uint32_t attempt) const;
  Result<JsonMap> StateWrites(std::uint32_t task, const TaskResult& result) const;
  void Complete(std::uint32_t task, const AttemptOutcome& outcome, const TaskResult& result,
                Turn& turn);
  void Notice(std::uint32_t task, const TaskResult* result);
  void Settle(std::uint32_t task, TaskState state, Turn& turn);
  void SaySettled(std::uint32_t task, TaskState state, Turn& turn);

  // live_run_recovery.cc
  LiveGate& GateOf(std::uint32_t agent);
  void TellGate(std::uint32_t task, std::optional<FailureClass> failure, Turn& turn);
  void SayShut(std::uint32_t agent, const std::string& why, Turn& turn);
  void Setback(std::uint32_t task, FailureClass failure, Duration retry_after, Turn& turn);
  void NoteSetback(std::uint32_t task, FailureClass failure);
  Standing StandingOf(std::uint32_t task, FailureClass failure, Duration retry_after, Turn& turn);
  RecoveryRules RulesOf(std::uint32_t task) const;
  void Follow(std::uint32_t task, const Recovery& recovery, Turn& turn);
  void FollowRateLimit(std::uint32_t task, Duration after, Turn& turn);
  void WaitUntil(std::uint32_t task, Instant due);
  std::uint32_t StepIfShut(std::uint32_t task, Instant now) const;
  void MoveToStep(std::uint32_t task, std::uint32_t step, Turn& turn);
  void MoveOnFromShutAgents(Turn& turn);
  void GiveUpTask(std::uint32_t task, OnExhausted how, Turn& turn);

  // live_run_joins.cc
  bool Holds(const Condition& condition) const;
  void EnterParent(std::uint32_t parent, Turn& turn);
  void SkipSubtasks(std::uint32_t parent, Turn& turn);
  void JoinParent(std::uint32_t parent, Turn& turn);
  void BeginLoop(std::uint32_t loop, Turn& turn);
  void Expand(std::uint32_t loop, std::uint32_t count, std::vector<std::string> items, Turn& turn);
  std::uint32_t AddIteration(std::uint32_t loop, std::uint32_t iteration);
  void MakeIterations(std::uint32_t loop, Turn& turn);
  void IterationSettled(std::uint32_t task, TaskState state, Turn& turn);
  void FinishLoop(std::uint32_t loop, Turn& turn);
  std::string ItemOf(std::uint32_t loop, std::uint32_t iteration) const;
  void KeepJoined(std::uint32_t task);

  // live_run_hooks.cc
  void NoteStageTask(std::uint32_t task, TaskState state);
  void StageTaskSettled(std::uint32_t task, TaskState state, Turn& turn);
  void CompleteStage(std::uint32_t stage, Turn& turn);
  void StageMet(std::uint32_t stage, Turn& turn);
  void OpenGate(std::uint32_t stage, Turn& turn);
  void StartList(HookList list, std::uint32_t stage, std::uint32_t first, Turn& turn);
  std::uint32_t FailedItem(HookList list, const std::string& stage) const;
  void RestoreStage(std::uint32_t stage, Turn& turn);
  void StepList(std::size_t list, Turn& turn);
  void ListDone(std::size_t list, Turn& turn);
  void HookEnded(std::uint32_t execution, HookState state, Turn& turn);
  void FinishHook(std::uint32_t execution, const AttemptOutcome& outcome, Turn& turn);
  void HookFailed(std::uint32_t execution, Turn& turn);
  void RestoreHooks(const Checkpoint& checkpoint, Turn& turn);
  void RestoreHook(const HookRecord& saved, Turn& turn);
  static HookList ListOf(RunPhase phase);
  void CancelHooks(Turn& turn);
  std::vector<std::pair<std::string, std::string>> HookEnvironment(const HookRecord& hook) const;
  std::string FirstFailureOf(std::uint32_t stage) const;

  // live_run_place.cc
  bool PlaceHook(std::uint32_t execution, Turn& turn);
  Worker* WorkerFor(std::uint32_t task, const ReadyGroup& group, Turn& turn);
  bool AgentTakes(const ReadyGroup& group, Instant now) const;
  bool PlaceNextTask(Turn& turn);
  Result<AttemptSpec> MakeSpec(std::uint32_t task, const AttemptId& id) const;
  void StartTask(std::uint32_t task, Worker& worker, Turn& turn);

  RunRecord record_;
  std::shared_ptr<const Plan> plan_;
  bool run_dirty_ = false;
  bool restoring_ = false;
  bool dormant_ = false;
  bool propagating_ = false;
  bool cancel_rest_ = false;  // The run is aborting: what has not started is to be cancelled.
  bool cancelled_ = false;    // It was: what cannot run is cancelled, not blocked.
  JsonMap inputs_;
  JsonMap state_;
  std::map<std::uint32_t, std::uint32_t> index_of_;  // TaskId → plan index, if they differ.

  TaskGraph graph_;
  std::deque<Settled> settled_;  // To be told to the graph.
  std::deque<LiveTask> tasks_;   // Of the plan, then iterations.
  std::uint32_t open_ = 0;       // Tasks of the plan that are not settled.
  std::uint32_t next_id_ = 0;    // TaskId of the next iteration.
  std::map<std::uint32_t, LiveLoop> loops_;
  std::map<std::uint32_t, std::uint32_t> loop_at_;  // First TaskId of its iterations → loop.
  std::vector<LiveStage> stages_;
  std::vector<LiveHook> hooks_;
  std::vector<ListProgress> lists_;
  std::map<std::uint32_t, TaskResult> results_;  // Only of tasks that others refer to.
  std::vector<std::uint32_t> agent_running_;
  std::map<std::uint32_t, LiveGate> gates_;  // By agent; of those that were ever shut or failed.
  Instant last_time_{};                      // Of OnTime().

  std::vector<ReadyGroup> groups_;
  std::map<std::pair<std::uint32_t, Requirement>, std::uint32_t> group_index_;
  std::set<std::uint32_t> ready_hooks_;
  std::set<std::pair<Instant, std::uint32_t>> due_tasks_;        // Waiting, by due time.
  std::set<std::pair<Instant, std::uint32_t>> queue_deadlines_;  // Ready, with a queue timeout.
  StateCounts settled_as_ = {};
  std::uint32_t running_ = 0;
  std::uint32_t hooks_open_ = 0;  // Executions ready or running.

  std::vector<std::uint32_t> dirty_tasks_;
  std::vector<std::uint32_t> dirty_hooks_;
};

// What an attempt leaves to others.
TaskResult ResultFrom(const AttemptOutcome& outcome);

}  // namespace troupe
