// UTF-8 from a stream that may be cut anywhere and may not be UTF-8 at all. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace troupe {

// Lets valid text through and puts U+FFFD in place of what is not: one for each byte that begins no
// character, one for each character that breaks off.
class Utf8Filter {
 public:
  void Feed(std::string_view bytes, std::string& to);
  // At the end of the stream: a character that was begun is broken off.
  void Finish(std::string& to);

 private:
  void Byte(unsigned char byte, std::string& to);

  std::string begun_;
  std::size_t missing_ = 0;   // Bytes of the character that is begun.
  unsigned char low_ = 0x80;  // What its next byte may be.
  unsigned char high_ = 0xBF;
};

std::string ValidUtf8(std::string_view bytes);

// The longest part at the front, or at the back, of at most `bytes_max` that holds whole characters
// only. The text is valid, but its own ends may be cut.
std::string_view Front(std::string_view text, std::size_t bytes_max);
std::string_view Back(std::string_view text, std::size_t bytes_max);

}  // namespace troupe
