// The promises, as a list of checkers that look on while the world turns (docs/guarantees.md).
//
// They see what has landed on the disk, what is sent after it, and what truly happens on the
// machines; they never ask the coordinator what it believes, but to compare it with the disk.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "coordinator/coordinator.h"
#include "simulation/dice.h"
#include "simulation/ledger.h"
#include "simulation/machine.h"
#include "simulation/rules_model.h"

namespace troupe {

class Checkers {
 public:
  // `seed`: of its own dice, for what is looked at only now and then.
  // `fence`: how long after it last heard of the coordinator a worker may go on with an attempt
  // that is no longer its own.
  Checkers(Judge& judge, Ledger& ledger, std::uint64_t seed, Duration fence)
      : judge_(judge), ledger_(ledger), dice_(seed), fence_(fence), rules_(judge, ledger) {}

  // A batch has landed; `tell` is what its turn tells.
  void OnLanded(const Batch& batch, const std::vector<RunEvent>& tell, Instant now);
  // Before the next batch: it puts tasks of this run back, as a redrive does.
  void Redriving(RunId run) { redriving_ = run; }
  void OnSend(const Outgoing& outgoing, Instant now);
  void OnAccepted(const std::string& key, RunId run);
  // The turn was carried out; the coordinator waits for the next thing.
  void OnTurn(const Coordinator& coordinator, const CheckpointStore& store, Instant now,
              Instant wake_at);

  void OnBegan(const Machine& machine, const AttemptSpec& spec, Instant now);
  void OnEnded(const Machine& machine, const AttemptOutcome& outcome);
  // `lost`: with its machine, not by order.
  void OnForgot(const Machine& machine, const AttemptId& id, bool lost);
  void OnTime(Instant now, const std::deque<Machine>& machines);

  void DoesNotEnd(const Coordinator* coordinator, Instant now);
  void AtTheEnd();

  std::uint32_t begun() const { return begun_; }

 private:
  // What truly became of an attempt.
  struct Truth {
    std::string token = "";
    RunnerKind kind = RunnerKind::Command;
    bool sent = false;
    bool began = false;
    bool ended = false;
    bool gone = false;  // Its worker has it no longer.
    AttemptOutcome outcome = {};
    Instant fenced{};  // When another one took its place while it was running.
  };

  std::map<RunId, RunState> StatesOf(const std::vector<RunRecord>& runs) const;

  // check_attempts.cc
  void CheckAttempt(const AttemptRecord& attempt);
  void CheckResult(const LedgerRun& run, const TaskRecord& before, const TaskRecord& after);
  void CheckDispatch(const AttemptSpec& spec, Instant now);
  void CheckAcknowledged(const AttemptId& id);
  void CheckTaskStart(const LedgerRun& run, std::uint32_t task);
  bool IsMet(const LedgerRun& run, const Dependency& need,
             const std::vector<std::uint32_t>& asks) const;
  // check_hooks.cc
  void CheckHookRecord(const HookRecord* before, const HookRecord& after);
  void CheckHookBegins(const LedgerRun& run, const HookRecord& hook);
  void CheckHookStart(const LedgerRun& run, const HookRecord& hook);
  void CheckEndedRun(const LedgerRun& run);
  // check_waits.cc
  void CheckWhy(const LiveRun& run, std::uint32_t task, const WorkerPool& pool, Instant now);
  void CheckWaits(const LiveRun& run, const WorkerPool& pool, Instant now, Instant wake_at);
  bool CouldStart(const LiveRun& run, std::uint32_t task, const WorkerPool& pool,
                  Instant now) const;
  // check_memory.cc
  void CheckMemory(const Coordinator& coordinator, const CheckpointStore& store, Instant now);
  void CompareRuns(const LiveRun& memory, const LiveRun& loaded, Instant now);

  Judge& judge_;
  Ledger& ledger_;
  Dice dice_;
  Duration fence_;
  RulesModel rules_;
  RunId redriving_{};
  std::map<AttemptId, Truth> truth_;
  std::vector<AttemptId> fenced_;          // And not ended yet.
  std::map<std::string, RunId> accepted_;  // By key.
  std::uint32_t begun_ = 0;
};

}  // namespace troupe
