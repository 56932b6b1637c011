// Free-form values of a workflow file as JSON.
#pragma once

#include <string>
#include <string_view>

#include "workflow/plan.h"
#include "workflow/reader.h"

namespace troupe {

// Compact JSON. Reports numbers that are too large to be numbers.
std::string ToJson(Reader& reader, NodeId node);

// A string in double quotes.
std::string JsonString(std::string_view text);

// "an integer"
std::string_view Describe(InputType type);

}  // namespace troupe
