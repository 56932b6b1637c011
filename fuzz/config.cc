// A configuration file of a daemon or a client.
#include "config/config.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)troupe::ReadCoordinatorConfig(text, "/etc/troupe");
  (void)troupe::ReadWorkerConfig(text, "/etc/troupe");
  (void)troupe::ReadClientConfig(text, "/etc/troupe");
  return 0;
}
