#include "coordinator/agent_gate.h"

#include <algorithm>

#include "base/mutant.h"

namespace troupe {

Instant AgentGate::ShutUntil(Instant now) const {
  Instant until{};
  if (record_.shut_until > now) until = record_.shut_until;
  const bool open = record_.breaker_open && !Mutant(Defect::BreakerIgnored);
  if (open && record_.opens > now) until = std::max(until, record_.opens);
  return until;
}

bool AgentGate::Open(Instant now) const {
  if (ShutUntil(now) != Instant{}) return false;
  return !HalfOpen(now) || !HasProbe() || Mutant(Defect::ProbesForgotten);
}

Instant AgentGate::NextTime(Instant now) const {
  const Instant until = ShutUntil(now);
  return until == Instant{} ? kNever : until;
}

bool AgentGate::OnStarted(TaskId task, std::uint32_t attempt, Instant now) {
  if (!HalfOpen(now)) return false;
  record_.probe_task = task.value;
  record_.probe_attempt = attempt;
  return true;
}

bool AgentGate::OnEnded(TaskId task, std::uint32_t attempt, Instant started,
                        std::optional<FailureClass> failure, Instant now) {
  const AgentRecord before = record_;
  const bool probe = record_.probe_attempt == attempt && record_.probe_task == task.value &&
                     record_.probe_attempt != 0;
  if (probe) record_.probe_attempt = 0;
  if (!failure) {
    record_.rate_limits = 0;
    if (probe) record_.breaker_open = false;
    return record_ != before;
  }
  if (failure == FailureClass::RateLimited &&
      (record_.rate_limits == 0 || started >= record_.shut_since)) {
    ++record_.rate_limits;
  }
  if (breaker_ == nullptr || !Traits(*failure).trips_breaker) return record_ != before;
  if (probe) {
    record_.opens = now + breaker_->cooldown;
  } else if (!record_.breaker_open) {
    std::erase_if(record_.failures, [&](Instant at) { return at <= now - breaker_->window; });
    record_.failures.push_back(now);
    if (record_.failures.size() >= breaker_->failures) {
      record_.failures.clear();
      record_.breaker_open = true;
      record_.opens = now + breaker_->cooldown;
    }
  }
  return record_ != before;
}

void AgentGate::Shut(Instant now, Instant until) {
  record_.shut_since = now;
  record_.shut_until = std::max(record_.shut_until, until);
}

}  // namespace troupe
