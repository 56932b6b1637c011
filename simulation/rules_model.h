// The rules of docs/language.md, "Recovery", once more and as plainly as can be: the oracle for the
// coordinator's decisions.
//
// It follows what landed, told in order by the turn's events: an attempt began, it failed with a
// class, a retry waits. From the failures alone it works out what must come next, and compares.
// It is written from the page and shares no code with the coordinator but the table of classes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/run_event.h"
#include "simulation/ledger.h"

namespace troupe {

class RulesModel {
 public:
  RulesModel(Judge& judge, const Ledger& ledger) : judge_(judge), ledger_(ledger) {}

  // The ledger has taken the batch. `before`: states of its runs before that.
  void OnLanded(const Batch& batch, const std::vector<RunEvent>& tell,
                const std::map<RunId, RunState>& before, Instant now);
  // The batch puts tasks back to pending: a redrive.
  void OnReworked(RunId run, const Batch& batch);

 private:
  enum class Expect : std::uint8_t { Nothing, Retry, RateWait, Fallback, AgainOrFallback, GiveUp };
  struct Task {
    TaskState state = TaskState::Pending;  // Ready counts as pending.
    std::uint32_t attempts = 0;
    std::uint32_t step = 0;
    std::uint32_t failures = 0;  // Counted, with the runner of this step.
    std::uint32_t losses = 0;
    std::uint32_t rate_limits = 0;  // In a row, of its own work.
    Duration waited{};              // For rate limits.
    std::set<std::string> unfit = {};
    std::string worker = "";
    Instant started{};
    Instant due{};
    Expect expect = Expect::Nothing;
    Duration delay{};  // What is expected: of a retry without jitter.
  };
  struct Agent {
    std::uint32_t rate_limits = 0;
    Instant shut_since{};
    Instant shut_until{};
    std::vector<Instant> failures = {};
    bool open = false;  // Its breaker.
    Instant opens{};
    std::optional<std::pair<std::uint32_t, std::uint32_t>> probe = {};  // Task and attempt.
    std::uint32_t running = 0;
    Instant told{};  // That it is shut until then, before the failure that shut it.
  };
  struct Run {
    const LedgerRun* ledger = nullptr;
    std::map<std::uint32_t, Task> tasks = {};
    std::map<std::uint32_t, Agent> agents = {};
    std::uint32_t retries = 0;
    std::uint32_t running = 0;
    bool aborting = false;
  };

  void Follow(Run& run, const Batch& batch, const RunEvent& event, bool was_paused);
  void Shut(Run& run, const RunEvent& event);
  void Began(Run& run, std::uint32_t id, Task& task, const RunEvent& event, bool was_paused);
  void Failed(Run& run, std::uint32_t id, Task& task, const Batch& batch, const RunEvent& event);
  void Decide(Run& run, std::uint32_t id, Task& task, FailureClass c, Duration retry_after,
              Instant now);
  void Retrying(Run& run, std::uint32_t id, Task& task, const RunEvent& event);
  void FellBack(Run& run, std::uint32_t id, Task& task, const RunEvent& event);
  void GivenUp(Run& run, std::uint32_t id, Task& task, const RunEvent& event);
  void NextAgent(Run& run, std::uint32_t id, Task& task);
  void Leaves(Run& run, std::uint32_t id, Task& task);
  void TakeBack(Run& run, std::uint32_t id, Task& task, const AttemptOutcome& outcome, Instant now);
  static std::optional<FailureClass> ClassOf(const Batch& batch, RunId run, std::uint32_t id,
                                             std::uint32_t number);
  void Tell(Run& run, std::uint32_t id, Task& task, std::optional<FailureClass> c, Instant now);
  void Compare(Run& run, const Batch& batch);

  const PlannedTask& Planned(const Run& run, std::uint32_t id) const;
  bool IsReader(const Run& run, std::uint32_t id) const;
  std::uint32_t AgentOf(const Run& run, std::uint32_t id, std::uint32_t step) const;
  std::size_t Ladder(const Run& run, std::uint32_t id) const;
  Instant ShutUntil(const Run& run, std::uint32_t agent, Instant now) const;
  // The step to move on to because the agent is shut for too long; nothing: it waits.
  std::optional<std::uint32_t> MovesOn(const Run& run, std::uint32_t id, const Task& task,
                                       Instant now) const;
  void Complain(const Run& run, std::uint32_t id, const std::string& what);

  Judge& judge_;
  const Ledger& ledger_;
  std::map<RunId, Run> runs_;
};

}  // namespace troupe
