// The inputs of a run.
#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "workflow/compile.h"
#include "workflow/problems.h"
#include "workflow/values.h"

namespace troupe {
namespace {

using Json = nlohmann::json;

// What the user gave as JSON; nothing if it is not of the type.
std::optional<std::string> Typed(InputType type, const std::string& given) {
  if (type == InputType::String) return JsonString(given);
  const Json json = Json::parse(given, nullptr, false);
  const auto fits = [&] {
    switch (type) {
      case InputType::String:
        return true;
      case InputType::Number:
        return json.is_number();
      case InputType::Integer:
        return json.is_number_integer();
      case InputType::Boolean:
        return json.is_boolean();
      case InputType::List:
        return json.is_array();
      case InputType::Object:
        return json.is_object();
    }
    return false;
  };
  if (json.is_discarded() || !fits()) return std::nullopt;
  return nlohmann::ordered_json::parse(given).dump();
}

}  // namespace

BoundInputs BindInputs(const Plan& plan, const std::vector<std::string>& given) {
  BoundInputs bound;
  const auto problem = [&](std::string message) {
    bound.problems.push_back({0, 0, false, "input", std::move(message)});
  };
  std::unordered_map<std::string_view, const InputDeclaration*> declared;
  std::vector<std::string_view> names;
  for (const InputDeclaration& input : plan.inputs) {
    declared.emplace(input.name, &input);
    names.push_back(input.name);
  }
  std::unordered_map<std::string, std::string> values;  // JSON.
  for (const std::string& pair : given) {
    const std::size_t equals = pair.find('=');
    const std::string name = pair.substr(0, equals);
    const auto it = declared.find(name);
    if (equals == std::string::npos) {
      problem(fmt::format("input {} has no value; write NAME=VALUE", Quote(name)));
    } else if (it == declared.end()) {
      const std::string meant = DidYouMean(name, names);
      problem(fmt::format("input {} is not known{}", Quote(name),
                          meant.empty() ? "" : fmt::format("; did you mean {}?", Quote(meant))));
    } else if (!IsUtf8(pair)) {
      problem(fmt::format("the value of input {} is not UTF-8", Quote(name)));
    } else if (auto json = Typed(it->second->type, pair.substr(equals + 1))) {
      values[name] = *std::move(json);
    } else {
      problem(fmt::format("input {} must be {}, not {}", Quote(name), Describe(it->second->type),
                          Quote(pair.substr(equals + 1))));
    }
  }
  std::string json = "{";
  for (const InputDeclaration& input : plan.inputs) {
    const auto it = values.find(input.name);
    if (it == values.end() && input.required && !input.default_json) {
      problem(fmt::format("input {} is required", Quote(input.name)));
    }
    json += fmt::format("{}{}:{}", json.size() > 1 ? "," : "", JsonString(input.name),
                        it == values.end() ? input.default_json.value_or("null") : it->second);
  }
  if (bound.problems.empty()) bound.json = json + "}";
  return bound;
}

}  // namespace troupe
