// The durable store. The only user of RocksDB; a target of its own, linked by no core.
//
// One column family per kind of record, keys that only grow within a run (run, then number, big
// endian), one synced write per batch. Damage in the middle of the log is refused, not forgotten.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "storage/checkpoint_store.h"

namespace troupe {

class RocksDbCheckpointStore final : public CheckpointStore {
 public:
  // Creates the store if there is none. Locked if another process has it open for writing, TooNew
  // if a newer troupe wrote it, Corrupt if it is damaged, Full if the disk is.
  static Result<std::unique_ptr<RocksDbCheckpointStore>> Open(
      const std::filesystem::path& directory);

  // What was committed until now, also while another process writes; CatchUp() for what came since.
  // NotFound if there is no store.
  static Result<std::unique_ptr<RocksDbCheckpointStore>> OpenForReading(
      const std::filesystem::path& directory);
  Status CatchUp();
  // What was committed until now, and nothing that comes later; at next to no cost. Any thread may
  // ask for one. Keep it for short: while it is there, nothing is freed.
  std::unique_ptr<const RocksDbCheckpointStore> Reader() const;

  ~RocksDbCheckpointStore() override;

  // About what each of the runs takes on the disk. What is only in the log, up to 128 MiB of all,
  // does not count yet. Any thread may ask.
  std::vector<std::uint64_t> SizesOf(const std::vector<RunId>& runs) const;
  // Takes off the disk what deleted runs of these numbers have left there. It may take long, and
  // ends early when `cancelled` is set. Any thread may ask.
  void Free(RunId first, RunId last, std::atomic<bool>& cancelled) const;

  Status Commit(const Batch& batch) override;
  Result<std::vector<RunRecord>> Runs() const override;
  Result<RunId> LastRun() const override;
  Result<Checkpoint> Load(RunId run) const override;
  Result<std::vector<AttemptRecord>> Attempts(RunId run, Subject subject,
                                              std::uint32_t index) const override;
  Status Attempts(RunId run, const std::function<bool(const AttemptRecord&)>& visit) const override;

 private:
  struct State;
  struct View;
  explicit RocksDbCheckpointStore(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
  std::unique_ptr<View> view_;
};

}  // namespace troupe
