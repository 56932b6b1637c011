// What the store knows of a run, ready to go on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/checkpoint_store.h"
#include "workflow/plan.h"

namespace troupe {

struct Resumable {
  Checkpoint checkpoint = {};
  std::shared_ptr<const Plan> plan = {};
  std::vector<AttemptRecord> outcomes = {};  // Of completed tasks whose output others use.
};

// Reads the run and compiles the text it was started with.
Result<Resumable> LoadRun(const CheckpointStore& store, RunId run);

// The run goes on with another text of its workflow. Tasks are matched by their ids; results of
// tasks whose definition is unchanged are kept, and what runs unchanged goes on. All other tasks
// are pending again (their attempt numbers go on). `save` is to be committed before the run is
// restored. Invalid if the run is in a phase in which nothing can change any more.
struct AcceptedChanges {
  Resumable run = {};
  Batch save = {};
  std::vector<std::string> kept = {};   // Settled tasks that stay as they are.
  std::vector<std::string> again = {};  // Tasks that had begun and will run again.
};
Result<AcceptedChanges> AcceptChanges(const CheckpointStore& store, const Resumable& old,
                                      std::shared_ptr<const Plan> plan, const std::string& text);

}  // namespace troupe
