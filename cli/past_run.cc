#include "cli/past_run.h"

#include <cstdint>
#include <map>
#include <string>

#include "cli/state.h"

namespace troupe {

Result<PastRun> MeasureRun(const StateOptions& options) {
  const Result<StoredRun> stored = OpenRun(options);
  if (!stored) return stored.error();
  PastRun past{.run = stored->checkpoint.run.id};
  std::map<std::uint32_t, std::string> names;  // By TaskId.
  for (std::uint32_t i = 0; i < stored->live->size(); ++i) {
    names[stored->live->Record(i).task.value] = MeasuredName(stored->live->FullId(i));
  }
  const Status read = stored->store->Attempts(past.run, [&](const AttemptRecord& attempt) {
    const AttemptOutcome& outcome = attempt.outcome;
    const auto name = names.find(outcome.id.index);
    const bool good = attempt.accepted && !outcome.failure && outcome.ended >= outcome.started;
    if (outcome.id.subject == Subject::Task && good && name != names.end()) {
      past.tasks[name->second].push_back({outcome.ended - outcome.started, outcome.usage.cost_usd});
    }
    return true;
  });
  if (!read) return read.error();
  return past;
}

}  // namespace troupe
