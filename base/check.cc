#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace troupe {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "troupe: bug: %s does not hold (%s:%d); please report it\n", condition, file,
               line);
  std::abort();
}

}  // namespace troupe
