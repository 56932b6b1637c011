// A process that becomes an attendant by forking: the program is loaded and bound once, not for
// each attempt. The worker daemon keeps one as a child of its own.
//
// Over a socket of packets it is sent the path of an attempt's directory and answers with the pid
// of an attendant. That is a child of the daemon, not of the zygote (CLONE_PARENT), so the daemon
// waits for it as if it had started it itself. The zygote ends when the daemon does; attendants
// stay.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>

namespace troupe {

struct ZygoteAnswer {
  pid_t pid = -1;
  int error = 0;  // Of errno, with a pid of -1.
};

inline constexpr std::size_t kZygotePathMax = 4096;  // Of a directory in an order.

// Serves the socket that is standard input until it closes. Called by the program, which has no
// other thread. `title`: the memory of its arguments that the attendants may name themselves in.
// Returns the status with which the process has to end, the zygote or an attendant.
int ServeZygote(std::span<char> title);

}  // namespace troupe
