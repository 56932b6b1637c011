#include "workflow/source.h"

#include <fmt/format.h>

#include <algorithm>

namespace troupe {
namespace {

constexpr std::size_t kBlockBytes = 4096;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool StartsCodePoint(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

}  // namespace

Source::Source(std::string_view text) : text_(text) {
  if (text_.substr(0, 3) == kByteOrderMark) text_.remove_prefix(3);
  Block block;
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (i % kBlockBytes == 0) blocks_.push_back(block);
    if (StartsCodePoint(text_[i])) ++block.code_points;
    if (text_[i] == '\n') {
      ++block.newlines;
      block.line_start = static_cast<std::uint32_t>(i + 1);
    }
  }
  blocks_.push_back(block);
}

std::uint32_t Source::CodePointsBefore(std::uint32_t offset) const {
  const std::size_t block = offset / kBlockBytes;
  std::uint32_t count = blocks_[block].code_points;
  for (std::size_t i = block * kBlockBytes; i < offset; ++i) {
    if (StartsCodePoint(text_[i])) ++count;
  }
  return count;
}

Place Source::At(std::uint32_t offset) const {
  if (offset == kNoPlace) return {};
  offset = std::min(offset, static_cast<std::uint32_t>(text_.size()));
  const std::size_t first = offset / kBlockBytes * kBlockBytes;
  const Block& block = blocks_[offset / kBlockBytes];
  Place place{.line = block.newlines + 1};
  std::uint32_t line_start = block.line_start;
  for (std::size_t i = first; i < offset; ++i) {
    if (text_[i] != '\n') continue;
    ++place.line;
    line_start = static_cast<std::uint32_t>(i + 1);
  }
  place.column = CodePointsBefore(offset) - CodePointsBefore(line_start) + 1;
  return place;
}

std::optional<BadText> CheckText(std::string_view text) {
  if (text.size() > kTextBytesMax) {
    // Who reads files stops at the limit, so the true size is not known here.
    const std::size_t mebibytes = (text.size() + (1 << 20) - 1) >> 20;
    return BadText{kNoPlace, "too-large",
                   fmt::format("the file has {} MiB{}; the limit is 64 MiB", mebibytes,
                               text.size() == kTextBytesMax + 1 ? " or more" : "")};
  }
  if (text.substr(0, 3) == kByteOrderMark) text.remove_prefix(3);
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte < 0x80) {
      ++i;
      continue;
    }
    const auto at = static_cast<std::uint32_t>(i);
    if (byte < 0x20) {
      if (byte != '\n' && byte != '\t' && byte != '\r') {
        return BadText{at, "yaml",
                       fmt::format("the control character U+{:04X} is not allowed; "
                                   "in double quotes it is written \"\\x{:02x}\"",
                                   byte, byte)};
      }
      ++i;
      continue;
    }
    const std::size_t bytes = FirstCodePoint(text.substr(i)).bytes;
    if (bytes == 0) {
      return BadText{at, "encoding", fmt::format("byte 0x{:02x} is not UTF-8", byte)};
    }
    i += bytes;
  }
  return std::nullopt;
}

CodePoint FirstCodePoint(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < bytes) return {};
  char32_t value = first & (0x7Fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    value = (value << 6) | (byte(i) & 0x3Fu);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[bytes] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return {};
  return {value, bytes};
}

std::u32string DecodeUtf8(std::string_view text) {
  std::u32string decoded;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint one = FirstCodePoint(text.substr(i));
    decoded.push_back(one.value);
    i += std::max<std::size_t>(one.bytes, 1);
  }
  return decoded;
}

bool IsUtf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t bytes = FirstCodePoint(text.substr(i)).bytes;
    if (bytes == 0) return false;
    i += bytes;
  }
  return true;
}

}  // namespace troupe
