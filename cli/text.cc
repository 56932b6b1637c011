#include "cli/text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace troupe {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 1;
  bool valid = true;
};

// The code point that begins at `i`; a byte that begins none stands for itself.
CodePoint At(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char first = byte(i);
  if (first < 0x80) return {first, 1, true};
  const CodePoint bad{first, 1, false};
  const std::size_t length = first >= 0xF5   ? 1
                             : first >= 0xF0 ? 4
                             : first >= 0xE0 ? 3
                             : first >= 0xC2 ? 2
                                             : 1;
  if (length == 1 || i + length > text.size()) return bad;
  std::uint32_t value = first & (0xFFu >> (length + 1));
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xC0u) != 0x80u) return bad;
    value = value << 6 | (byte(i + k) & 0x3Fu);
  }
  return {value, length, true};
}

// The wide blocks: East Asian scripts and emoji; marks that combine and joiners take no column.
std::size_t ColumnsOf(std::uint32_t point) {
  if ((point >= 0x300 && point <= 0x36F) || (point >= 0x200B && point <= 0x200D) ||
      (point >= 0xFE00 && point <= 0xFE0F)) {
    return 0;
  }
  const bool wide = (point >= 0x1100 && point <= 0x115F) || (point >= 0x2E80 && point <= 0xA4CF) ||
                    (point >= 0xAC00 && point <= 0xD7A3) || (point >= 0xF900 && point <= 0xFAFF) ||
                    (point >= 0xFE30 && point <= 0xFE6F) || (point >= 0xFF00 && point <= 0xFF60) ||
                    (point >= 0x1F300 && point <= 0x1FAFF) ||
                    (point >= 0x20000 && point <= 0x3FFFD);
  return wide ? 2 : 1;
}

// Terminals obey these too: C1 is a second set of escapes, the others reorder what is written.
bool IsTreacherous(std::uint32_t point) {
  return (point >= 0x80 && point <= 0x9F) || (point >= 0x202A && point <= 0x202E) ||
         (point >= 0x2066 && point <= 0x2069) || point == 0x2028 || point == 0x2029;
}

}  // namespace

std::string FormatDuration(Duration duration) {
  const double seconds = std::max(0.0, ToSeconds(duration));
  if (seconds < 59.95) return fmt::format("{:.1f}s", seconds);
  const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole < 3'600) return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  return fmt::format("{}h {:02}m", whole / 3'600, whole % 3'600 / 60);
}

std::string FormatInstant(Instant at) {
  if (at == Instant{}) return "";
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(at - seconds);
  const std::time_t whole = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(seconds));
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(whole), milliseconds.count());
}

std::string FormatLocal(Instant at) {
  if (at == Instant{}) return "";
  const std::time_t whole = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(
          std::chrono::floor<std::chrono::seconds>(at)));
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(whole));
}

std::string Escaped(std::string_view text) {
  std::string safe;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = At(text, i);
    if (point.value == '\n') {
      safe += "\\n";
    } else if (point.value == '\t') {
      safe += "\\t";
    } else if (!point.valid || point.value < 0x20 || point.value == 0x7F) {
      safe += fmt::format("\\x{:02x}", point.value);
    } else if (IsTreacherous(point.value)) {
      safe += fmt::format("\\u{:04x}", point.value);
    } else {
      safe += text.substr(i, point.bytes);
    }
    i += point.bytes;
  }
  return safe;
}

std::string Quoted(std::string_view word) {
  const bool plain =
      !word.empty() && word[0] != '-' && std::all_of(word.begin(), word.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("-_./:@+").find(c) != std::string_view::npos;
      });
  if (plain) return std::string(word);
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::size_t WidthOf(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = At(text, i);
    width += ColumnsOf(point.value);
    i += point.bytes;
  }
  return width;
}

std::string CutToWidth(std::string_view text, std::size_t columns) {
  std::size_t width = 0;
  std::size_t fits = 0;  // Bytes that leave a column for the "…".
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = At(text, i);
    width += ColumnsOf(point.value);
    if (width > columns) {
      return columns == 0 ? "" : std::string(text.substr(0, fits)) + "…";
    }
    i += point.bytes;
    if (width + 1 <= columns) fits = i;
  }
  return std::string(text);
}

}  // namespace troupe
