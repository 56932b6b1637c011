// Every small graph, with every policy and every way in which its attempts can end, against a
// scheduler that is too simple to be wrong: 295,508 cases.
//
// The graphs: each task needs any of those before it. The order in which attempts end follows from
// the number of slots; all take as long.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/coordinator.h"
#include "tests/coordinator/plans.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kStep = 20;  // Only each so-manieth case.
#else
constexpr std::uint64_t kStep = 1;
#endif
constexpr Duration kTakes = milliseconds(1'000);  // Every attempt, …
constexpr Duration kDelay = milliseconds(1'700);  // … and every wait before a retry.

// A task's policy, and how many of its attempts fail: the first so many.
struct Fate {
  std::uint32_t retry = 0;
  bool fallback = false;
  std::uint32_t fallback_retry = 0;
  OnExhausted on_exhausted = OnExhausted::Abort;
  std::uint32_t failures = 0;
};

struct Case {
  std::vector<Fate> fates = {};  // Of each task.
  std::uint32_t edges = 0;       // A bit for each pair (earlier, later) of tasks.
  std::uint32_t slots = 1;

  bool Needs(std::size_t later, std::size_t earlier) const {
    return (edges >> (later * (later - 1) / 2 + earlier) & 1u) != 0;
  }
};

// What became of it.
struct Ending {
  bool failed = false;                       // The run.
  std::vector<TaskState> states = {};        // Of the tasks,
  std::vector<std::uint32_t> attempts = {};  // the number that each had,
  std::vector<std::string> started = {};     // and all of them in the order of their start.
  bool operator==(const Ending&) const = default;
};

// --- the obvious scheduler ---

class Obvious {
 public:
  explicit Obvious(const Case& c) : case_(c), tasks_(c.fates.size()) {
    result_.attempts.resize(tasks_.size());
  }

  Ending Run() {
    Start();
    while (true) {
      // The attempt that ends first, or the wait; an attempt if both end at once.
      std::size_t next = kNone;
      for (const std::size_t t : running_) {
        if (next == kNone || tasks_[t].at < tasks_[next].at) next = t;
      }
      for (std::size_t t = 0; t < tasks_.size(); ++t) {
        const bool waits = tasks_[t].state == TaskState::Waiting;
        if (waits && (next == kNone || tasks_[t].at < tasks_[next].at)) next = t;
      }
      if (next == kNone) break;
      now_ = tasks_[next].at;
      if (tasks_[next].state == TaskState::Waiting) {
        tasks_[next].state = TaskState::Ready;
      } else {
        End(next);
      }
      Start();
    }
    for (const Task& task : tasks_) result_.states.push_back(task.state);
    return result_;
  }

 private:
  struct Task {
    TaskState state = TaskState::Pending;
    Duration at{};               // Running or waiting: until then.
    std::uint32_t failures = 0;  // With the agent that it has.
    bool second_agent = false;
  };

  void End(std::size_t t) {
    std::erase(running_, t);
    Task& task = tasks_[t];
    const Fate& fate = case_.fates[t];
    if (result_.attempts[t] > fate.failures) {
      task.state = TaskState::Completed;
      return;
    }
    ++task.failures;
    const std::uint32_t retries = task.second_agent ? fate.fallback_retry : fate.retry;
    if (!aborting_ && task.failures <= retries) {
      task.state = TaskState::Waiting;
      task.at = now_ + kDelay;
    } else if (!aborting_ && !task.second_agent && fate.fallback) {
      task.state = TaskState::Ready;
      task.second_agent = true;
      task.failures = 0;
    } else if (!aborting_ && fate.on_exhausted == OnExhausted::Skip) {
      task.state = TaskState::Skipped;
    } else {
      task.state = TaskState::Failed;
      result_.failed = true;
      aborting_ = aborting_ || fate.on_exhausted == OnExhausted::Abort;
    }
  }

  // What cannot run is blocked or cancelled, and what can start starts.
  void Start() {
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      Task& task = tasks_[t];
      if (task.state == TaskState::Pending && Some(t, TaskState::Failed, TaskState::Blocked)) {
        task.state = TaskState::Blocked;
      }
      const bool rests = task.state == TaskState::Pending || task.state == TaskState::Ready ||
                         task.state == TaskState::Waiting;
      if (aborting_ && rests) task.state = TaskState::Cancelled;
    }
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      Task& task = tasks_[t];
      if (task.state == TaskState::Pending && All(t)) task.state = TaskState::Ready;
      if (task.state != TaskState::Ready || running_.size() == case_.slots) continue;
      task.state = TaskState::Running;
      task.at = now_ + kTakes;
      running_.push_back(t);
      result_.started.push_back(
          fmt::format("{}#{}{}", t, ++result_.attempts[t], task.second_agent ? "b" : "a"));
    }
  }

  bool Some(std::size_t t, TaskState one, TaskState other) const {
    for (std::size_t i = 0; i < t; ++i) {
      const TaskState s = tasks_[i].state;
      if (case_.Needs(t, i) && (s == one || s == other)) return true;
    }
    return false;
  }
  bool All(std::size_t t) const {
    for (std::size_t i = 0; i < t; ++i) {
      const TaskState s = tasks_[i].state;
      if (case_.Needs(t, i) && s != TaskState::Completed && s != TaskState::Skipped) return false;
    }
    return true;
  }

  const Case& case_;
  std::vector<Task> tasks_;
  std::vector<std::size_t> running_;  // In the order of their start.
  Duration now_{};
  bool aborting_ = false;
  Ending result_;
};

// --- the coordinator's core, with a worker made of messages ---

class Real {
 public:
  explicit Real(const Case& c) : case_(c) {
    result_.states.resize(c.fates.size());
    result_.attempts.resize(c.fates.size());
  }

  Ending Run() {
    Step(PeerSpoke{"p", Hello{.slots = case_.slots, .providers = {"mock"}, .spool = 1}});
    SubmitRun submit;
    submit.plan = Plan();
    Step(submit);
    while (coordinator_.live() > 0) {
      if (!running_.empty() && running_.front().second <= wake_at_) {
        const auto [id, ends] = running_.front();
        running_.erase(running_.begin());
        now_ = ends;
        AttemptOutcome outcome{.id = id};
        if (id.number <= case_.fates[id.index].failures) outcome.failure = FailureClass::AgentError;
        Step(PeerSpoke{"p", Finished{{outcome}}});
      } else {
        now_ = std::max(now_, wake_at_);
        Step(Tick{});
      }
    }
    return result_;
  }

 private:
  std::shared_ptr<const troupe::Plan> Plan() const {
    PlanMaker maker;
    const std::uint32_t a = maker.Agent("a");
    const std::uint32_t b = maker.Agent("b");
    for (std::size_t t = 0; t < case_.fates.size(); ++t) {
      const Fate& fate = case_.fates[t];
      RecoveryRules rules{.retry = fate.retry, .retry_delay = kDelay};
      if (fate.fallback) rules.fallback_agents = {b};
      rules.fallback_retry = fate.fallback_retry;
      rules.on_exhausted = fate.on_exhausted;
      std::vector<std::uint32_t> needs;
      for (std::uint32_t i = 0; i < t; ++i) {
        if (case_.Needs(t, i)) needs.push_back(i);
      }
      maker.Task(std::to_string(t), needs, a, rules);
    }
    return maker.Share();
  }

  void Step(const Event& event) {
    Effects effects;
    coordinator_.Step(event, now_, effects);
    coordinator_.EndTurn(now_, effects);
    wake_at_ = effects.wake_at;
    for (const TaskRecord& task : effects.save.tasks) {
      result_.states[task.task.value] = task.state;
      result_.attempts[task.task.value] = task.attempts;
    }
    for (const RunRecord& run : effects.save.runs) {
      if (IsFinal(run.state)) result_.failed = run.state == RunState::Failed;
    }
    for (const Outgoing& outgoing : effects.send) {
      const auto* dispatch = std::get_if<Dispatch>(&outgoing.message);
      if (dispatch == nullptr) continue;
      for (const AttemptSpec& spec : dispatch->specs) {
        running_.emplace_back(spec.id, now_ + kTakes);
        result_.started.push_back(fmt::format("{}#{}{}", spec.task, spec.id.number, spec.agent));
      }
    }
  }

  const Case& case_;
  Coordinator coordinator_{{.lease = std::chrono::hours(1)}, RunId{1}};
  Instant now_ = Instant{} + std::chrono::hours(1);
  Instant wake_at_ = kNever;
  std::vector<std::pair<AttemptId, Instant>> running_;  // All take as long: in order.
  Ending result_;
};

std::string Show(const Case& c, const Ending& obvious, const Ending& real) {
  std::string text = fmt::format("with {} slots\n", c.slots);
  for (std::size_t t = 0; t < c.fates.size(); ++t) {
    const Fate& fate = c.fates[t];
    text += fmt::format("task {}: needs", t);
    for (std::size_t i = 0; i < t; ++i) text += c.Needs(t, i) ? fmt::format(" {}", i) : "";
    text += fmt::format("; retry {}, fallback {} with {}, on_exhausted {}; {} attempts fail\n",
                        fate.retry, fate.fallback, fate.fallback_retry,
                        static_cast<int>(fate.on_exhausted), fate.failures);
  }
  for (const Ending* result : {&obvious, &real}) {
    text += result == &obvious ? "obvious:" : "real:   ";
    for (const std::string& start : result->started) text += " " + start;
    for (const TaskState state : result->states) text += fmt::format(", {}", Name(state));
    text += result->failed ? "; failed\n" : "; succeeded\n";
  }
  return text;
}

// All graphs of so many tasks, each task with each of the fates. How many cases; stops at the first
// that differs.
std::uint64_t CompareAll(std::uint32_t tasks, const std::vector<Fate>& fates) {
  std::uint64_t cases = 0;
  std::uint64_t choices = 1;
  for (std::uint32_t t = 0; t < tasks; ++t) choices *= fates.size();
  for (std::uint32_t edges = 0; edges < 1u << (tasks * (tasks - 1) / 2); ++edges) {
    for (std::uint64_t choice = 0; choice < choices; choice += kStep) {
      Case c{.fates = {}, .edges = edges};
      for (std::uint64_t t = 0, rest = choice; t < tasks; ++t, rest /= fates.size()) {
        c.fates.push_back(fates[rest % fates.size()]);
      }
      for (const std::uint32_t slots : {1u, 4u}) {
        if (slots > 1 && tasks == 1) continue;
        c.slots = slots;
        const Ending obvious = Obvious(c).Run();
        const Ending real = Real(c).Run();
        ++cases;
        if (obvious == real) continue;
        ADD_FAILURE() << Show(c, obvious, real);
        return cases;
      }
    }
  }
  return cases;
}

constexpr auto kAbort = OnExhausted::Abort;
constexpr auto kSkip = OnExhausted::Skip;
constexpr auto kContinue = OnExhausted::Continue;

// Each policy with each number of failures that it can have.
std::vector<Fate> AllFates() {
  std::vector<Fate> fates;
  for (const Fate& policy :
       {Fate{}, Fate{.retry = 1}, Fate{.fallback = true}, Fate{.on_exhausted = kSkip},
        Fate{.on_exhausted = kContinue}, Fate{.retry = 1, .on_exhausted = kSkip},
        Fate{.retry = 1, .fallback = true, .fallback_retry = 1, .on_exhausted = kContinue}}) {
    const std::uint32_t others = policy.fallback ? 1 + policy.fallback_retry : 0;
    const std::uint32_t attempts = 1 + policy.retry + others;
    for (std::uint32_t failures = 0; failures <= attempts; ++failures) {
      fates.push_back(policy);
      fates.back().failures = failures;
    }
  }
  return fates;
}

TEST(Exhaustive, AllGraphsOfUpToThreeTasksUnderAllPolicies) {
  const std::vector<Fate> fates = AllFates();
  ASSERT_EQ(fates.size(), 20u);

  const std::uint64_t cases = CompareAll(1, fates) + CompareAll(2, fates) + CompareAll(3, fates);

  EXPECT_EQ(cases, kStep == 1 ? 129'620u : cases);
}

// Of each policy what makes a difference to the others.
TEST(Exhaustive, AllGraphsOfFourTasksUnderThePoliciesThatDiffer) {
  const std::vector<Fate> fates = {
      {},
      {.on_exhausted = kAbort, .failures = 1},
      {.retry = 1, .failures = 1},
      {.fallback = true, .failures = 1},
      {.on_exhausted = kSkip, .failures = 1},
      {.on_exhausted = kContinue, .failures = 1},
  };

  const std::uint64_t cases = CompareAll(4, fates);

  EXPECT_EQ(cases, kStep == 1 ? 165'888u : cases);
}

}  // namespace
}  // namespace troupe
