// The worker's shell: socket, clock, signals, attendants and the spool around WorkerCore.
//
// One thread. Leaves when the lifeline closes, on SIGTERM or SIGINT, or when it is refused for
// good; the attempts go on under their attendants and a successor on the same spool finds them.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "protocol/zmq_endpoint.h"
#include "worker/worker.h"

namespace troupe {

// How the daemon stands.
struct WorkerStatus {
  bool joined = false;  // The coordinator has welcomed it.
  bool draining = false;
  std::size_t running = 0;
  Link link = Link::Connecting;
  std::string refused = "";  // Why the coordinator will not have it now; "": it said nothing.
  Instant now{};
};

struct WorkerDaemonOptions {
  WorkerOptions worker = {};
  std::string endpoint = "";  // Of the coordinator.
  std::optional<KeyPair> key = {};
  std::string server_key = "";
  std::filesystem::path spool = {};      // Its own directory; made if it is missing.
  std::filesystem::path attendant = {};  // The program.
  int lifeline = -1;  // A descriptor; when its other end closes, leave. -1: none.
  // Called after every turn; there is one a second at least.
  std::function<void(const WorkerStatus&)> on_turn = {};
  // Called on SIGHUP: slots, labels and providers from now on; nothing: as before. Not set: SIGHUP
  // has its usual effect.
  std::function<std::optional<WorkerOptions>()> on_hangup = {};
};

// Returns when the worker left in order; an error if it could not begin or was refused.
Status RunWorkerDaemon(const WorkerDaemonOptions& options);

}  // namespace troupe
