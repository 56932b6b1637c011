// The durable memory of every run.
//
// Once Commit() returns, its batch survives a crash; it lands whole or not at all. Used by one
// thread. Readers may be another process (see OpenForReading of the RocksDB store).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/records.h"

namespace troupe {

// A run as it was committed. Tasks and hooks in the order of their numbers, agents by name; tasks
// that were never touched are missing, and so are agents that never failed.
struct Checkpoint {
  RunRecord run = {};
  std::string workflow_text = "";
  std::vector<TaskRecord> tasks = {};
  std::vector<HookRecord> hooks = {};
  std::vector<AgentRecord> agents = {};
};

class CheckpointStore {
 public:
  virtual ~CheckpointStore() = default;

  // After an error the store must be reopened: what it holds is known only by reading it. `Full`
  // if the disk is full.
  virtual Status Commit(const Batch& batch) = 0;

  // Every run, oldest first.
  virtual Result<std::vector<RunRecord>> Runs() const = 0;

  // The highest number that a run ever had, deleted ones included: numbers are not used again,
  // because a worker may still hold attempts of a deleted run. 0: none.
  virtual Result<RunId> LastRun() const = 0;

  // NotFound if no such run was committed; Corrupt if a record fails its checksum; TooNew if a
  // newer version wrote it.
  virtual Result<Checkpoint> Load(RunId run) const = 0;

  // The history of one task or hook execution, by number; all of a run with `Attempts(run, visit)`,
  // in the order (subject, index, number). `visit` returns false to stop.
  virtual Result<std::vector<AttemptRecord>> Attempts(RunId run, Subject subject,
                                                      std::uint32_t index) const = 0;
  virtual Status Attempts(RunId run,
                          const std::function<bool(const AttemptRecord&)>& visit) const = 0;
};

}  // namespace troupe
