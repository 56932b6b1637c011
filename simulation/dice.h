// What is left to chance in a simulation: whole numbers only, the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "coordinator/random.h"

namespace troupe {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}

  std::uint64_t Next() { return random_.Next(); }
  // 0 … n - 1; n is not 0.
  std::uint32_t Below(std::size_t n) { return static_cast<std::uint32_t>(random_.Next() % n); }
  std::uint32_t Between(std::uint32_t low, std::uint32_t high) {
    return low + Below(high - low + 1);
  }
  bool OneIn(std::uint32_t n) { return Below(n) == 0; }
  // So many times in a million. Draws nothing if that is never.
  bool Chance(std::uint32_t in_a_million) {
    return in_a_million > 0 && Below(1'000'000) < in_a_million;
  }
  Duration Time(Duration low, Duration high) {
    return low + Duration(static_cast<std::int64_t>(
                     random_.Next() % static_cast<std::uint64_t>((high - low).count() + 1)));
  }
  // Small times are as likely as large ones.
  Duration Skewed(Duration high) { return Time({}, Time({}, Time({}, high))); }

 private:
  Random random_;
};

}  // namespace troupe
