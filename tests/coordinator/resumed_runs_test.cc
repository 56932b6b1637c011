// Nothing depends on whether a run was resumed: the same workflow, with attempts that end the same
// way, comes to the same end whether or not the coordinator and the worker daemons are killed.
#include <gtest/gtest.h>

#include "tests/coordinator/cluster.h"
#include "tests/coordinator/plans.h"

namespace troupe {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSeeds = 100;
#else
constexpr std::uint64_t kSeeds = 2'000;
#endif

// Subtasks, loops, conditions, stages, hooks, skips and failures, drawn from a seed. No aborts:
// what they cancel depends on what happens to run.
class RandomWorkflow {
 public:
  explicit RandomWorkflow(std::uint64_t seed) : random_(seed) {}

  std::shared_ptr<const Plan> Make() {
    const std::uint32_t count = 2 + Below(12);
    for (std::uint32_t i = 0; i < count; ++i) AddTask();
    if (Below(2) == 0) AddStages();
    for (int i = 0; i < kHookListCount; ++i) {
      for (std::uint32_t n = Below(3); n > 0; --n) {
        maker_.AddHook(static_cast<HookList>(i), "hook", false, Below(3) == 0);
      }
    }
    if (Below(3) == 0) maker_.plan().max_parallel = 1 + Below(3);
    return maker_.Share();
  }

 private:
  std::uint32_t Below(std::uint32_t n) { return static_cast<std::uint32_t>(random_.Next() % n); }
  std::string NextName() { return "t" + std::to_string(names_++); }

  RecoveryRules Rules() {
    return {.retry = Below(3),
            .retry_delay = Seconds(random_.Draw()),
            .on_exhausted = Below(3) == 0 ? OnExhausted::Skip : OnExhausted::Continue};
  }

  std::vector<std::uint32_t> Needs() {
    std::set<std::uint32_t> needs;
    for (std::uint32_t n = Below(3); n > 0 && !top_.empty(); --n) {
      needs.insert(top_[Below(static_cast<std::uint32_t>(top_.size()))]);
    }
    return {needs.begin(), needs.end()};
  }

  std::uint32_t AddLeaf(const std::vector<std::uint32_t>& needs) {
    const std::uint32_t task = maker_.Task(NextName(), needs, kNone, Rules());
    if (Below(4) == 0) {
      maker_.Loop(task, std::vector<std::string>(Below(6), "1"), Below(2) == 0,
                  Below(2) == 0 ? kNone : 1 + Below(3));
    }
    return task;
  }

  void AddTask() {
    const std::vector<std::uint32_t> needs = Needs();
    std::uint32_t task = 0;
    if (Below(4) == 0) {
      std::vector<std::uint32_t> subtasks;
      for (std::uint32_t n = 1 + Below(3); n > 0; --n) subtasks.push_back(AddLeaf({}));
      if (Below(3) == 0) subtasks = {maker_.Parent(NextName(), subtasks), AddLeaf({})};
      task = maker_.Parent(NextName(), subtasks, needs);
    } else {
      task = AddLeaf(needs);
    }
    if (Below(3) == 0) AddCondition(task);
    top_.push_back(task);
  }

  void AddCondition(std::uint32_t task) {
    if (top_.empty() || Below(5) == 0) {
      maker_.Condition(task, {.op = Below(2) == 0 ? Condition::Op::Never : Condition::Op::Always});
      return;
    }
    const std::uint32_t asked = top_[Below(static_cast<std::uint32_t>(top_.size()))];
    const AskedStatus status = static_cast<AskedStatus>(Below(3));
    maker_.Condition(task, {.op = Condition::Op::TaskStatus, .task = asked, .status = status},
                     {asked});
  }

  void AddStages() {
    const std::uint32_t a = AddLeaf({});
    const std::uint32_t b = AddLeaf({});
    const std::uint32_t c = AddLeaf({});
    const std::uint32_t d = AddLeaf({});
    const std::uint32_t first = maker_.Stage("first", {a, b});
    const std::uint32_t empty = maker_.Stage("empty", {}, {first});
    maker_.Stage("last", {c, d}, {empty});
    if (Below(2) == 0) {
      maker_.Condition(d,
                       {.op = Condition::Op::TaskStatus,
                        .task = a,
                        .status = static_cast<AskedStatus>(Below(3))},
                       {a});
    }
  }

  Random random_;
  PlanMaker maker_;
  std::vector<std::uint32_t> top_;
  int names_ = 0;
};

// How everything stood in the end: states by TaskId, hooks by name with how often they ran.
struct End {
  RunState state{};
  std::map<std::uint32_t, TaskState> tasks = {};
  std::map<std::string, int> hooks = {};
};

class World {
 public:
  World(const std::shared_ptr<const Plan>& plan, std::uint64_t seed, Faults faults)
      : cluster_(plan, seed, 1 + seed % 2, 1 + seed % 4, faults),
        seed_(seed),
        planned_(plan->tasks.size()) {
    cluster_.outcome_of = [this](const AttemptSpec& spec) -> std::optional<FailureClass> {
      if (spec.id.subject == Subject::Hook) return std::nullopt;
      Random dice(seed_ ^ std::hash<std::string>()(spec.task + std::to_string(runs_[spec.task]++)));
      dice.Next();
      return dice.Draw() < 0.4 ? std::optional(FailureClass::AgentError) : std::nullopt;
    };
    cluster_.Submit();
  }

  // Nothing: it did not end.
  std::optional<End> Finish() {
    if (!cluster_.RunToEnd()) return std::nullopt;
    const Checkpoint last = cluster_.State();
    End end{.state = last.run.state};
    // Iterations get their numbers when their loop begins, in whatever order that is.
    for (const TaskRecord& task : last.tasks) {
      if (task.task.value < planned_) end.tasks[task.task.value] = task.state;
    }
    for (const HookRecord& hook : last.hooks) {
      if (hook.state == HookState::Succeeded) {
        ++end.hooks[std::to_string(hook.list) + hook.stage + std::to_string(hook.index)];
      }
    }
    for (const auto& [id, starts] : cluster_.starts()) {
      EXPECT_EQ(starts, 1u) << ToString(id) << " began twice, seed " << seed_;
    }
    return end;
  }
  void Redrive() { EXPECT_TRUE(cluster_.Redrive({})) << "seed " << seed_; }
  const std::map<std::string, int>& runs() const { return runs_; }

 private:
  Cluster cluster_;
  std::uint64_t seed_;
  std::size_t planned_;
  std::map<std::string, int> runs_;
};

TEST(ResumedRuns, EndAsIfNothingHadBeenKilled) {
  std::size_t failed = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const auto plan = RandomWorkflow(seed).Make();
    World calm(plan, seed, {});
    World killed(plan, seed, {.coordinator_crash = 0.03, .worker_crash = 0.02});
    for (int round = 0; round < 3; ++round) {
      std::optional<End> expected = calm.Finish();
      std::optional<End> end = killed.Finish();
      ASSERT_TRUE(expected && end) << "a run does not end, seed " << seed << " round " << round;
      ASSERT_EQ(expected->state, end->state) << "seed " << seed << " round " << round;
      for (std::uint32_t i = 0; i < plan->tasks.size(); ++i) {
        ASSERT_EQ(Name(expected->tasks[i]), Name(end->tasks[i]))
            << plan->tasks[i].id << " seed " << seed << " round " << round;
      }
      ASSERT_EQ(calm.runs(), killed.runs()) << "seed " << seed << " round " << round;
      ASSERT_EQ(expected->hooks, end->hooks) << "seed " << seed << " round " << round;
      if (end->state == RunState::Succeeded) break;
      ++failed;
      calm.Redrive();
      killed.Redrive();
    }
  }
  EXPECT_GT(failed, 100u);
}

}  // namespace
}  // namespace troupe
