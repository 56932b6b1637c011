// The rules of docs/language.md, "Recovery", once more and as plainly as can be: the oracle for the
// coordinator's decisions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/run_event.h"
#include "simulation/ledger.h"

namespace troupe {

class RulesModel {
 public:
  RulesModel(Judge& judge, const Ledger& ledger) : judge_(judge), ledger_(ledger) {}
  void OnLanded(const Batch&, const std::vector<RunEvent>&, const std::map<RunId, RunState>&, Instant) {}
  void OnReworked(RunId, const Batch&) {}

 private:
  [[maybe_unused]] Judge& judge_;
  [[maybe_unused]] const Ledger& ledger_;
};

}  // namespace troupe
