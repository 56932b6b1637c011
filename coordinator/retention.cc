#include "coordinator/retention.h"

#include <algorithm>

namespace troupe {

void Retention::Ended(RunId run, Instant at) {
  if (rules_.age == Duration::zero() && rules_.runs == 0) return;
  Drop(run);
  ended_.insert({at, run});
  ends_[run] = at;
}

void Retention::Drop(RunId run) {
  const auto it = ends_.find(run);
  if (it == ends_.end()) return;
  ended_.erase({it->second, run});
  ends_.erase(it);
}

Instant Retention::next() const {
  if (ended_.empty()) return kNever;
  const Instant oldest = ended_.begin()->first;
  Instant at = kNever;
  if (rules_.age > Duration::zero()) at = oldest + std::max(rules_.age, kRetainedAtLeast);
  if (rules_.runs > 0 && ended_.size() > rules_.runs) {
    at = std::min(at, oldest + kRetainedAtLeast);
  }
  return at;
}

std::vector<RunId> Retention::Take(Instant now) {
  std::vector<RunId> runs;
  while (runs.size() < kForgottenAtOnce && next() <= now) {
    runs.push_back(ended_.begin()->second);
    Drop(runs.back());
  }
  return runs;
}

}  // namespace troupe
