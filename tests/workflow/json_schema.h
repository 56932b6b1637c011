// Checks JSON against a JSON Schema: the keywords that docs/workflow.schema.json uses, and no more.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

namespace troupe {

class JsonSchema {
 public:
  using Json = nlohmann::ordered_json;

  explicit JsonSchema(Json schema) : schema_(std::move(schema)) {}

  const Json& json() const { return schema_; }
  const Json& Definition(const std::string& name) const { return schema_["$defs"].at(name); }

  bool Fits(const Json& value) const { return Fits(value, schema_); }

  bool Fits(const Json& value, const Json& schema) const {
    if (schema.is_boolean()) return schema.get<bool>();
    return std::all_of(schema.items().begin(), schema.items().end(), [&](const auto& keyword) {
      return FitsKeyword(value, keyword.key(), keyword.value(), schema);
    });
  }

 private:
  static bool IsOfType(const Json& value, const std::string& type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    if (type == "number") return value.is_number();
    if (type == "integer") return value.is_number_integer();
    ADD_FAILURE() << "type " << type;
    return false;
  }

  static std::size_t Letters(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    }));
  }

  template <class List>
  bool Any(const Json& value, const List& schemas) const {
    return std::any_of(schemas.begin(), schemas.end(),
                       [&](const Json& schema) { return Fits(value, schema); });
  }

  bool FitsProperties(const Json& value, const Json& schema) const {
    const Json none = Json::object();
    const Json& properties = schema.contains("properties") ? schema["properties"] : none;
    const Json& patterns =
        schema.contains("patternProperties") ? schema["patternProperties"] : none;
    for (const auto& [key, member] : value.items()) {
      bool known = properties.contains(key);
      if (known && !Fits(member, properties[key])) return false;
      for (const auto& [pattern, of_pattern] : patterns.items()) {
        if (!std::regex_search(key, std::regex(pattern))) continue;
        known = true;
        if (!Fits(member, of_pattern)) return false;
      }
      if (!known && schema.contains("additionalProperties") &&
          !Fits(member, schema["additionalProperties"])) {
        return false;
      }
    }
    return true;
  }

  bool FitsObject(const Json& value, const std::string& keyword, const Json& is) const {
    if (!value.is_object()) return true;
    if (keyword == "minProperties") return value.size() >= is.get<std::size_t>();
    if (keyword == "required") {
      return std::all_of(is.begin(), is.end(),
                         [&](const Json& key) { return value.contains(key.get<std::string>()); });
    }
    return std::all_of(value.items().begin(), value.items().end(),
                       [&](const auto& member) { return Fits(Json(member.key()), is); });
  }

  bool FitsList(const Json& value, const std::string& keyword, const Json& is) const {
    if (!value.is_array()) return true;
    if (keyword == "minItems") return value.size() >= is.get<std::size_t>();
    if (keyword == "maxItems") return value.size() <= is.get<std::size_t>();
    return std::all_of(value.begin(), value.end(),
                       [&](const Json& item) { return Fits(item, is); });
  }

  static bool FitsText(const Json& value, const std::string& keyword, const Json& is) {
    if (!value.is_string()) return true;
    const std::string text = value.get<std::string>();
    if (keyword == "minLength") return Letters(text) >= is.get<std::size_t>();
    if (keyword == "maxLength") return Letters(text) <= is.get<std::size_t>();
    return std::regex_search(text, std::regex(is.get<std::string>()));
  }

  static bool FitsNumber(const Json& value, const std::string& keyword, const Json& is) {
    if (!value.is_number()) return true;
    if (keyword == "minimum") return value.get<double>() >= is.get<double>();
    if (keyword == "maximum") return value.get<double>() <= is.get<double>();
    return value.get<double>() > is.get<double>();
  }

  bool FitsKeyword(const Json& value, const std::string& keyword, const Json& is,
                   const Json& schema) const {
    const auto one_of = [&](std::initializer_list<const char*> names) {
      return std::find(names.begin(), names.end(), keyword) != names.end();
    };
    if (one_of({"$schema", "$defs", "title", "description", "default", "deprecated",
                "patternProperties", "additionalProperties"})) {
      return true;  // The last two: see "type".
    }
    if (keyword == "properties") return true;
    if (keyword == "type") {
      const std::vector<std::string> types =
          is.is_array() ? is.get<std::vector<std::string>>() : std::vector{is.get<std::string>()};
      const bool fits = std::any_of(types.begin(), types.end(),
                                    [&](const std::string& type) { return IsOfType(value, type); });
      return fits && (!value.is_object() || FitsProperties(value, schema));
    }
    if (keyword == "$ref") return Fits(value, Definition(is.get<std::string>().substr(8)));
    if (keyword == "enum") return std::find(is.begin(), is.end(), value) != is.end();
    if (keyword == "const") return value == is;
    if (keyword == "anyOf") return Any(value, is);
    if (keyword == "allOf") {
      return std::all_of(is.begin(), is.end(), [&](const Json& each) { return Fits(value, each); });
    }
    if (keyword == "not") return !Fits(value, is);
    if (one_of({"minProperties", "required", "propertyNames"})) {
      return FitsObject(value, keyword, is);
    }
    if (one_of({"items", "minItems", "maxItems"})) return FitsList(value, keyword, is);
    if (one_of({"minLength", "maxLength", "pattern"})) return FitsText(value, keyword, is);
    if (one_of({"minimum", "maximum", "exclusiveMinimum"})) return FitsNumber(value, keyword, is);
    ADD_FAILURE() << "keyword " << keyword << " is not known to this checker";
    return false;
  }

  Json schema_;
};

}  // namespace troupe
