// The wall clock at start plus the steady clock since: it never jumps, and what it says still means
// something after a restart. For shells only; cores are told the time.
#pragma once

#include <chrono>

#include "base/time.h"

namespace troupe {

class Clock {
 public:
  Clock()
      : wall_(std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now())),
        steady_(std::chrono::steady_clock::now()) {}

  Instant Now() const {
    return wall_ + std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - steady_);
  }

 private:
  Instant wall_;
  std::chrono::steady_clock::time_point steady_;
};

}  // namespace troupe
