// What has truly landed on the disk, read as it lands, and what was found wrong.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/records.h"
#include "workflow/plan.h"

namespace troupe {

// A promise that was broken: the first one found ends the simulation.
struct Violation {
  std::string checker = "";  // A name of docs/guarantees.md.
  std::string what = "";
};

class Judge {
 public:
  void Complain(const char* checker, std::string what) {
    if (!violation_) violation_ = Violation{checker, std::move(what)};
  }
  bool failed() const { return violation_.has_value(); }
  const std::optional<Violation>& violation() const { return violation_; }

 private:
  std::optional<Violation> violation_;
};

struct LedgerRun {
  std::shared_ptr<const Plan> plan = {};
  RunRecord run = {};
  std::map<std::uint32_t, TaskRecord> tasks = {};
  std::vector<HookRecord> hooks = {};
  std::map<std::string, AgentRecord> agents = {};
  std::map<AttemptId, AttemptRecord> attempts = {};
  std::map<std::string, std::uint32_t> id_of = {};  // Of the tasks in the file.

  TaskState StateOf(std::uint32_t task) const;
  std::uint32_t AttemptsOf(std::uint32_t task) const;
  // The TaskId of a full id; kNone: there is none.
  std::uint32_t Find(const std::string& full_id) const;
  // Index into the plan: of an iteration that of its loop. kNone: there is no such task.
  std::uint32_t Planned(std::uint32_t task) const;
  std::string FullId(std::uint32_t task) const;
};

class Ledger {
 public:
  // The plan of runs that are submitted with this key.
  void KnowPlan(const std::string& key, std::shared_ptr<const Plan> plan) {
    plans_[key] = std::move(plan);
  }
  void Take(const Batch& batch);

  const std::map<RunId, LedgerRun>& runs() const { return runs_; }
  const LedgerRun* Find(RunId run) const {
    const auto it = runs_.find(run);
    return it == runs_.end() ? nullptr : &it->second;
  }

 private:
  std::map<std::string, std::shared_ptr<const Plan>> plans_;
  std::map<RunId, LedgerRun> runs_;
};

}  // namespace troupe
