// The name of this machine, as a worker may bear it.
#pragma once

#include <string>

namespace troupe {

// Its first part, without what may not stand in a worker's name; "worker" if nothing is left.
std::string HostName();

}  // namespace troupe
