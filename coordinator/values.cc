#include "coordinator/values.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<Value> OutputOf(const TaskResult* result) {
  return Value{result == nullptr ? "" : result->output, false};
}

std::optional<Value> ResultOf(const TaskResult* result) {
  if (result == nullptr) return Value{"", false};
  return Value{result->result_json.empty() ? "null" : result->result_json, true};
}

}  // namespace

JsonMap JsonMembers(const std::string& object) {
  JsonMap members;
  const auto json = Json::parse(object, nullptr, false);
  if (!json.is_object()) return members;
  for (const auto& [name, value] : json.items()) members[name] = Dump(value);
  return members;
}

std::optional<std::vector<std::string>> JsonItems(const std::string& list) {
  const auto json = Json::parse(list, nullptr, false);
  if (!json.is_array()) return std::nullopt;
  std::vector<std::string> items;
  items.reserve(json.size());
  for (const auto& item : json) items.push_back(Dump(item));
  return items;
}

std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string text = "{";
  for (const auto& [name, value] : members) {
    text += (text.size() > 1 ? "," : "") + JsonText(name) + ":" + value;
  }
  return text + "}";
}

bool SameJson(const std::string& a, const std::string& b) {
  const auto left = nlohmann::json::parse(a, nullptr, false);
  const auto right = nlohmann::json::parse(b, nullptr, false);
  return !left.is_discarded() && left == right;
}

std::string JsonText(const std::string& text) { return Dump(Json(text)); }

bool IsJsonContainer(const std::string& text) {
  const auto json = Json::parse(text, nullptr, false);
  return json.is_object() || json.is_array();
}

std::optional<Value> TaskValues::Look(const Ref& ref) const {
  switch (ref.kind) {
    case Ref::Kind::Input: {
      const auto it = inputs_.find(ref.words->name);
      if (it == inputs_.end()) return std::nullopt;
      return Value{it->second, true};
    }
    case Ref::Kind::TaskInput: {
      if (owner_.task == nullptr) return std::nullopt;
      const Result<std::string> filled = FillInputs(*owner_.task, *this);
      if (!filled) return std::nullopt;
      const JsonMap members = JsonMembers(*filled);
      const auto it = members.find(ref.words->name);
      if (it == members.end()) return std::nullopt;
      return Value{it->second, true};
    }
    case Ref::Kind::SelfId:
      return Value{owner_.id, false};
    case Ref::Kind::SelfAttempt:
      return Value{fmt::format("{}", owner_.attempt), false};
    case Ref::Kind::RunIdentity:
      return Value{fmt::format("{}", run_.value), false};
    case Ref::Kind::TaskOutput:
      return OutputOf(values_.ResultOf(ref.task));
    case Ref::Kind::TaskResult:
      return ResultOf(values_.ResultOf(ref.task));
    case Ref::Kind::TaskState:
      return Value{std::string(Name(values_.Record(ref.task).state)), false};
    case Ref::Kind::TaskError: {
      const TaskRecord& record = values_.Record(ref.task);
      if (!record.failure) return Value{"", false};
      return Value{fmt::format("{}: {}", Name(*record.failure), record.extra->message), false};
    }
    case Ref::Kind::LoopIndex:
      if (owner_.iteration == kNone) return std::nullopt;
      return Value{fmt::format("{}", owner_.iteration), true};
    case Ref::Kind::LoopItem:
      if (owner_.iteration == kNone) return std::nullopt;
      return Value{owner_.item_json, true};
    case Ref::Kind::SelfOutput:
      return OutputOf(owner_.result);
    case Ref::Kind::SelfResult:
      return ResultOf(owner_.result);
  }
  return std::nullopt;
}

}  // namespace troupe
