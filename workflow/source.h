// The text of a workflow file, and where in it something stands.
//
// Everything that is read from the file remembers its byte offset; lines and columns are worked out
// only for what is reported. Borrows the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

inline constexpr std::size_t kTextBytesMax = std::size_t{64} << 20;
inline constexpr std::uint32_t kNoPlace = 0xFFFF'FFFF;  // A byte offset that is none.

struct Place {
  std::uint32_t line = 0;    // From 1; 0: no place.
  std::uint32_t column = 0;  // From 1, in code points.
};

class Source {
 public:
  // A byte-order mark at the start of `text` is left out; offsets begin after it.
  explicit Source(std::string_view text);

  std::string_view text() const { return text_; }
  Place At(std::uint32_t offset) const;
  std::uint32_t LineAt(std::uint32_t offset) const { return At(offset).line; }

 private:
  struct Block {                    // What precedes each block of the text:
    std::uint32_t newlines = 0;     // how many lines have ended,
    std::uint32_t code_points = 0;  // how many code points there are,
    std::uint32_t line_start = 0;   // and where the line begins that goes on here.
  };
  std::uint32_t CodePointsBefore(std::uint32_t offset) const;

  std::string_view text_;
  std::vector<Block> blocks_;
};

// Why a text cannot be read as characters; no value: it can.
struct BadText {
  std::uint32_t at = kNoPlace;
  const char* code = "";
  std::string message = "";
};
std::optional<BadText> CheckText(std::string_view text);

struct CodePoint {
  char32_t value = 0xFFFD;
  std::size_t bytes = 0;  // 0: not UTF-8.
};
// The first of `text`, which is not empty.
CodePoint FirstCodePoint(std::string_view text);
// The code points of UTF-8; bytes that are none count as U+FFFD.
std::u32string DecodeUtf8(std::string_view text);
bool IsUtf8(std::string_view text);

}  // namespace troupe
