// One attempt from its order to its outcome: what the program troupe-attendant does.
//
// Takes the lock of the attempt's directory, starts the agent, keeps its clocks, spools what it
// says, ends all its processes and writes the outcome. SIGTERM to this process stops the attempt;
// a second one ends it at once. It needs nobody: the daemon that started it may be gone.
#pragma once

#include <filesystem>

namespace troupe {

// The exit status of the program: 0 also if there was nothing to do because another attendant has
// the attempt or it has begun already; 1 if the outcome could not be written.
int AttendAttempt(const std::filesystem::path& directory);

}  // namespace troupe
