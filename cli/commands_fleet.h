// The subcommands that make and use a fleet: daemons, keys, and talking to a coordinator.
// As in commands.h: each does its work and returns the exit code. Flags that were not given are
// empty; they go over the configuration file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/connect_flags.h"

namespace troupe {

struct KeygenOptions {
  std::string file = "troupe.key";
  std::string name = "";  // "": this machine's.
  std::string role = "worker";
};
int MakeKey(const KeygenOptions& options);

// "": not given.
struct LogFlags {
  std::string format = "";
  std::string level = "";
};

struct CoordinatorCommand {
  std::string config = "";
  bool check = false;
  std::string state_dir = "";
  std::vector<std::string> listen = {};
  std::string key_file = "";
  std::string authorized_keys = "";
  bool insecure = false;
  double lease_secs = 0;  // 0: not given; so are the next.
  double heartbeat_secs = 0;
  double recovery_grace_secs = 0;
  double reconnect_window_secs = 0;
  double keep_days = 0;
  std::uint32_t keep_runs = 0;
  std::uint64_t keep_mib = 0;
  std::string metrics = "";
  LogFlags log = {};
};
int RunCoordinator(const CoordinatorCommand& command);

struct WorkerCommand {
  std::string config = "";
  bool check = false;
  ConnectFlags connect = {};
  std::string name = "";
  std::uint32_t slots = 0;
  std::vector<std::string> labels = {};
  std::string work_dir = "";
  std::string spool_dir = "";
  // A worker process of `troupe run`: it ends when the other end of this descriptor closes, and
  // flags are all that it goes by. -1: a daemon.
  int lifeline = -1;
  LogFlags log = {};
};
int RunWorker(const WorkerCommand& command);

struct SubmitOptions {
  ConnectFlags connect = {};
  std::string file = "";
  std::string workflow = "";
  std::vector<std::string> inputs = {};  // NAME=VALUE
  std::string key = "";                  // Idempotency: the same key, the same run.
  bool lenient = false;
  bool wait = false;  // Show how it goes, until it has ended.
  bool json = false;
};
int SubmitWorkflow(const SubmitOptions& options);

// Shows how a run goes, until it has ended.
int WatchRun(const StateOptions& options);

// Orders to a coordinator: that of a fleet, or of the `troupe run` in a state directory.
int OrderCancel(const StateOptions& options);
int OrderPause(const StateOptions& options);
int OrderResume(const StateOptions& options);
// `wait`: as of submit.
int RetryRemoteRun(const StateOptions& options, const std::vector<std::string>& tasks, bool wait);

int ListWorkers(const StateOptions& options);
// `undo`: it takes attempts again.
int DrainWorker(const StateOptions& options, const std::string& worker, bool undo);

}  // namespace troupe
