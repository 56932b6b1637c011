// What a coordinator does, as the lines that stand in a scenario (scenario.h says how they read).
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/coordinator.h"
#include "simulation/ledger.h"

namespace troupe {

class EffectLines {
 public:
  // `ledger` outlives it, and has taken what is shown. Times are shown since `start`.
  EffectLines(const Ledger& ledger, Instant start) : ledger_(ledger), start_(start) {}

  // Forgets the lines: another event happens now, by the coordinator's clock.
  void Begin(Instant now) {
    lines_.clear();
    now_ = shown_at_ = now;
  }
  void BeginTurn(Instant now) {
    now_ = now;
    said_.clear();
  }

  void Show(const std::string& line);
  void Landed(const Batch& batch);
  void Sent(const std::string& worker, const FromCoordinator& message, bool lost);
  void Told(const RunEvent& event);
  // When its runs want to be woken, if that is not what it was; leases are left out.
  void WakesFor(const Coordinator& coordinator);

  const std::vector<std::string>& lines() const { return lines_; }
  std::string NameOf(const AttemptId& id) const;  // "fetch#1"

 private:
  std::string Since(Instant at) const;
  void ShowTask(const TaskRecord& r);
  void ShowHook(const HookRecord& r);
  void ShowAgent(const AgentRecord& r);
  void ShowRun(const RunRecord& r);
  void ShowChange(const std::string& key, const std::string& text, bool show = true);

  const Ledger& ledger_;
  Instant start_;
  Instant now_ = start_;
  Instant shown_at_ = start_;
  std::vector<std::string> lines_;
  std::set<std::string> said_;               // Of what this turn has shown a change.
  std::map<std::string, std::string> last_;  // What was shown of each thing.
  Instant wake_ = kNever;
};

}  // namespace troupe
