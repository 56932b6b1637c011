#include "coordinator/values.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace troupe {

std::map<std::string, std::string> JsonMembers(const std::string& object) {
  std::map<std::string, std::string> members;
  const auto json = nlohmann::json::parse(object, nullptr, false);
  if (!json.is_object()) return members;
  for (const auto& [name, value] : json.items()) members[name] = value.dump();
  return members;
}

std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [name, text] : members) object[name] = text;
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<Value> TaskValues::Look(const Ref& ref) const {
  switch (ref.kind) {
    case Ref::Kind::Input: {
      const auto it = inputs_.find(ref.name);
      if (it == inputs_.end()) return std::nullopt;
      return Value{it->second, true};
    }
    case Ref::Kind::TaskInput: {
      if (task_ == nullptr) return std::nullopt;
      const Result<std::string> filled = FillInputs(*task_, *this);
      if (!filled) return std::nullopt;
      const auto members = JsonMembers(*filled);
      const auto it = members.find(ref.name);
      if (it == members.end()) return std::nullopt;
      return Value{it->second, true};
    }
    case Ref::Kind::SelfId:
      return Value{task_ == nullptr ? "" : task_->id, false};
    case Ref::Kind::SelfAttempt:
      return Value{fmt::format("{}", attempt_), false};
    case Ref::Kind::RunIdentity:
      return Value{fmt::format("{}", run_.value), false};
    case Ref::Kind::TaskOutput: {
      const TaskResult* result = values_.ResultOf(ref.task);
      return Value{result == nullptr ? "" : result->output, false};
    }
    case Ref::Kind::TaskResult: {
      const TaskResult* result = values_.ResultOf(ref.task);
      if (result == nullptr) return Value{"", false};
      return Value{result->result_json.empty() ? "null" : result->result_json, true};
    }
    case Ref::Kind::TaskState:
      return Value{std::string(Name(values_.Record(ref.task).state)), false};
    case Ref::Kind::TaskError: {
      const TaskRecord& record = values_.Record(ref.task);
      if (!record.failure) return Value{"", false};
      return Value{fmt::format("{}: {}", Name(*record.failure), record.message), false};
    }
    case Ref::Kind::LoopIndex:
    case Ref::Kind::LoopItem:
    case Ref::Kind::SelfOutput:
    case Ref::Kind::SelfResult:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace troupe
