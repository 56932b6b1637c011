// The subcommands that make and use a fleet: daemons, keys, and talking to a coordinator.
// As in commands.h: each does its work and returns the exit code.
#pragma once

#include <string>

namespace troupe {

struct KeygenOptions {
  std::string file = "troupe.key";
  std::string name = "";  // "": this machine's.
  std::string role = "worker";
};
int MakeKey(const KeygenOptions& options);

}  // namespace troupe
