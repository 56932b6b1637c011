// Step, commit, send: the order that makes a crash harmless, written once.
//
// Nothing leaves before what it rests on is durable. A failed commit means that nothing of the turn
// may leave, nor of any turn after it; the process must end, because only the disk knows what
// landed. A turn may end while others before it are still on their way to the disk: they land in
// their order. The daemon, the simulator and the tests use the same code.
#pragma once

#include <cstddef>

#include "base/mutant.h"
#include "coordinator/coordinator.h"
#include "storage/checkpoint_store.h"

namespace troupe {

// So many turns may have ended and not landed. With more, what the next one does would only wait.
inline constexpr std::size_t kLandingMax = 2;

// Lands a turn that has ended; on success `effects` is what may now be told, and
// `send(const Outgoing&)` is called for each message.
template <class Send>
Status Land(CheckpointStore& store, Effects& effects, Send&& send) {
  if (Mutant(Defect::SendBeforeSave)) {
    for (const Outgoing& outgoing : effects.send) send(outgoing);
    effects.send.clear();
  }
  if (!effects.save.empty()) {
    if (Status committed = store.Commit(effects.save); !committed) return committed;
  }
  for (const Outgoing& outgoing : effects.send) send(outgoing);
  return {};
}

// Ends the turn that the steps before it began, and lands it.
template <class Send>
Status Advance(Coordinator& coordinator, CheckpointStore& store, Instant now, Effects& effects,
               Send&& send) {
  coordinator.EndTurn(now, effects);
  return Land(store, effects, std::forward<Send>(send));
}

}  // namespace troupe
