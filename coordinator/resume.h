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
  std::vector<AttemptRecord> outcomes = {};  // See LoadOutcomes().
};

// The attempts that a run needs in memory: of completed tasks whose output others use, and those
// that read what loops go over.
Result<std::vector<AttemptRecord>> LoadOutcomes(const CheckpointStore& store,
                                                const Checkpoint& checkpoint, const Plan& plan);

// Reads the run and compiles the text it was started with.
Result<Resumable> LoadRun(const CheckpointStore& store, RunId run);

// The same without the outcomes: for looking at, not for going on.
Result<Resumable> LoadRunToView(const CheckpointStore& store, RunId run);

// A run that is to go on other than it stood. `save` is to be committed before it is restored.
struct Reworked {
  Resumable run = {};
  Batch save = {};
  std::vector<std::string> kept = {};   // Settled tasks that stay as they are, by full id.
  std::vector<std::string> again = {};  // Tasks that had begun and will run again.
};

// The run goes on with another text of its workflow. Tasks are matched by their ids; results of
// tasks whose definition is unchanged are kept, and what runs unchanged goes on. All other tasks
// are pending again (their attempt numbers go on). Invalid if the run is in a phase in which
// nothing can change any more.
Result<Reworked> AcceptChanges(const CheckpointStore& store, const Resumable& old,
                               std::shared_ptr<const Plan> plan, const std::string& text);

// A run that has ended begins a new round: the dead letters that `tasks` name (empty: all) and all
// blocked and cancelled tasks are pending again, their counters at zero. A name may be that of a
// parent or a loop, for all below it. Invalid if the run has not ended or has nothing to redrive,
// NotFound for a name that is none.
Result<Reworked> Redrive(const CheckpointStore& store, const Resumable& old,
                         const std::vector<std::string>& tasks);

// Dead letters of a run that are given up for good: the tasks stay failed, and a redrive leaves
// them out. Errors as of Redrive().
Result<Batch> DiscardDeadLetters(const Resumable& run, const std::vector<std::string>& tasks);

}  // namespace troupe
