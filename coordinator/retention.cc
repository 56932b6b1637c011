#include "coordinator/retention.h"

#include <algorithm>

namespace troupe {

void Retention::Ended(RunId run, Instant at) {
  if (rules_ == RetentionRules{}) return;
  Drop(run);
  ended_.insert({at, run});
  known_[run] = {.ended = at};
}

void Retention::Drop(RunId run) {
  const auto it = known_.find(run);
  if (it == known_.end()) return;
  bytes_ -= it->second.bytes;
  ended_.erase({it->second.ended, run});
  known_.erase(it);
}

void Retention::Size(RunId run, std::uint64_t bytes) {
  const auto it = known_.find(run);
  if (it == known_.end()) return;
  bytes_ += bytes - it->second.bytes;
  it->second.bytes = bytes;
}

std::vector<RunId> Retention::From(RunId first, std::size_t most) const {
  std::vector<RunId> runs;
  for (auto it = known_.lower_bound(first); it != known_.end() && runs.size() < most; ++it) {
    runs.push_back(it->first);
  }
  return runs;
}

Instant Retention::next() const {
  if (ended_.empty()) return kNever;
  const Instant oldest = ended_.begin()->first;
  Instant at = kNever;
  if (rules_.age > Duration::zero()) at = oldest + std::max(rules_.age, kRetainedAtLeast);
  const bool too_many = rules_.runs > 0 && ended_.size() > rules_.runs;
  const bool too_large = rules_.bytes > 0 && bytes_ > rules_.bytes && ended_.size() > 1;
  if (too_many || too_large) {
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
