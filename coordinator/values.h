// What the references of one task of one run stand for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "storage/records.h"
#include "workflow/plan.h"

namespace troupe {

// What a completed task left for others.
struct TaskResult {
  std::string output = "";       // Newlines at its end removed.
  std::string result_json = "";  // Empty: null.
};

// The live state that references look into, by plan index; implemented by LiveRun.
class RunValues {
 public:
  virtual ~RunValues() = default;
  virtual const TaskRecord& Record(std::uint32_t task) const = 0;
  virtual const TaskResult* ResultOf(std::uint32_t task) const = 0;  // Null: did not complete.
};

// Name → JSON text.
using JsonMap = std::map<std::string, std::string>;

// The members of a JSON object; empty if it is none.
JsonMap JsonMembers(const std::string& object);
// The items of a JSON list as JSON texts; nothing if it is none.
std::optional<std::vector<std::string>> JsonItems(const std::string& list);
// One JSON object of JSON texts, in this order.
std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members);
// 1 equals 1.0 but not "1".
bool SameJson(const std::string& a, const std::string& b);
// A string as JSON.
std::string JsonText(const std::string& text);
bool IsJsonContainer(const std::string& text);  // An object or a list.

// The task whose text is filled in.
struct TextOwner {
  const PlannedTask* task = nullptr;  // Null: text of the root, an agent or a hook.
  std::string id = "";                // Full id.
  std::uint32_t attempt = 0;
  std::uint32_t iteration = kNone;  // kNone: not within a loop.
  std::string item_json = "";
  const TaskResult* result = nullptr;  // Its own, for `set` and `on_complete`.
};

class TaskValues final : public ValueSource {
 public:
  // All outlive this.
  TaskValues(RunId run, const JsonMap& inputs, const RunValues& values, const TextOwner& owner)
      : run_(run), inputs_(inputs), values_(values), owner_(owner) {}

  std::optional<Value> Look(const Ref& ref) const override;

 private:
  RunId run_;
  const JsonMap& inputs_;
  const RunValues& values_;
  const TextOwner& owner_;
};

}  // namespace troupe
