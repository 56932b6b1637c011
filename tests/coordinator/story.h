// A plan, run on a cluster without faults, whose attempts end as a script says.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/coordinator/cluster.h"
#include "tests/coordinator/plans.h"

namespace troupe {

// Runs a plan whose attempts end as `script` says: task id → failure classes of its attempts in
// order; after the last one it succeeds.
class Story {
 public:
  explicit Story(PlanMaker& maker, std::map<std::string, std::vector<FailureClass>> script = {},
                 std::uint32_t workers = 1, std::uint32_t slots = 8)
      : plan(maker.Share()), cluster(plan, 1, workers, slots), script_(std::move(script)) {
    cluster.outcome_of = [this](const AttemptSpec& spec) -> std::optional<FailureClass> {
      std::vector<FailureClass>& failures = script_[spec.task];
      if (failures.empty()) return std::nullopt;
      const FailureClass failure = failures.front();
      failures.erase(failures.begin());
      return failure;
    };
    cluster.on_start = [this](const AttemptSpec& spec) {
      started.push_back(spec.task);
      specs.push_back(spec);
    };
  }

  RunState Run() {
    cluster.Submit();
    EXPECT_TRUE(cluster.RunToEnd());
    return cluster.State().run.state;
  }
  TaskState StateOf(std::uint32_t task) const { return cluster.Task(task).state; }
  std::string Environment(const std::string& task, const std::string& name) const {
    for (const AttemptSpec& spec : specs) {
      if (spec.task != task) continue;
      for (const auto& [key, value] : spec.env) {
        if (key == name) return value;
      }
    }
    return "(not run)";
  }

  std::shared_ptr<const Plan> plan;
  Cluster cluster;
  std::vector<std::string> started = {};
  std::vector<AttemptSpec> specs = {};

 private:
  std::map<std::string, std::vector<FailureClass>> script_;
};

inline const std::vector<FailureClass> kAlways(50, FailureClass::AgentError);

}  // namespace troupe
