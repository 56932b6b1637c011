#include "coordinator/random.h"

#include <fmt/format.h>

namespace troupe {

std::string Random::Uuid() {
  const std::uint64_t high = (Next() & ~0xF000ull) | 0x4000ull;
  const std::uint64_t low = (Next() & ~(0xC0ull << 56)) | (0x80ull << 56);
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xFFFF,
                     high & 0xFFFF, low >> 48, low & 0xFFFF'FFFF'FFFF);
}

}  // namespace troupe
