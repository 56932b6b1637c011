// Hands a text to a parser in pieces, and ends it when too much was taken at a time.
//
// A YAML parser keeps what stands within one pair of flow brackets in memory before it tells
// anything of it: some 300 bytes for each of their characters. The same holds for all that may
// still turn out to be a key: 90 bytes for a line, an anchor, a quoted string. So a text may not
// hold too much of this between two events.
#pragma once

#include <streambuf>
#include <string>
#include <string_view>

namespace troupe {

class PiecewiseText : public std::streambuf {
 public:
  explicit PiecewiseText(std::string_view text) : text_(text) {}

  void AnEventCame() { ahead_ = 0; }
  bool gave_up() const { return gave_up_; }

 private:
  static constexpr std::size_t kBracket = 16;
  static constexpr std::size_t kAheadMax = 3'000'000 * kBracket;
  static constexpr std::size_t kPieceBytes = 4096;

  static std::size_t Weight(char c) {
    switch (c) {
      case '[':
      case ']':
      case '{':
      case '}':
      case ',':
      case ':':
        return kBracket;
      case '\n':
      case '*':
      case '&':
      case '!':
      case '?':
        return 5;
      case '"':
      case '\'':
        return 3;
      default:
        return 0;
    }
  }

  int_type underflow() override {
    const std::string_view piece = text_.substr(next_, kPieceBytes);
    for (char c : piece) ahead_ += Weight(c);
    gave_up_ = gave_up_ || ahead_ > kAheadMax;
    if (piece.empty() || gave_up_) return traits_type::eof();
    next_ += piece.size();
    piece_ = piece;
    setg(piece_.data(), piece_.data(), piece_.data() + piece_.size());
    return traits_type::to_int_type(piece_[0]);
  }

  std::string_view text_;
  std::string piece_;
  std::size_t next_ = 0;
  std::size_t ahead_ = 0;
  bool gave_up_ = false;
};

}  // namespace troupe
