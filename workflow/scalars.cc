#include "workflow/scalars.h"

namespace troupe {
namespace {

// The number of digits at the start of `text`.
std::size_t Digits(std::string_view text) {
  std::size_t count = 0;
  while (count < text.size() && text[count] >= '0' && text[count] <= '9') ++count;
  return count;
}

// Takes the integer part off `text`; false if there is none.
bool TakeInteger(std::string_view& text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  const std::size_t digits = Digits(text);
  if (digits == 0 || (digits > 1 && text[0] == '0')) return false;
  text.remove_prefix(digits);
  return true;
}

}  // namespace

bool IsJsonInteger(std::string_view text) { return TakeInteger(text) && text.empty(); }

bool IsJsonNumber(std::string_view text) {
  if (!TakeInteger(text)) return false;
  if (!text.empty() && text[0] == '.') {
    const std::size_t digits = Digits(text.substr(1));
    if (digits == 0) return false;
    text.remove_prefix(1 + digits);
  }
  if (!text.empty() && (text[0] == 'e' || text[0] == 'E')) {
    text.remove_prefix(1);
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
    const std::size_t digits = Digits(text);
    if (digits == 0) return false;
    text.remove_prefix(digits);
  }
  return text.empty();
}

NodeKind KindOfPlain(std::string_view text) {
  if (text.empty() || text == "null" || text == "~") return NodeKind::Null;
  if (text == "true" || text == "false") return NodeKind::Bool;
  return IsJsonNumber(text) ? NodeKind::Number : NodeKind::String;
}

}  // namespace troupe
