// Time as it arrives with events: numbers. Nothing here reads a clock.
#pragma once

#include <chrono>

namespace troupe {

using Duration = std::chrono::microseconds;
using Instant = std::chrono::sys_time<Duration>;  // Wall clock, UTC. Instant{} means "not set".

inline constexpr Instant kNever = Instant::max();

inline constexpr Duration Seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}
inline constexpr double ToSeconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace troupe
