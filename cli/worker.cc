#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "cli/print.h"
#include "worker/worker_daemon.h"

namespace troupe {

int RunWorker(const WorkerCommand& command) {
  spdlog::set_default_logger(spdlog::stderr_logger_st("worker"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %v");
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  WorkerDaemonOptions options;
  options.worker.name = command.name;
  options.worker.slots = command.slots;
  options.endpoint = command.connect;
  options.spool = command.spool;
  options.attendant = program.parent_path() / "troupe-attendant";
  options.lifeline = command.lifeline;
  if (!std::filesystem::exists(options.attendant, error)) {
    Say(fmt::format("troupe worker: {} is missing; install troupe again\n",
                    options.attendant.string()));
    return kExitBadRequest;
  }
  if (Status left = RunWorkerDaemon(options); !left) {
    Say(fmt::format("troupe worker {}: {}\n", command.name, left.error().message));
    return kExitBadRequest;
  }
  return kExitOk;
}

}  // namespace troupe
