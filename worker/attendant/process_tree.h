// The processes of one attempt: started, ended, and none left.
//
// The direct child leads a session of its own. The caller is made the subreaper of all that
// descends from it, so that a process cannot escape by losing its parents; where a cgroup may be
// made, it is put into one as well; and everything that still escapes (started by another daemon on
// its behalf) bears the attempt's token in its environment.
//
// One tree at a time, used by a process with one thread and no other children: it collects every
// child that ends. A tree that is not empty at its end leaves the process unfit for another one. If
// the caller dies, the kernel kills the direct child; KillByToken ends the rest.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "worker/attendant/agent_protocol.h"
#include "worker/attendant/cgroup.h"
#include "worker/attendant/files.h"

namespace troupe {

struct Launch {
  std::vector<std::string> argv = {};         // argv[0] without a slash is looked for in PATH.
  std::vector<std::string> environment = {};  // NAME=value; the PATH in it is the one that counts.
  std::string working_directory = "";         // Absolute.
  std::optional<std::string> standard_input = {};  // None: /dev/null.
};

// Our ends, none of which blocks.
struct Pipes {
  Fd standard_input;  // Not open if that is /dev/null.
  Fd standard_output;
  Fd standard_error;
};

class ProcessTree {
 public:
  // `cgroup`: where the processes are to be put, if it is made; it outlives the tree.
  ProcessTree(std::string token, const Cgroup& cgroup);
  ProcessTree(const ProcessTree&) = delete;
  ProcessTree& operator=(const ProcessTree&) = delete;
  // Kills what is left.
  ~ProcessTree();

  // Invalid: arguments or environment that no program could be given. Any other error: the program
  // or its directory is missing, not permitted or not executable here. Nothing runs then.
  Result<Pipes> Start(const Launch& launch);

  // Collects what has ended. To be called after each SIGCHLD, before asking what follows.
  void Reap();
  // How the direct child ended.
  const std::optional<ProcessEnd>& end() const { return end_; }
  // Nothing that descends from the direct child is left, itself included.
  bool empty() const { return empty_; }

  // SIGTERM to the whole tree.
  void Terminate();
  // SIGKILL to the whole tree, again and again until nothing is left or `patience` ends: the number
  // of processes that are left then, which only the kernel can be holding.
  std::size_t Kill(Duration patience);

 private:
  std::vector<pid_t> OwnChildren() const;

  std::string token_;
  const Cgroup& cgroup_;
  pid_t child_ = 0;
  std::optional<ProcessEnd> end_ = {};
  bool empty_ = true;
};

// Ends what a caller that has died left behind: all in the cgroup (empty: none), all with the token
// and all that descends from those. The number left when `patience` ends.
std::size_t KillByToken(const std::string& token, const std::filesystem::path& cgroup,
                        Duration patience);

}  // namespace troupe
