// Reading a run, of a state directory or of a coordinator, also while it is going on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/commands.h"
#include "cli/source.h"
#include "coordinator/live_run.h"
#include "storage/checkpoint_store.h"

namespace troupe {

// A run as it was committed, and what its tasks are as a consequence.
struct StoredRun {
  std::unique_ptr<RunSource> source = {};
  const CheckpointStore* store = nullptr;  // The source's.
  Checkpoint checkpoint = {};
  bool at_work = false;  // A coordinator is at work on the runs.
  std::shared_ptr<const Plan> plan = {};
  std::unique_ptr<LiveRun> live = {};  // Restored; nothing moves in it.

  // "interrupted" for a run that nobody is at work on.
  std::string StateName() const;
  // Up to when durations count: now, or for a run that nobody is at work on its last sign of life.
  Instant Until(Instant now) const;
  // Reads what was committed since.
  Status Refresh();
  // Plan index of a task; NotFound with a suggestion.
  Result<std::uint32_t> FindTask(const std::string& id) const;
};

// The workers that a `troupe run` in this state directory has: without labels, with every provider.
WorkerPool LocalPool(const std::string& state_dir);

// The run that the options name, or the newest.
Result<StoredRun> OpenRun(const StateOptions& options);

// The run that the options name, or the newest, of these.
Result<RunId> ChooseRunOf(const StateOptions& options, const std::vector<RunRecord>& runs);

// For commands that take RUN and TASK: a single word that is no number is a task of the newest run.
StateOptions WithTask(StateOptions options);

// "go on with: troupe run FILE --resume"
std::string ResumeHint(const RunRecord& run, const std::string& state_dir);

std::string StateNameOf(const RunRecord& run, bool at_work);

// Says it on stderr and returns the exit code: that of a bad request, or of no coordinator.
int Refuse(const std::string& message);
int Refuse(const Error& error);

// " --state-dir X" for a command to type, if it is not the default.
std::string StateDirFlag(const std::string& state_dir);

// A table with columns as wide as what stands in them.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace troupe
