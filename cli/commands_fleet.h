// The subcommands that make and use a fleet: daemons, keys, and talking to a coordinator.
// As in commands.h: each does its work and returns the exit code. Flags that were not given are
// empty; they go over the configuration file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe {

struct KeygenOptions {
  std::string file = "troupe.key";
  std::string name = "";  // "": this machine's.
  std::string role = "worker";
};
int MakeKey(const KeygenOptions& options);

struct CoordinatorCommand {
  std::string config = "";
  bool check = false;
  std::string state_dir = "";
  std::vector<std::string> listen = {};
  std::string key = "";
  std::string authorized_keys = "";
  bool insecure = false;
  double lease_secs = 0;  // 0: not given; so are the next.
  double heartbeat_secs = 0;
  double recovery_grace_secs = 0;
  double reconnect_window_secs = 0;
};
int RunCoordinator(const CoordinatorCommand& command);

// How to reach a coordinator.
struct ConnectFlags {
  std::string endpoint = "";
  std::string key = "";
  std::string server_key = "";
  bool insecure = false;
};

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
};
int RunWorker(const WorkerCommand& command);

}  // namespace troupe
