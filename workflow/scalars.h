// What a scalar without quotes means: what it means in JSON, else a string.
#pragma once

#include <string_view>

#include "workflow/tree.h"

namespace troupe {

NodeKind KindOfPlain(std::string_view text);
bool IsJsonNumber(std::string_view text);
bool IsJsonInteger(std::string_view text);  // No fraction, no exponent.

}  // namespace troupe
