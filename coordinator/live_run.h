// One run while it lives: the state of every task and hook, and what follows from each event.
//
// Pure: no clock, no I/O. Everything that must survive is in the records it marks dirty; the
// coordinator writes them before anything is sent. Restore() from those records gives the same run
// again. Used by one thread.
//
// In four files: live_run.cc (life and phases), live_run_tasks.cc (tasks and recovery),
// live_run_hooks.cc (hooks and stages), live_run_place.cc (what starts where).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

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
  // A run goes on after a restart. `outcomes`: of completed tasks whose output others use. What was
  // running is expected from its workers: they are made known to the pool.
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
  // Starts what can start: fills the outboxes of workers with free slots.
  void Place(Turn& turn);
  // Puts the changed records into the turn's batch, once each.
  void SaveChanges(Turn& turn);
  // When OnTime() has something to do next.
  Instant NextTime() const;

  const RunRecord& record() const { return record_; }
  const Plan& plan() const { return *plan_; }
  std::shared_ptr<const Plan> shared_plan() const { return plan_; }
  bool ended() const { return record_.phase == RunPhase::Ended; }
  std::uint32_t running() const { return running_; }
  // Attempts of tasks and hooks that are on workers.
  std::uint32_t Busy() const {
    return running_ + hooks_open_ - static_cast<std::uint32_t>(ready_hooks_.size());
  }

  // RunValues, by plan index.
  const TaskRecord& Record(std::uint32_t task) const override { return tasks_[task].record; }
  const TaskResult* ResultOf(std::uint32_t task) const override;

  // For Explain().
  std::uint32_t Waits(std::uint32_t task) const { return graph_.waits(task); }
  std::uint32_t AgentOf(std::uint32_t task) const;
  Instant ShutUntil(std::uint32_t agent) const;
  std::uint32_t AgentRunning(std::uint32_t agent) const;
  const std::vector<HookRecord> Hooks() const;

 private:
  struct LiveTask {
    TaskRecord record = {};
    std::uint32_t group = kNone;  // While it is ready: index into groups_.
    bool dirty = false;
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
  // Ready tasks that ask the same of a worker and have the same agent.
  struct ReadyGroup {
    std::uint32_t agent = kNone;
    Requirement requirement = {};
    std::set<std::pair<std::uint32_t, std::uint32_t>> tasks = {};  // (priority, plan index)
  };
  struct AgentState {
    std::uint32_t running = 0;
    Instant shut_until{};
  };

  // live_run.cc
  void NextPhase(Turn& turn);
  bool PhaseDone() const;
  void EnterPhase(RunPhase phase, Turn& turn);
  void End(Turn& turn);
  void NoteFailure(const std::string& text, const std::string& stage);
  RunEvent Say(RunEvent::Kind kind, const Turn& turn) const;
  std::uint32_t IndexOf(TaskId id) const;  // kNone: the plan has no such task.
  TaskId IdOf(std::uint32_t task) const;
  void MarkTask(std::uint32_t task);
  void MarkHook(std::uint32_t execution);
  void StopRunning(Turn& turn);
  void CancelUnstarted(Turn& turn);
  void RestoreTasks(Turn& turn);
  void RestoreGraph(Turn& turn);

  // live_run_tasks.cc
  bool TakesTasks() const;
  void MakeReady(std::uint32_t task, Turn& turn);
  void LeaveReady(std::uint32_t task);
  std::uint32_t GroupOf(std::uint32_t task);
  void Apply(const TaskGraph::Change& change, Turn& turn);
  void TaskEnded(std::uint32_t task, const AttemptOutcome& outcome, Turn& turn);
  void RecordAttempt(std::uint32_t task, const AttemptOutcome& outcome, bool accepted,
                     const std::string& worker, Turn& turn);
  void Complete(std::uint32_t task, const AttemptOutcome& outcome, Turn& turn);
  void KeepResult(std::uint32_t task, const AttemptOutcome& outcome);
  void Setback(std::uint32_t task, FailureClass failure, Duration retry_after, Turn& turn);
  Standing StandingOf(std::uint32_t task, FailureClass failure, Duration retry_after, Turn& turn);
  void Follow(std::uint32_t task, const Recovery& recovery, Turn& turn);
  void WaitUntil(std::uint32_t task, Instant due);
  void StepToNextAgent(std::uint32_t task, Turn& turn);
  void GiveUpTask(std::uint32_t task, OnExhausted how, Turn& turn);
  void Settle(std::uint32_t task, TaskState state, Turn& turn);
  void AbortRun(Turn& turn);

  // live_run_hooks.cc
  void StageTaskSettled(std::uint32_t stage, TaskState state, Turn& turn);
  void CompleteStage(std::uint32_t stage, Turn& turn);
  void StageMet(std::uint32_t stage, Turn& turn);
  void OpenGate(std::uint32_t stage, Turn& turn);
  void StartList(HookList list, std::uint32_t stage, Turn& turn);
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
  bool PlaceNextTask(Turn& turn);
  void StartTask(std::uint32_t task, Worker& worker, Turn& turn);

  RunRecord record_;
  std::shared_ptr<const Plan> plan_;
  bool run_dirty_ = false;
  bool restoring_ = false;
  bool dormant_ = false;
  std::map<std::string, std::string> inputs_;        // name → JSON
  std::map<std::uint32_t, std::uint32_t> index_of_;  // TaskId → plan index, if they differ.

  TaskGraph graph_;
  std::vector<LiveTask> tasks_;
  std::vector<LiveStage> stages_;
  std::vector<LiveHook> hooks_;
  std::vector<ListProgress> lists_;
  std::map<std::uint32_t, TaskResult> results_;  // Only of tasks that others refer to.
  std::map<std::uint32_t, AgentState> agents_;

  std::vector<ReadyGroup> groups_;
  std::map<std::pair<std::uint32_t, Requirement>, std::uint32_t> group_index_;
  std::set<std::uint32_t> ready_hooks_;
  std::set<std::pair<Instant, std::uint32_t>> due_tasks_;        // Waiting, by due time.
  std::set<std::pair<Instant, std::uint32_t>> queue_deadlines_;  // Ready, with a queue timeout.
  std::uint32_t running_ = 0;
  std::uint32_t hooks_open_ = 0;  // Executions ready or running.

  std::vector<std::uint32_t> dirty_tasks_;
  std::vector<std::uint32_t> dirty_hooks_;
};

}  // namespace troupe
