// The coordinator's disk: a memory store whose commits can be made to fail, with or without having
// landed. What has landed is told to the checkers before anything can be sent.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "storage/memory_checkpoint_store.h"

namespace troupe {

class SimulatedDisk final : public CheckpointStore {
 public:
  enum class Next : std::uint8_t {
    Lands,
    Fails,  // Nothing landed.
    Lies,   // It landed, and is reported as failed.
    Full,
  };

  // What becomes of the commits from now on.
  void Set(Next next) { next_ = next; }
  // Told of each batch that has landed.
  std::function<void(const Batch&)> on_landed;

  Status Commit(const Batch& batch) override {
    if (next_ == Next::Full) return Error{ErrorCode::Full, "the disk is full"};
    if (next_ == Next::Fails) return Error{ErrorCode::Io, "the write failed"};
    Status done = store_.Commit(batch);
    if (on_landed) on_landed(batch);
    if (next_ == Next::Lies) return Error{ErrorCode::Io, "the write seemed to fail"};
    return done;
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
  MemoryCheckpointStore store_;
  Next next_ = Next::Lands;
};

}  // namespace troupe
