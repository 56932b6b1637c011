#include "coordinator/random.h"

namespace troupe {

std::string Random::Uuid() {
  const std::uint64_t high = (Next() & ~0xF000ull) | 0x4000ull;
  const std::uint64_t low = (Next() & ~(0xC0ull << 56)) | (0x80ull << 56);
  std::string text(36, '-');
  std::size_t at = 0;
  for (const std::uint64_t half : {high, low}) {
    for (int shift = 60; shift >= 0; shift -= 4) {
      if (at == 8 || at == 13 || at == 18 || at == 23) ++at;
      text[at++] = "0123456789abcdef"[half >> shift & 0xF];
    }
  }
  return text;
}

}  // namespace troupe
