#include "worker/attendant/utf8.h"

#include <algorithm>

namespace troupe {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

void Utf8Filter::Feed(std::string_view bytes, std::string& to) {
  to.reserve(to.size() + bytes.size());
  std::size_t at = 0;
  while (at < bytes.size()) {
    if (missing_ == 0) {
      const std::size_t start = at;
      while (at < bytes.size() && static_cast<unsigned char>(bytes[at]) < 0x80) ++at;
      to.append(bytes.substr(start, at - start));
      if (at == bytes.size()) return;
    }
    Byte(static_cast<unsigned char>(bytes[at++]), to);
  }
}

void Utf8Filter::Byte(unsigned char byte, std::string& to) {
  if (missing_ > 0) {
    if (byte >= low_ && byte <= high_) {
      begun_.push_back(static_cast<char>(byte));
      low_ = 0x80;
      high_ = 0xBF;
      if (--missing_ == 0) {
        to += begun_;
        begun_.clear();
      }
      return;
    }
    Finish(to);
  }
  if (byte < 0x80) {
    to.push_back(static_cast<char>(byte));
    return;
  }
  // Overlong forms, surrogates and what lies above U+10FFFF show in the first two bytes.
  low_ = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
  high_ = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
  missing_ = byte >= 0xC2 && byte <= 0xDF   ? 1
             : byte >= 0xE0 && byte <= 0xEF ? 2
             : byte >= 0xF0 && byte <= 0xF4 ? 3
                                            : 0;
  if (missing_ == 0) {
    to += kReplacement;
  } else {
    begun_.push_back(static_cast<char>(byte));
  }
}

void Utf8Filter::Finish(std::string& to) {
  if (missing_ > 0) to += kReplacement;
  missing_ = 0;
  begun_.clear();
}

std::string ValidUtf8(std::string_view bytes) {
  std::string text;
  Utf8Filter filter;
  filter.Feed(bytes, text);
  filter.Finish(text);
  return text;
}

std::string_view Front(std::string_view text, std::size_t bytes_max) {
  const std::size_t end = std::min(text.size(), bytes_max);
  std::size_t last = end;  // Where the last character begins.
  while (last > 0 && Continues(text[last - 1])) --last;
  if (last == 0) return text.substr(0, 0);
  const auto lead = static_cast<unsigned char>(text[--last]);
  const std::size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return text.substr(0, last + length <= end ? end : last);
}

std::string_view Back(std::string_view text, std::size_t bytes_max) {
  std::size_t start = text.size() - std::min(text.size(), bytes_max);
  while (start < text.size() && Continues(text[start])) ++start;
  return text.substr(start);
}

}  // namespace troupe
