// The subcommands of `troupe`, one function each. main.cc reads the flags; each function does its
// work and returns the exit code: 0 succeeded, 1 the run failed, 2 the request was wrong,
// 3 no coordinator, 130 interrupted. Data goes to stdout, progress and errors to stderr.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/connect_flags.h"

namespace troupe {

inline constexpr int kExitOk = 0;
inline constexpr int kExitRunFailed = 1;
inline constexpr int kExitBadRequest = 2;
inline constexpr int kExitNoCoordinator = 3;
inline constexpr int kExitInterrupted = 130;

struct RunOptions {
  std::string file = "";
  std::string state_dir = ".troupe";
  std::string workflow = "";
  std::vector<std::string> inputs = {};  // NAME=VALUE
  std::uint32_t workers = 1;
  std::uint32_t slots = 0;  // Of each worker; 0: as many as the machine has cores.
  double grace_secs = 10;   // After Ctrl-C: how long running attempts may take to end.
  bool resume = false;
  bool clean = false;
  bool accept_changes = false;
  bool dry_run = false;
  bool json = false;
  bool lenient = false;
  ConnectFlags connect = {};  // With an endpoint: not on this machine, but by that coordinator.
  // Only of a retry.
  std::string run = "";                 // The run's number; "": the newest.
  std::vector<std::string> tasks = {};  // Dead letters; empty: all.
  bool wait = false;                    // Of a coordinator's run: show how it goes.
};
int RunWorkflow(const RunOptions& options);
// A new round of a run that has failed: `file` and what is about it play no part.
int RetryRun(const RunOptions& options);

// What the state directory knows; each works also while a run is going on.
struct StateOptions {
  std::string state_dir = ".troupe";
  bool state_dir_given = false;
  ConnectFlags connect = {};  // Or a coordinator's, see cli/source.h.
  std::string run = "";       // A run's number; "": the newest run.
  std::string task = "";
  bool json = false;
  bool hooks = false;   // logs: the hooks' output
  bool follow = false;  // logs: go on until the run has ended
};
int ListRuns(const StateOptions& options);
int ShowStatus(const StateOptions& options);
int ShowLogs(const StateOptions& options);
int ExplainWhy(const StateOptions& options);
int ExportRun(const StateOptions& options);
int DeleteRun(const StateOptions& options);
// Of all runs, or of the one that is named.
int ListDeadLetters(const StateOptions& options);
int DiscardDeadLettersOf(const StateOptions& options, const std::vector<std::string>& tasks);

}  // namespace troupe
