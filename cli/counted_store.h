// A store whose commits are timed and counted in a Tally.
#pragma once

#include <functional>
#include <vector>

#include "base/clock.h"
#include "coordinator/tally.h"
#include "storage/checkpoint_store.h"

namespace troupe {

class CountedStore final : public CheckpointStore {
 public:
  // Both outlive it.
  CountedStore(CheckpointStore& store, Tally& tally) : store_(store), tally_(tally) {}

  Status Commit(const Batch& batch) override {
    const Instant began = clock_.Now();
    Status committed = store_.Commit(batch);
    if (committed) tally_.OnCommit(batch, clock_.Now() - began);
    return committed;
  }
  Result<std::vector<RunRecord>> Runs() const override { return store_.Runs(); }
  Result<RunId> LastRun() const override { return store_.LastRun(); }
  Result<Checkpoint> Load(RunId run) const override { return store_.Load(run); }
  Result<std::vector<AttemptRecord>> Attempts(RunId run, Subject subject,
                                              std::uint32_t index) const override {
    return store_.Attempts(run, subject, index);
  }
  Status Attempts(RunId run,
                  const std::function<bool(const AttemptRecord&)>& visit) const override {
    return store_.Attempts(run, visit);
  }

 private:
  CheckpointStore& store_;
  Tally& tally_;
  Clock clock_;
};

}  // namespace troupe
