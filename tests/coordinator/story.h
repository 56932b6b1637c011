// A plan, run on a cluster without faults, whose attempts end as a script says.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
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
      : Story(maker.Share(), std::move(script), workers, slots) {}
  explicit Story(std::shared_ptr<const Plan> a_plan,
                 std::map<std::string, std::vector<FailureClass>> script = {},
                 std::uint32_t workers = 1, std::uint32_t slots = 8)
      : plan(std::move(a_plan)), cluster(plan, 1, workers, slots), script_(std::move(script)) {
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
  // The attempts of the task or hook take so long; those of others a drawn time.
  void Takes(const std::string& task, Duration time) {
    times_[task] = time;
    cluster.time_of = [this](const AttemptSpec& spec) -> std::optional<Duration> {
      const auto it = times_.find(spec.task);
      return it == times_.end() ? std::nullopt : std::optional(it->second);
    };
  }
  // What the attempts of the task give when they succeed.
  void Gives(const std::string& task, const std::string& output, const std::string& result = "") {
    given_[task] = {output, result};
    cluster.give = [this](const AttemptSpec& spec, AttemptOutcome& outcome) {
      const auto it = given_.find(spec.task);
      if (it != given_.end()) std::tie(outcome.output, outcome.result_json) = it->second;
    };
  }
  // The order for the nth attempt at the task.
  AttemptSpec SpecOf(const std::string& task, int nth = 1) const {
    for (const AttemptSpec& spec : specs) {
      if (spec.task == task && --nth == 0) return spec;
    }
    ADD_FAILURE() << task << " did not start";
    return {};
  }
  // Where among all that was told it stands that a task or hook began, or a hook ended; -1:
  // nowhere.
  int Began(const std::string& name, int nth = 1) const {
    return Place(name, nth, RunEvent::Kind::TaskStarted, RunEvent::Kind::HookStarted);
  }
  int Ended(const std::string& hook, int nth = 1) const {
    return Place(hook, nth, RunEvent::Kind::HookFinished, RunEvent::Kind::HookFinished);
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
  int Place(const std::string& name, int nth, RunEvent::Kind one, RunEvent::Kind other) const {
    for (std::size_t i = 0; i < cluster.told().size(); ++i) {
      const RunEvent& event = cluster.told()[i];
      const bool wanted = event.task == name && (event.kind == one || event.kind == other);
      if (wanted && --nth == 0) return static_cast<int>(i);
    }
    return -1;
  }

  std::map<std::string, Duration> times_ = {};
  std::map<std::string, std::pair<std::string, std::string>> given_ = {};
  std::map<std::string, std::vector<FailureClass>> script_;
};

inline const std::vector<FailureClass> kAlways(50, FailureClass::AgentError);

}  // namespace troupe
