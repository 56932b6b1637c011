// JSON that agents write: bounded in depth, read without exceptions, of any shape. Only the .cc
// files of the protocols include this.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

// Not ordered_json: that takes quadratic time for an object with very many keys.
using Json = nlohmann::json;

inline constexpr int kJsonDepthMax = 256;

// None if it is not one JSON value, or nested deeper than kJsonDepthMax.
std::optional<Json> ParseJson(std::string_view text);

std::string CompactJson(const Json& json);

// The member `key` of an object if it is there, not null and of this type; else nothing, "", 0 or
// false.
const Json* Member(const Json& json, const char* key);
std::string StringMember(const Json& json, const char* key);
double NumberMember(const Json& json, const char* key);
std::uint64_t CountMember(const Json& json, const char* key);
bool BoolMember(const Json& json, const char* key);

}  // namespace troupe
