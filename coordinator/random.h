// The coordinator's dice: the same seed gives the same run of numbers on every machine.
//
// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#pragma once

#include <cstdint>
#include <string>

namespace troupe {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  // Evenly distributed over [0, 1).
  double Draw() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

  // A version 4 UUID.
  std::string Uuid();

 private:
  std::uint64_t state_;
};

}  // namespace troupe
