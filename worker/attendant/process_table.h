// The processes of this machine, as /proc shows them.
//
// Numbers of processes are used again: a process is its number and the time it was started. All
// functions may be called from any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  char state = '?';               // As in /proc/PID/stat; Z: dead, but nobody has noticed.
  std::uint64_t start_ticks = 0;  // Since boot.
  bool operator==(const Process&) const = default;
};

// Empty: there is no such process (any more).
std::optional<Process> FindProcess(pid_t pid);

// All that live, zombies left out.
std::vector<Process> ListProcesses();

// What it was started with has TROUPE_ATTEMPT_TOKEN=token. False for processes of others.
bool HasToken(pid_t pid, const std::string& token);

// The living descendants of `root` (0: none), the processes with the token (empty: none) and the
// descendants of those; without `root` and the caller.
std::vector<Process> FindMembers(pid_t root, const std::string& token);

// Signals exactly this process: not another that got its number meanwhile.
void SignalProcess(const Process& process, int signal);

// Changes at each boot. Empty if /proc is not there.
const std::string& BootId();

}  // namespace troupe
