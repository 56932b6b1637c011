// A file that a loop goes over, as the JSON list of its items. Pure.
//
//   json        the file is one JSON list
//   json_lines  a JSON value a line; blank lines count for nothing
//   lines       each line is a string
//   csv         RFC 4180; the first row names the columns, each other row is a map of strings
//
// UTF-8, with or without a byte order mark; lines end in LF or CR LF.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/attempt.h"
#include "base/result.h"

namespace troupe {

// Of a file and of the list it makes. An outcome is sent in one frame of at most 64 MiB, with up to
// 8 MiB of outcomes before it.
inline constexpr std::size_t kCollectionBytesMax = std::size_t{48} << 20;

// The words of the language, in the order of CollectionFormat.
inline constexpr std::array<std::string_view, 4> kCollectionFormats = {"json", "json_lines",
                                                                       "lines", "csv"};

// Compact JSON. Invalid: the text is something else, is too long or has too many items; the message
// says what and where, in one line: "row 3: 2 fields, but the first row names 4 columns".
Result<std::string> CollectionItems(std::string_view text, CollectionFormat format);

}  // namespace troupe
