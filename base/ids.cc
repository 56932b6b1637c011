#include "base/ids.h"

#include <fmt/format.h>

namespace troupe {

std::string ToString(const AttemptId& id) {
  return fmt::format("{}-{}{}-{}", id.run.value, id.subject == Subject::Task ? 't' : 'h', id.index,
                     id.number);
}

}  // namespace troupe
