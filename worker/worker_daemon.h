// The worker's shell: socket, clock, signals, attendants and the spool around WorkerCore.
//
// One thread. Leaves when the lifeline closes, on SIGTERM or SIGINT, or when it is refused; the
// attempts go on under their attendants and a successor on the same spool finds them.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "worker/worker.h"

namespace troupe {

struct WorkerDaemonOptions {
  WorkerOptions worker = {};
  std::string endpoint = "";             // Of the coordinator.
  std::filesystem::path spool = {};      // Its own directory; made if it is missing.
  std::filesystem::path attendant = {};  // The program.
  int lifeline = -1;  // A descriptor; when its other end closes, leave. -1: none.
};

// Returns when the worker left in order; an error if it could not begin or was refused.
Status RunWorkerDaemon(const WorkerDaemonOptions& options);

}  // namespace troupe
