// What the program troupe-attendant does: attempts, one after another, each from its order to its
// outcome.
//
// Takes the lock of an attempt's directory, starts the agent, keeps its clocks, spools what it
// says, ends all its processes and writes the outcome. SIGTERM to this process stops the attempt; a
// second one ends it at once. It needs nobody: the daemon that started it may be gone.
#pragma once

#include <filesystem>
#include <span>

namespace troupe {

// One attempt. The exit status of the program: 0 also if there was nothing to do because another
// attendant has the attempt or it has begun already; 1 if the outcome could not be written.
int AttendAttempt(const std::filesystem::path& directory);

// What is ordered at `socket` (orders.h), until there is nobody to give orders, a SIGTERM comes
// while there is nothing to do, or an attempt leaves this process unfit for another. `root`: the
// spool. `title`: the memory of the program's arguments, in which it names the attempt.
int AttendOrders(const std::filesystem::path& root, int socket, std::span<char> title);

}  // namespace troupe
