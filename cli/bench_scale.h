// The parts of `troupe bench` that ask how it scales: a restart in the middle of a large run, what
// waiting tasks cost in memory, and what many workers cost, without work and with it.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"

namespace troupe {

// A run of `tasks` of which half are done is killed with its coordinator; seconds from the next
// one's start until it serves.
Result<double> RestartSeconds(const std::filesystem::path& directory, std::uint32_t tasks);

// Bytes of the coordinator for each task that waits for a worker: tasks of a loop, or tasks that
// stand in the file.
Result<double> BytesPerTask(const std::filesystem::path& directory, std::uint32_t tasks, bool loop);

// Per cent of a core that the coordinator takes while so many workers are connected and idle.
Result<double> IdleWorkersCost(const std::filesystem::path& directory, std::uint32_t workers);

struct LargeFleet {
  double tasks_per_second = 0;  // From the run's start to its end.
  double cpu_per_task = 0;      // Seconds of the coordinator.
};
// A loop of no-op tasks with so many workers of a few slots each.
Result<LargeFleet> MeasureLargeFleet(const std::filesystem::path& directory, std::uint32_t workers,
                                     std::uint32_t slots, std::uint32_t tasks);

}  // namespace troupe
