// A frame from the network: what can be read is written and read again as the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "protocol/codec.h"
#include "protocol/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view frame(reinterpret_cast<const char*>(data), size);
  if (const auto message = troupe::DecodeToCoordinator(frame)) {
    (void)troupe::WrongWith(*message);
    const auto again = troupe::DecodeToCoordinator(troupe::Encode(*message));
    CHECK(again && *again == *message);
  }
  if (const auto message = troupe::DecodeFromCoordinator(frame)) {
    const auto again = troupe::DecodeFromCoordinator(troupe::Encode(*message));
    CHECK(again && *again == *message);
  }
  return 0;
}
