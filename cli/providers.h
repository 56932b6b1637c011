// Which providers this machine can offer: a program that is missing is noticed before a task is
// sent to it.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace troupe {

struct OfferedProviders {
  std::vector<std::string> names = {};
  std::string claude = "";                // Its program, absolute; "": not offered.
  std::vector<std::string> lines = {};    // For the log: what is offered.
  std::vector<std::string> missing = {};  // For the log: what is not, though it was named or usual.
};

// `path`: where programs are looked for, as in $PATH.
OfferedProviders FindProviders(const WorkerConfig& config, const std::string& path);

}  // namespace troupe
