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
// For people, in their own time zone: "2026-11-24 13:00:01".
std::string FormatLocal(Instant at);

// Names and messages on a terminal: control characters become \n, \t, \x1b, and what is not UTF-8
// or turns the direction of writing around is shown as a number too.
std::string Escaped(std::string_view text);

// A word for the shell, in quotes if it needs them.
std::string Quoted(std::string_view word);

// At most so many columns (a code point counts one, wide ones two); a cut ends in "…".
std::string CutToWidth(std::string_view text, std::size_t columns);
std::size_t WidthOf(std::string_view text);

}  // namespace troupe
