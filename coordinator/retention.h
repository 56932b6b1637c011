// Which runs that have ended are to be forgotten, and when. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace troupe {

struct RetentionRules {
  Duration age{};           // A run is forgotten so long after its end; zero: never for its age.
  std::uint32_t runs = 0;   // So many are kept, the ones that ended last; 0: any number.
  std::uint64_t bytes = 0;  // The ones that are kept take so many, or there is only one; 0: any.
  bool operator==(const RetentionRules&) const = default;
};

// Whoever waits for a run can still see how it ended, whatever the rules.
inline constexpr Duration kRetainedAtLeast = std::chrono::minutes(1);
// Forgotten in one turn: so much that a commit does not take long.
inline constexpr std::size_t kForgottenAtOnce = 100;

class Retention {
 public:
  explicit Retention(RetentionRules rules) : rules_(rules) {}

  void Ended(RunId run, Instant at);
  // It goes on, or has been deleted.
  void Drop(RunId run);
  // What it takes of the store. One whose size is not known takes nothing.
  void Size(RunId run, std::uint64_t bytes);

  // Up to kForgottenAtOnce that have had their time; they are dropped.
  std::vector<RunId> Take(Instant now);
  // When Take() will have something; kNever.
  Instant next() const;

  // Up to `most` of those that have ended and are not forgotten, by number, from `first` on.
  std::vector<RunId> From(RunId first, std::size_t most) const;

 private:
  struct Known {
    Instant ended{};
    std::uint64_t bytes = 0;
  };

  RetentionRules rules_;
  std::set<std::pair<Instant, RunId>> ended_;
  std::map<RunId, Known> known_;  // The same.
  std::uint64_t bytes_ = 0;       // Of all.
};

}  // namespace troupe
