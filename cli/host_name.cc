#include "cli/host_name.h"

#include <unistd.h>

#include <algorithm>

#include "protocol/access.h"

namespace troupe {

std::string HostName() {
  char buffer[256] = {};
  gethostname(buffer, sizeof buffer - 1);
  std::string name = buffer;
  name.resize(std::min(name.find('.'), name.size()));
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !IsWorkerName(std::string(1, c)) && c != '-'; },
      '-');
  return IsWorkerName(name) ? name : "worker";
}

}  // namespace troupe
