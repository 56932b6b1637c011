#include "worker/attendant/json_text.h"

#include <algorithm>

#include "worker/attendant/json_result.h"

namespace troupe {
namespace {

// How deep brackets are nested; for text that is not JSON any number.
int Depth(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '{' || c == '[')) {
      deepest = std::max(deepest, ++depth);
    } else if (!in_string && (c == '}' || c == ']')) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

std::optional<Json> ParseJson(std::string_view text) {
  if (Depth(text) > kJsonDepthMax) return std::nullopt;
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

std::string CompactJson(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string JsonObjectOrList(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (text[first] != '{' && text[first] != '[')) return "";
  const std::optional<Json> json = ParseJson(text);
  return json ? CompactJson(*json) : "";
}

const Json* Member(const Json& json, const char* key) {
  if (!json.is_object()) return nullptr;
  const auto it = json.find(key);
  return it == json.end() || it->is_null() ? nullptr : &*it;
}

std::string StringMember(const Json& json, const char* key) {
  const Json* member = Member(json, key);
  return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
}

double NumberMember(const Json& json, const char* key) {
  const Json* member = Member(json, key);
  return member != nullptr && member->is_number() ? member->get<double>() : 0.0;
}

std::uint64_t CountMember(const Json& json, const char* key) {
  const double number = NumberMember(json, key);
  if (!(number >= 1) || number > 1e18) return 0;
  return static_cast<std::uint64_t>(number);
}

bool BoolMember(const Json& json, const char* key) {
  const Json* member = Member(json, key);
  return member != nullptr && member->is_boolean() && member->get<bool>();
}

}  // namespace troupe
