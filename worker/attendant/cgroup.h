// A cgroup (v2) of its own for the processes of an attempt: whatever they do, none leaves it
// unnoticed, and all end at one word. One attempt's after another's.
//
// It is a luxury: where the hierarchy is not there or not writable, the process tree does without.
#pragma once

#include <filesystem>
#include <string>

#include "worker/attendant/files.h"

namespace troupe {

// Where a group of this name would be: under the group of the calling process. Empty if there is
// no cgroup2 hierarchy in which the caller has a place. The two texts are those of
// /proc/self/mountinfo and /proc/self/cgroup, which a process reads once.
std::filesystem::path CgroupPath(const std::string& mountinfo, const std::string& own,
                                 const std::string& name);
std::filesystem::path CgroupPath(const std::string& name);

class Cgroup {
 public:
  Cgroup() = default;

  // Makes the group; not made() if that is not permitted.
  static Cgroup Make(const std::filesystem::path& path);
  // One that a process that has died may have left behind.
  static Cgroup Adopt(const std::filesystem::path& path);

  bool made() const { return directory_.open(); }
  int fd() const { return directory_.get(); }

  bool Populated() const;
  void Kill() const;
  // Removes the group, which must be empty; waits a moment for what is just leaving it.
  void Remove();

 private:
  std::filesystem::path path_;
  Fd directory_;
};

}  // namespace troupe
