// The classes of failure and what each means (docs/language.md, "Failure classes").
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe {

enum class FailureClass : std::uint8_t {
  AgentError,
  Transient,
  Overloaded,
  Timeout,
  Crashed,
  MaxTurns,
  SchemaFailed,
  InvalidRequest,
  ContextOverflow,
  Budget,
  Refusal,
  PermissionDenied,
  DodUnmet,
  Billing,
  Auth,
  SpawnFailed,
  RateLimited,
  QueueTimeout,
  WorkerLost,
  Unresolved,
  Cancelled,
  HookFailed,
};
inline constexpr int kFailureClassCount = 22;

// What happens next unless the task's rules say otherwise.
enum class DefaultStep : std::uint8_t { Retry, NextAgent, OtherWorker, Wait, Again, GiveUp, None };

struct FailureTraits {
  std::string_view name;  // As users write it: "agent_error".
  bool counts;            // Uses up one of the task's attempts.
  DefaultStep by_default;
  bool listable;  // May stand in retry_on and no_retry_on.
  bool told;      // May be reported by an agent.
  bool trips_breaker;
};

const FailureTraits& Traits(FailureClass c);
inline std::string_view Name(FailureClass c) { return Traits(c).name; }
std::optional<FailureClass> FailureClassFromName(std::string_view name);

}  // namespace troupe
