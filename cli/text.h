// Small words on how things are written for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/time.h"

namespace troupe {

// "0.4s", "12.3s", "4m 05s", "1h 02m".
std::string FormatDuration(Duration duration);

// "2026-11-24T12:00:01.250Z"; "" for an Instant that is not set.
std::string FormatInstant(Instant at);

// Names and messages on a terminal: control characters become \n, \t, \x1b.
std::string Escaped(std::string_view text);

// At most so many columns (a code point counts one, wide ones two); a cut ends in "…".
std::string CutToWidth(std::string_view text, std::size_t columns);
std::size_t WidthOf(std::string_view text);

}  // namespace troupe
