// Where runs are read from: a state directory of this machine, or a coordinator.
//
// Which one: `--connect` names a coordinator and `--state-dir` a directory; else the environment
// variable TROUPE_COORDINATOR; else ./.troupe if it is there; else ~/.config/troupe/client.yaml.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/log_text.h"
#include "coordinator/worker_pool.h"
#include "storage/checkpoint_store.h"

namespace troupe {

class RunSource {
 public:
  virtual ~RunSource() = default;

  virtual const CheckpointStore& store() const = 0;
  // From now on the store has what was committed until now.
  virtual Status CatchUp() = 0;
  // A coordinator is at work on the runs.
  virtual bool at_work() const = 0;
  // Those that are known, for explanations.
  virtual WorkerPool Workers() = 0;
  // What a running attempt has printed from `offset` on; "" if nothing, or if it cannot be known.
  virtual std::string ReadOutput(const AttemptId& id, LogText::Stream stream,
                                 std::size_t offset) = 0;
};

// Unavailable, with the first question, if there is a coordinator to ask and nobody answers.
Result<std::unique_ptr<RunSource>> OpenSource(const StateOptions& options);

// The coordinator that the options mean; nothing: they mean a state directory.
Result<std::optional<ConnectConfig>> RemoteOf(const StateOptions& options);

// For orders: the coordinator that the options mean, be it that of a `troupe run` in the state
// directory. NotFound if none is at work there.
Result<Client> ConnectFor(const StateOptions& options);

}  // namespace troupe
