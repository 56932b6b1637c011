#include "workflow/names.h"

#include <fmt/format.h>

#include "workflow/problems.h"
#include "workflow/source.h"

namespace troupe {
namespace {

constexpr std::size_t kNameMax = 128;  // Code points.
constexpr std::size_t kIdentMax = 64;

std::string Encode(char32_t c) {
  const auto byte = [](char32_t bits) {
    return static_cast<char>(static_cast<unsigned char>(bits));
  };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 | (c >> 6)), byte(0x80 | (c & 0x3F))};
  if (c < 0x10000) {
    return {byte(0xE0 | (c >> 12)), byte(0x80 | ((c >> 6) & 0x3F)), byte(0x80 | (c & 0x3F))};
  }
  return {byte(0xF0 | (c >> 18)), byte(0x80 | ((c >> 12) & 0x3F)), byte(0x80 | ((c >> 6) & 0x3F)),
          byte(0x80 | (c & 0x3F))};
}

bool IsAsciiLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }

// Letters, digits, `_` and what is in `others`, with a letter or `_` first.
std::string WrongWithAscii(std::string_view name, std::string_view others) {
  if (name.empty()) return "is empty";
  if (!IsAsciiLetter(name[0]) && name[0] != '_') return "must begin with a letter A-Z, a-z or _";
  for (char32_t c : DecodeUtf8(name)) {
    const char narrow = c < 0x80 ? static_cast<char>(c) : '\0';
    if (IsAsciiLetter(narrow) || IsAsciiDigit(narrow) || narrow == '_') continue;
    if (narrow != '\0' && others.find(narrow) != std::string_view::npos) continue;
    return "may not contain " + Quote(Encode(c));
  }
  return "";
}

}  // namespace

bool IsNameCharacter(char32_t c) {
  constexpr std::u32string_view kOthers = U" _-.:/@+()";
  return IsLetterOrDigit(c) || IsMark(c) || kOthers.find(c) != std::u32string_view::npos;
}

std::string WrongWithName(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > 4 * kNameMax) return fmt::format("is longer than {} characters", kNameMax);
  const std::u32string letters = DecodeUtf8(name);
  if (letters.size() > kNameMax) return fmt::format("is longer than {} characters", kNameMax);
  for (char32_t c : letters) {
    if (!IsNameCharacter(c)) return "may not contain " + Quote(Encode(c));
  }
  if (!IsLetterOrDigit(letters[0]) && letters[0] != U'_') {
    return "must begin with a letter, a digit or _";
  }
  if (letters.back() == U' ') return "may not end with a space";
  if (letters.find(U"  ") != std::u32string::npos) return "may not contain two spaces in a row";
  return "";
}

std::string WrongWithIdent(std::string_view name) {
  if (name.size() > kIdentMax) return fmt::format("is longer than {} characters", kIdentMax);
  return WrongWithAscii(name, "-");
}

std::string WrongWithVariable(std::string_view name) {
  if (name.substr(0, 7) == "TROUPE_" || name.substr(0, 9) == "WORKFLOW_") {
    return "is reserved; TROUPE_ and WORKFLOW_ variables are set by troupe";
  }
  return WrongWithAscii(name, "");
}

}  // namespace troupe
