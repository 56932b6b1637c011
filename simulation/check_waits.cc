// Nothing waits without a cause, and every run ends.
#include <fmt/format.h>

#include <algorithm>

#include "coordinator/explain.h"
#include "simulation/checkers.h"

namespace troupe {

// What `why` says of a run that stands still.
void Checkers::DoesNotEnd(const Coordinator* coordinator, Instant now) {
  std::string text = "without faults";
  for (const auto& [id, run] : ledger_.runs()) {
    if (IsFinal(run.run.state)) continue;
    text += fmt::format(", run {} does not end: it is {}, in phase {}", id.value,
                        Name(run.run.state), static_cast<int>(run.run.phase));
    const LiveRun* live = coordinator == nullptr ? nullptr : coordinator->Find(id);
    if (live == nullptr) {
      text += "; no coordinator has it";
      continue;
    }
    for (std::uint32_t task : live->InOrder()) {
      if (IsSettled(live->Record(task).state)) continue;
      text += "\n    " + Explain(*live, task, true, now, &coordinator->pool());
    }
    for (const HookRecord& hook : live->Hooks()) {
      if (hook.state != HookState::Ready && hook.state != HookState::Running) continue;
      text += fmt::format("\n    hook execution {} (list {}, item {}) is {}", hook.execution,
                          hook.list, hook.index, Name(hook.state));
    }
  }
  judge_.Complain("ends", std::move(text));
}

void Checkers::OnTurn(const Coordinator&, const CheckpointStore&, Instant) {}

}  // namespace troupe
