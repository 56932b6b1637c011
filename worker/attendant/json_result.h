// The structured result that an output is by itself.
#pragma once

#include <string>
#include <string_view>

namespace troupe {

// The compact JSON of `text` if it is a JSON object or list; else "".
std::string JsonObjectOrList(std::string_view text);

}  // namespace troupe
