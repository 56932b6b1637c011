#include "base/run_event.h"

#include <array>
#include <cstddef>

namespace troupe {

std::string_view Name(RunEvent::Kind kind) {
  constexpr std::array<std::string_view, kRunEventKindCount> kNames = {
      "run_started",  "run_resumed",   "hook_started",   "hook_finished",      "stage_completed",
      "task_started", "task_retrying", "task_fallback",  "task_completed",     "task_failed",
      "task_skipped", "task_blocked",  "task_cancelled", "task_dead_lettered", "worker_joined",
      "worker_lost",  "run_paused",    "run_finished",   "agent_shut"};
  return kNames[static_cast<std::size_t>(kind)];
}

}  // namespace troupe
