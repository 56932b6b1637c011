// Which task a name means, seen from another task (docs/language.md, "Names"), and which one may
// have been meant. Borrows the document, whose tasks must all be there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "workflow/document.h"
#include "workflow/problems.h"

namespace troupe {

class TaskNames {
 public:
  TaskNames(const Document& document, Problems& problems)
      : document_(document), problems_(problems) {}

  // Looked up among the siblings of `from`, those of each enclosing parent, the top level and the
  // full ids. `from` may be kNone: then in the last two. kNone: there is none.
  std::uint32_t Find(std::string_view name, std::uint32_t from) const;

  // As Find(); kNone after reporting `MESSAGE "name", which does not exist`.
  std::uint32_t Require(const Named& name, std::uint32_t from, const std::string& message);

  // Whether `name` may mean something below a task whose subtasks were refused.
  bool IsRefused(std::string_view name) const;

  // `; did you mean "x"?`, or nothing.
  std::string Suggest(std::string_view name, std::uint32_t from);
  // The same without words.
  std::string Meant(std::string_view name, std::uint32_t from);

  // Positions of dots in `text` with the name or full id of some task before them, the first one
  // first. Takes time in proportion to the text.
  std::vector<std::size_t> PrefixesIn(std::string_view text);

 private:
  const std::vector<std::string_view>& Candidates(std::uint32_t from);

  const Document& document_;
  Problems& problems_;
  std::vector<std::string_view> candidates_;
  std::uint32_t candidates_for_ = 0;   // The parent that candidates_ were made for.
  std::vector<std::uint64_t> hashes_;  // Of all names and full ids, sorted.
};

}  // namespace troupe
