#include "workflow/values.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace troupe {
namespace {

void Append(Reader& reader, NodeId node, std::string& json) {
  const Tree& tree = reader.tree;
  switch (tree.Kind(node)) {
    case NodeKind::Null:
      json += "null";
      return;
    case NodeKind::Bool:
      json += tree.Text(node);
      return;
    case NodeKind::Number: {
      const std::string number(tree.Text(node));
      if (!std::isfinite(std::strtod(number.c_str(), nullptr))) {
        reader.problems.Error(tree.At(node), "out-of-range",
                              fmt::format("the number {} is too large; as text it needs quotes",
                                          number.substr(0, 60)));
        json += "0";
        return;
      }
      json += number;
      return;
    }
    case NodeKind::String:
      json += JsonString(tree.Text(node));
      return;
    case NodeKind::List: {
      json += '[';
      bool first = true;
      for (NodeId item : tree.Items(node)) {
        if (!first) json += ',';
        first = false;
        Append(reader, item, json);
      }
      json += ']';
      return;
    }
    case NodeKind::Map: {
      json += '{';
      bool first = true;
      for (const MapEntry& entry : tree.Entries(node)) {
        if (!first) json += ',';
        first = false;
        json += JsonString(tree.Key(entry)) + ":";
        Append(reader, entry.value, json);
      }
      json += '}';
      return;
    }
  }
}

}  // namespace

std::string ToJson(Reader& reader, NodeId node) {
  std::string json;
  Append(reader, node, json);
  return json;
}

std::string JsonString(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string_view Describe(InputType type) {
  switch (type) {
    case InputType::String:
      return "a string";
    case InputType::Number:
      return "a number";
    case InputType::Integer:
      return "an integer";
    case InputType::Boolean:
      return "true or false";
    case InputType::List:
      return "a list";
    case InputType::Object:
      return "an object";
  }
  return "";
}

}  // namespace troupe
