// Collects what is wrong with a file while it is read, and words it for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "workflow/compile.h"
#include "workflow/source.h"

namespace troupe {

class Problems {
 public:
  // `at` is a byte offset. `code` must be a literal.
  void Error(std::uint32_t at, const char* code, std::string message);
  void Warning(std::uint32_t at, const char* code, std::string message);

  bool has_errors() const { return has_errors_; }

  // `; did you mean "x"?`, or nothing. Stops suggesting when a file has so many problems that
  // looking for what was meant would take long.
  std::string Suggest(std::string_view word, const std::vector<std::string_view>& candidates);
  // The same without words: the candidate, or "".
  std::string Nearest(std::string_view word, const std::vector<std::string_view>& candidates);
  bool MaySuggest() const;

  // By line and column, each once; leaves the collection empty.
  std::vector<Problem> TakeSorted(const Source& source);

 private:
  struct Found {
    std::uint32_t at = kNoPlace;
    bool warning = false;
    const char* code = "";
    std::string message = "";
  };
  void Add(Found found);

  std::vector<Found> found_;
  bool has_errors_ = false;
  std::size_t looked_at_ = 0;  // Candidates, by Suggest().
};

// At most `bytes` of `text`, whole characters, with "..." if something was left out.
std::string CutText(std::string text, std::size_t bytes);

// A name or value in double quotes, with JSON escapes; very long ones are cut.
std::string Quote(std::string_view text);

}  // namespace troupe
