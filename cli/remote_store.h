// The runs of a coordinator, read as if its store were here.
//
// Each call asks the coordinator; what it answers was committed before. Nothing can be committed
// through it.
#pragma once

#include <functional>
#include <vector>

#include "cli/client.h"
#include "storage/checkpoint_store.h"

namespace troupe {

class RemoteStore final : public CheckpointStore {
 public:
  // `client` outlives it.
  explicit RemoteStore(Client& client) : client_(&client) {}

  Status Commit(const Batch& batch) override;
  Result<std::vector<RunRecord>> Runs() const override;
  Result<RunId> LastRun() const override;
  Result<Checkpoint> Load(RunId run) const override;
  Result<std::vector<AttemptRecord>> Attempts(RunId run, Subject subject,
                                              std::uint32_t index) const override;
  Status Attempts(RunId run, const std::function<bool(const AttemptRecord&)>& visit) const override;

 private:
  Result<std::vector<StoredRecord>> Read(ClientRead read) const;

  Client* client_;
};

}  // namespace troupe
