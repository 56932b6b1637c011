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
  Checkers(Judge& judge, Ledger& ledger, std::uint64_t seed)
      : judge_(judge), ledger_(ledger), dice_(seed), rules_(judge, ledger) {}

  // A batch has landed; `tell` is what its turn tells.
  void OnLanded(const Batch& batch, const std::vector<RunEvent>& tell, Instant now);
  // Before the next batch: it puts tasks of this run back, as a redrive does.
  void Redriving(RunId run) { redriving_ = run; }
  void OnSend(const Outgoing& outgoing, Instant now);
  void OnAccepted(const std::string& key, RunId run);
  // The turn was carried out; the coordinator waits for the next thing.
  void OnTurn(const Coordinator& coordinator, const CheckpointStore& store, Instant now);
  void OnCrash() {}

  void OnBegan(const Machine& machine, const AttemptSpec& spec, Instant now);
  void OnEnded(const Machine& machine, const AttemptOutcome& outcome);
  void OnForgot(const Machine& machine, const AttemptId& id);
  void OnTime(Instant now, const std::deque<Machine>& machines);

  void DoesNotEnd(const Coordinator* coordinator, Instant now);
  void AtTheEnd();

  std::uint32_t begun() const { return begun_; }

 private:
  // What truly became of an attempt.
  struct Truth {
    std::string token = "";
    bool sent = false;
    bool began = false;
    bool ended = false;
    bool gone = false;  // With its machine.
    AttemptOutcome outcome = {};
    Instant fenced{};  // When another one took its place while it was running.
  };

  // check_attempts.cc
  void CheckAttempt(const AttemptRecord& attempt);
  void CheckResult(const TaskRecord& before, const TaskRecord& after);
  void CheckDispatch(const AttemptSpec& spec);
  void CheckNeeds(const LedgerRun& run, std::uint32_t task, const AttemptSpec& spec);
  bool Met(const LedgerRun& run, const Dependency& need, const std::vector<std::uint32_t>& asks);
  // check_hooks.cc
  void CheckHook(const LedgerRun& run, const HookRecord* before, const HookRecord& after);
  void CheckHookStart(const LedgerRun& run, const HookRecord& hook);
  void CheckEndedRun(const LedgerRun& run);
  // check_waits.cc
  void CheckWaits(const LiveRun& run, const WorkerPool& pool, Instant now);
  bool CouldStart(const LiveRun& run, std::uint32_t task, const WorkerPool& pool, Instant now) const;
  void CheckMemory(const Coordinator& coordinator, const CheckpointStore& store, Instant now);
  void CompareRuns(const LiveRun& memory, const LiveRun& loaded);

  Judge& judge_;
  Ledger& ledger_;
  Dice dice_;
  RulesModel rules_;
  RunId redriving_{};
  std::map<AttemptId, Truth> truth_;
  std::map<std::string, RunId> accepted_;  // By key.
  std::uint32_t begun_ = 0;
};

}  // namespace troupe
