// What a Claude Code process prints, in two pieces cut anywhere, and how it ends.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "worker/attendant/claude_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = text.empty() ? 0 : data[0] % text.size();
  troupe::ClaudeProtocol protocol;
  std::vector<troupe::AgentEvent> events;
  protocol.Read(text.substr(0, cut), events);
  protocol.Read(text.substr(cut), events);
  (void)protocol.Conclude({.process = {.exit_code = data[0] % 3}});
  return 0;
}
