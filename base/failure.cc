#include "base/failure.h"

#include <array>
#include <cstddef>

namespace troupe {
namespace {

using enum DefaultStep;
//                          name                 counts by_default  list  told   breaker
constexpr std::array<FailureTraits, kFailureClassCount> kTraits = {{
    {"agent_error", true, Retry, true, true, true},
    {"transient", true, Retry, true, true, true},
    {"overloaded", true, Retry, true, true, true},
    {"timeout", true, Retry, true, true, true},
    {"crashed", true, Retry, true, true, true},
    {"max_turns", true, Retry, true, true, false},
    {"schema_failed", true, Retry, true, true, false},
    {"invalid_request", true, NextAgent, true, true, false},
    {"context_overflow", true, NextAgent, true, true, false},
    {"budget", true, NextAgent, true, true, false},
    {"refusal", true, NextAgent, true, true, false},
    {"permission_denied", true, NextAgent, true, true, false},
    {"dod_unmet", true, NextAgent, true, false, false},
    {"billing", false, NextAgent, false, true, true},
    {"auth", false, OtherWorker, false, true, true},
    {"spawn_failed", false, OtherWorker, true, false, false},
    {"rate_limited", false, Wait, false, true, false},
    {"queue_timeout", false, NextAgent, false, false, false},
    {"worker_lost", false, Again, false, false, false},
    {"unresolved", false, GiveUp, false, false, false},
    {"cancelled", false, None, false, false, false},
    {"hook_failed", false, None, false, false, false},
}};

}  // namespace

const FailureTraits& Traits(FailureClass c) { return kTraits[static_cast<std::size_t>(c)]; }

std::optional<FailureClass> FailureClassFromName(std::string_view name) {
  for (std::size_t i = 0; i < kTraits.size(); ++i) {
    if (kTraits[i].name == name) return static_cast<FailureClass>(i);
  }
  return std::nullopt;
}

}  // namespace troupe
