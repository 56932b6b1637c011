// CHECK(condition): for what only a bug of ours can break. On in every build: it prints the place
// and ends the process.
#pragma once

namespace troupe {
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
}

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) ::troupe::CheckFailed(#condition, __FILE__, __LINE__); \
  } while (false)
