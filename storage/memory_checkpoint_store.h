// A store that forgets with its process: for tests and the simulation. Keeps to the same contract
// as the durable one.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "storage/checkpoint_store.h"

namespace troupe {

class MemoryCheckpointStore : public CheckpointStore {
 public:
  Status Commit(const Batch& batch) override;
  Result<std::vector<RunRecord>> Runs() const override;
  Result<RunId> LastRun() const override { return last_; }
  Result<Checkpoint> Load(RunId run) const override;
  Result<std::vector<AttemptRecord>> Attempts(RunId run, Subject subject,
                                              std::uint32_t index) const override;
  Status Attempts(RunId run, const std::function<bool(const AttemptRecord&)>& visit) const override;

 private:
  struct Run {
    RunRecord record = {};
    std::string text = "";
    std::map<std::uint32_t, TaskRecord> tasks = {};
    std::map<std::uint32_t, HookRecord> hooks = {};
    std::map<AttemptId, AttemptRecord> attempts = {};
    std::map<std::string, AgentRecord> agents = {};
  };
  std::map<RunId, Run> runs_;
  RunId last_{};
};

}  // namespace troupe
