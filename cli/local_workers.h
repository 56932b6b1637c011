// The worker processes of a `troupe run`: started, watched, and started again when they die.
//
// Each has a lifeline: a pipe whose other end we hold. When we are gone, however that came, the
// workers see it and leave; their attempts go on under their attendants. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "protocol/zmq_endpoint.h"

namespace troupe {

struct LocalWorkersOptions {
  std::filesystem::path directory = {};  // STATE_DIR/workers; each worker has NAME/ in it.
  std::string endpoint = "";
  std::uint32_t count = 1;
  std::uint32_t slots = 1;
};

class LocalWorkers {
 public:
  // Starts w1 … wN, and with no slots those of an earlier run that still hold attempts.
  static Result<LocalWorkers> Start(const LocalWorkersOptions& options);
  LocalWorkers(LocalWorkers&&) noexcept = default;
  LocalWorkers& operator=(LocalWorkers&&) noexcept = default;
  // Cuts the lifelines and waits until the processes have left, at most for a second.
  ~LocalWorkers();

  // Adds what to wait for; later Check() with the same positions looks at it.
  void AddTo(std::vector<WaitFd>& fds) const;
  // The worker has spoken to the coordinator: it is well.
  void Joined(const std::string& name);
  // Starts again what has died. An error when a worker cannot be kept alive.
  Status Check(Instant now);
  // When Check() wants to be called next, kNever if on a descriptor only.
  Instant next_check() const;

 private:
  struct Process {
    std::string name = "";
    std::uint32_t slots = 0;
    pid_t pid = -1;
    int pidfd = -1;
    int lifeline = -1;
    std::uint32_t deaths = 0;  // In quick succession.
    Instant started{};
    Instant start_again = kNever;
  };

  explicit LocalWorkers(LocalWorkersOptions options) : options_(std::move(options)) {}
  Status StartProcess(Process& process);
  void Reap(Process& process, Instant now);

  LocalWorkersOptions options_;
  std::vector<Process> processes_;
};

}  // namespace troupe
