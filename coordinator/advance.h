// Step, commit, send: the order that makes a crash harmless, written once.
//
// Used by the daemon and by tests with the same code: nothing leaves before what it rests on is
// durable. A failed commit means that nothing of the turn may leave; the process must end, because
// only the disk knows what landed.
#pragma once

#include "base/mutant.h"
#include "coordinator/coordinator.h"
#include "storage/checkpoint_store.h"

namespace troupe {

// Ends the turn that the steps before it began. On success `effects` is what may now be sent and
// told; `send(const Outgoing&)` is called for each message.
template <class Send>
Status Advance(Coordinator& coordinator, CheckpointStore& store, Instant now, Effects& effects,
               Send&& send) {
  coordinator.EndTurn(now, effects);
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

}  // namespace troupe
