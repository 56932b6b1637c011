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

// The live state that references look into; implemented by LiveRun.
class RunValues {
 public:
  virtual ~RunValues() = default;
  virtual const TaskRecord& Record(std::uint32_t task) const = 0;
  virtual const TaskResult* ResultOf(std::uint32_t task) const = 0;  // Null: did not complete.
};

// The members of a JSON object as JSON texts; empty if it is none.
std::map<std::string, std::string> JsonMembers(const std::string& object);

// One JSON object whose members are these strings, in this order.
std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members);

class TaskValues final : public ValueSource {
 public:
  // `task` may be null: text of the root, an agent or a hook. All outlive this.
  TaskValues(const Plan& plan, RunId run, const std::map<std::string, std::string>& inputs,
             const RunValues& values, const PlannedTask* task, std::uint32_t attempt)
      : plan_(plan), run_(run), inputs_(inputs), values_(values), task_(task), attempt_(attempt) {}

  std::optional<Value> Look(const Ref& ref) const override;

 private:
  const Plan& plan_;
  RunId run_;
  const std::map<std::string, std::string>& inputs_;
  const RunValues& values_;
  const PlannedTask* task_;
  std::uint32_t attempt_;
};

}  // namespace troupe
