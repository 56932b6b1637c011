// A stream of bytes as lines of bounded length.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace troupe {

inline constexpr std::size_t kLineBytesMax = std::size_t{16} << 20;

class LineSplitter {
 public:
  // Calls `take(line)` for each line that ends in `bytes`. One of more than kLineBytesMax is
  // dropped.
  template <class Take>
  void Feed(std::string_view bytes, Take take) {
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      const std::string_view part = bytes.substr(0, end);
      if (line_.size() + part.size() > kLineBytesMax) dropping_ = true;
      if (dropping_) {
        line_.clear();
      } else if (end != std::string_view::npos && line_.empty()) {
        take(part);
      } else {
        line_ += part;
      }
      if (end == std::string_view::npos) return;
      Finish(take);
      bytes.remove_prefix(end + 1);
    }
  }

  // The last line may lack its newline.
  template <class Take>
  void Finish(Take take) {
    if (!line_.empty()) take(std::string_view(line_));
    line_.clear();
    dropping_ = false;
  }

 private:
  std::string line_;
  bool dropping_ = false;
};

}  // namespace troupe
