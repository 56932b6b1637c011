#include "storage/records.h"

#include <array>
#include <cstddef>

namespace troupe {

std::string_view Name(RunState state) {
  constexpr std::array<std::string_view, 5> kNames = {"running", "paused", "succeeded", "failed",
                                                      "cancelled"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string_view Name(TaskState state) {
  constexpr std::array<std::string_view, 9> kNames = {"pending", "ready",     "waiting",
                                                      "running", "completed", "skipped",
                                                      "failed",  "blocked",   "cancelled"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string_view Name(HookState state) {
  constexpr std::array<std::string_view, 5> kNames = {"ready", "running", "succeeded", "failed",
                                                      "cancelled"};
  return kNames[static_cast<std::size_t>(state)];
}

}  // namespace troupe
