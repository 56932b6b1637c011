#include "workflow/template.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "workflow/plan.h"
#include "workflow/values.h"

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

Error DoesNotExist(const Ref& ref) {
  return {ErrorCode::Unresolved, fmt::format("\"{}\" does not exist", ref.words->written)};
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The part of `json` that `path` names, null if there is none. Takes time in proportion to the
// path.
const Json* Select(const Json& json, std::string_view path) {
  const Json* at = &json;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find_first_of(".[", 1), path.size());
    const std::string_view step = path.substr(1, end - 1);
    if (path[0] == '.') {
      if (!at->is_object()) return nullptr;
      const auto it = at->find(std::string(step));
      if (it == at->end()) return nullptr;
      at = &*it;
    } else {
      if (!at->is_array()) return nullptr;
      std::size_t index = 0;
      for (char c : step) {
        if (c != ']') index = index * 10 + static_cast<std::size_t>(c - '0');
      }
      if (index >= at->size()) return nullptr;
      at = &(*at)[index];
    }
    path.remove_prefix(end);
  }
  return at;
}

// Looks `ref` up, its path included, as JSON.
Result<Json> LookJson(const Ref& ref, const ValueSource& values) {
  const std::optional<Value> value = values.Look(ref);
  if (!value) return DoesNotExist(ref);
  if (!value->json) return Json(value->text);
  const Json json = Json::parse(value->text, nullptr, false);
  if (json.is_discarded()) return DoesNotExist(ref);
  const Json* part = Select(json, ref.words->path);
  if (part == nullptr) return DoesNotExist(ref);
  return *part;
}

Result<std::string> FillRef(const Ref& ref, const ValueSource& values) {
  Result<Json> json = LookJson(ref, values);
  if (!json) return json.error();
  if (json->is_string()) return json->get<std::string>();
  if (json->is_null()) return std::string();
  return Dump(*json);
}

Error TooLong() {
  return {ErrorCode::Invalid,
          fmt::format("with what it refers to, a text has more than {} bytes", kFilledBytesMax)};
}

}  // namespace

Result<std::string> Fill(const Template& text, const ValueSource& values) {
  std::string filled;
  for (const auto& piece : text) {
    if (const auto* literal = std::get_if<std::string>(&piece)) {
      filled += *literal;
      continue;
    }
    Result<std::string> value = FillRef(std::get<Ref>(piece), values);
    if (!value) return value;
    if (filled.size() + value->size() > kFilledBytesMax) return TooLong();
    filled += *value;
  }
  return filled;
}

Result<std::string> FillTyped(const Template& text, const ValueSource& values) {
  if (text.size() == 1 && std::holds_alternative<Ref>(text[0])) {
    Result<Json> json = LookJson(std::get<Ref>(text[0]), values);
    if (!json) return json.error();
    return Dump(*json);
  }
  Result<std::string> filled = Fill(text, values);
  if (!filled) return filled;
  return JsonString(*filled);
}

Result<std::string> FillJson(const Template& json, const ValueSource& values) {
  std::string filled;
  for (const auto& piece : json) {
    if (const auto* literal = std::get_if<std::string>(&piece)) {
      filled += *literal;
      continue;
    }
    Result<std::string> value = FillRef(std::get<Ref>(piece), values);
    if (!value) return value;
    const std::string quoted = JsonString(*value);
    if (filled.size() + quoted.size() > kFilledBytesMax) return TooLong();
    filled += std::string_view(quoted).substr(1, quoted.size() - 2);
  }
  return filled;
}

Result<std::string> FillInputs(const PlannedTask& task, const ValueSource& values) {
  if (task.extra->inputs.empty()) return task.extra->inputs_json;
  std::string json = "{";
  for (const auto& [name, text] : task.extra->inputs) {
    if (json.size() > 1) json += ',';
    Result<std::string> value = FillJson(text, values);
    if (!value) return value;
    if (json.size() + value->size() > kFilledBytesMax) return TooLong();
    json += JsonString(name) + ":" + *value;
  }
  return json + "}";
}

}  // namespace troupe
