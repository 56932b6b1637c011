// Whether a run's attempts may start with an agent: its rate limit and its circuit breaker
// (docs/language.md, "Agents that are shut"). The one place where an attempt is held back for its
// agent's sake.
//
// Pure. What it knows is an AgentRecord, so that a restart shuts no agent longer or shorter.
#pragma once

#include <optional>
#include <string>

#include "base/failure.h"
#include "base/ids.h"
#include "base/time.h"
#include "storage/records.h"
#include "workflow/plan.h"

namespace troupe {

class AgentGate {
 public:
  // `breaker` (null: none) outlives it.
  AgentGate(RunId run, std::string agent, const BreakerRules* breaker) : breaker_(breaker) {
    record_.run = run;
    record_.agent = std::move(agent);
  }
  void Restore(const AgentRecord& record) { record_ = record; }

  // May an attempt start? Half open, only if no other was let through.
  bool Open(Instant now) const;
  // When it opens; Instant{}: it is not shut.
  Instant ShutUntil(Instant now) const;
  // When something changes by itself next; kNever: nothing does.
  Instant NextTime(Instant now) const;
  bool breaker_open() const { return record_.breaker_open; }
  bool HasProbe() const { return record_.probe_attempt != 0; }
  // How often in a row it was rate limited, the latest included.
  std::uint32_t rate_limits() const { return record_.rate_limits; }

  // Both return whether the record has changed.
  bool OnStarted(TaskId task, std::uint32_t attempt, Instant now);
  // `failure` empty: it succeeded. An attempt that began before the present rate limit says nothing
  // new about it: many that run into the same one count once.
  bool OnEnded(TaskId task, std::uint32_t attempt, Instant started,
               std::optional<FailureClass> failure, Instant now);

  // The provider's rate limit holds until then.
  void Shut(Instant now, Instant until);

  const AgentRecord& record() const { return record_; }

 private:
  bool HalfOpen(Instant now) const { return record_.breaker_open && record_.opens <= now; }

  const BreakerRules* breaker_;
  AgentRecord record_;
};

}  // namespace troupe
