#include "simulation/workload.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "base/failure.h"

namespace troupe {
namespace {

// At most one thing is drawn in an expression: in what order the arguments of a call are evaluated
// is the compiler's choice, and a seed must give the same with all of them.
class Writer {
 public:
  explicit Writer(Dice& dice) : dice_(dice) {}

  std::string Write() {
    agents_ = dice_.Below(4);
    const std::uint32_t most = dice_.OneIn(12) ? 24 : dice_.OneIn(3) ? 8 : 4;
    const std::uint32_t count = 1 + dice_.Below(most);
    Root();
    text_ += "tasks:\n";
    for (std::uint32_t i = 0; i < count; ++i) Task(i);
    if (agents_ > 0) Agents();
    if (dice_.OneIn(3)) {
      Stages();
    } else if (dice_.OneIn(2)) {
      text_ += "hooks: " + Hooks(false) + "\n";
    }
    return std::move(text_);
  }

 private:
  std::string Pick(const std::vector<const char*>& words) {
    return words[dice_.Below(words.size())];
  }

  void Root() {
    text_ =
        fmt::format("name: simulated\ntimeout_secs: {}\n", Pick({"10", "30", "60", "60", "900"}));
    if (dice_.OneIn(4)) text_ += fmt::format("max_parallel: {}\n", 1 + dice_.Below(3));
    if (dice_.OneIn(8)) text_ += fmt::format("queue_timeout_secs: {}\n", 5 + dice_.Below(60));
    if (dice_.OneIn(3)) text_ += fmt::format("on_error: {}\n", OnError(kNobody));
    text_ +=
        fmt::format("recovery: {{rate_limit_wait_max_secs: {}", Pick({"10", "100", "400", "2000"}));
    if (dice_.OneIn(3)) text_ += fmt::format(", retry_budget: {}", dice_.Below(6));
    if (dice_.OneIn(2)) text_ += fmt::format(", worker_losses_max: {}", 1 + dice_.Below(4));
    if (dice_.OneIn(5)) text_ += ", circuit_breaker: " + Breaker();
    text_ += "}\n";
    if (dice_.OneIn(6)) text_ += "outputs: {o: {source: {type: task_output, task: t0}}}\n";
  }

  std::string Breaker() {
    const std::string cooldown = Pick({"1", "5", "30"});
    const std::string window = Pick({"5", "20", "60"});
    return fmt::format("{{failures: {}, window_secs: {}, cooldown_secs: {}}}", 1 + dice_.Below(3),
                       window, cooldown);
  }

  std::string Classes() {
    std::string list;
    std::set<std::uint32_t> drawn;
    for (std::uint32_t n = 1 + dice_.Below(3); n > 0; --n) {
      drawn.insert(dice_.Below(kFailureClassCount));
    }
    for (std::uint32_t c : drawn) {
      const FailureTraits& traits = Traits(static_cast<FailureClass>(c));
      if (!traits.listable || static_cast<FailureClass>(c) == FailureClass::DodUnmet) continue;
      list += (list.empty() ? "" : ", ") + std::string(traits.name);
    }
    return "[" + list + "]";
  }

  // `own`: index of the agent that is not to be its own fallback.
  static constexpr std::uint32_t kNobody = 99;
  std::string OnError(std::uint32_t own) {
    std::vector<std::string> keys;
    if (!dice_.OneIn(4)) keys.push_back(fmt::format("retry: {}", dice_.Below(4)));
    if (dice_.OneIn(2)) {
      const std::string delay = Pick({"0", "0.5", "2", "7"});
      keys.push_back("retry_delay_secs: " + delay);
      if (dice_.OneIn(2)) keys.push_back("max_retry_delay_secs: " + Pick({"7", "10", "40"}));
    }
    if (dice_.OneIn(3)) keys.push_back("exponential_backoff: true");
    if (dice_.OneIn(4)) keys.push_back("jitter: " + Pick({"0.25", "0.5", "1"}));
    if (dice_.OneIn(6)) keys.push_back("retry_on: " + Classes());
    if (dice_.OneIn(6)) keys.push_back("no_retry_on: " + Classes());
    if (dice_.OneIn(8)) keys.push_back("prefer_other_worker: false");
    if (agents_ > 0 && own != kNobody && dice_.OneIn(2)) {
      std::string list;
      for (std::uint32_t a = 0; a < agents_; ++a) {
        if (a == own || dice_.OneIn(3)) continue;
        list += fmt::format("{}a{}", list.empty() ? "" : ", ", a);
      }
      if (!list.empty()) {
        keys.push_back("fallback_agent: [" + list + "]");
        if (dice_.OneIn(2)) keys.push_back(fmt::format("fallback_retry: {}", dice_.Below(3)));
      }
    }
    if (!dice_.OneIn(3))
      keys.push_back("on_exhausted: " + Pick({"skip", "continue", "continue", "abort"}));
    std::string map;
    for (const std::string& key : keys) map += (map.empty() ? "" : ", ") + key;
    return "{" + map + "}";
  }

  std::string Needs() {
    std::set<std::uint32_t> needs;
    if (top_ == 0) return "";
    for (std::uint32_t n = dice_.Below(4); n > 0; --n) needs.insert(dice_.Below(top_));
    std::string list;
    for (std::uint32_t need : needs) list += fmt::format("{}t{}", list.empty() ? "" : ", ", need);
    needs_ = {needs.begin(), needs.end()};
    return list.empty() ? "" : ", depends_on: [" + list + "]";
  }

  // The work of a task that is no parent. `needs_`: what it may refer to.
  std::string Work() {
    std::string refers;
    if (!needs_.empty() && dice_.OneIn(3)) {
      const std::string what = Pick({"output", "output", "status", "result.n"});
      refers = fmt::format(" ${{task.t{}.{}}}", needs_[dice_.Below(needs_.size())], what);
    }
    std::string work = fmt::format("description: \"do{}\"", refers);
    std::uint32_t own = 50;
    if (agents_ > 0 && !dice_.OneIn(3)) {
      own = dice_.Below(agents_);
      work += fmt::format(", agent: a{}", own);
    } else {
      work += ", command: [work]";
    }
    if (dice_.OneIn(2)) work += ", on_error: " + OnError(own);
    if (dice_.OneIn(12)) work += ", queue_timeout_secs: 20";
    if (dice_.OneIn(10)) work += ", requires: {labels: [gpu]}";
    if (dice_.OneIn(8)) work += fmt::format(", priority: {}", dice_.Below(3));
    if (dice_.OneIn(8)) {
      const std::uint32_t value = dice_.Below(3);
      work += fmt::format(", set: {{k{}: {}}}", dice_.Below(2), value);
    } else if (dice_.OneIn(16)) {
      work += ", set: {k2: \"${task.result.n}\"}";
    }
    return work;
  }

  std::string Loop() {
    std::string collection;
    if (dice_.OneIn(3)) {
      collection = "{source: file, path: items.json, format: json}";
    } else if (dice_.OneIn(2)) {
      collection = fmt::format("{{source: range, start: 0, end: {}}}", dice_.Below(6));
    } else {
      collection = Pick({"{source: inline, items: []}", "{source: inline, items: [1, a, {b: 2}]}"});
    }
    std::string loop = ", loop: {type: for_each, iterator: x, collection: " + collection;
    if (dice_.OneIn(2)) {
      loop += ", parallel: true";
      if (dice_.OneIn(2)) loop += fmt::format(", max_parallel: {}", 1 + dice_.Below(3));
    }
    return loop + "}";
  }

  std::string Condition(std::uint32_t depth = 0) {
    const std::uint32_t form = dice_.Below(depth < 2 ? 8 : 6);
    if (form < 3 && top_ > 0) {
      const std::string status = Pick({"completed", "failed", "failed", "skipped", "completed"});
      return fmt::format("{{type: task_status, task: t{}, status: {}}}", dice_.Below(top_), status);
    }
    if (form == 3) return fmt::format("{{type: state_exists, key: k{}}}", dice_.Below(2));
    if (form == 4) {
      const std::uint32_t value = dice_.Below(3);
      return fmt::format("{{type: state_equals, key: k{}, value: {}}}", dice_.Below(2), value);
    }
    if (form == 6) return "{not: " + Condition(depth + 1) + "}";
    if (form == 7) {
      const std::string second = Condition(depth + 1);
      const std::string first = Condition(depth + 1);
      return fmt::format("{{{}: [{}, {}]}}", Pick({"and", "or"}), first, second);
    }
    return dice_.OneIn(4) ? "{type: never}" : "{type: always}";
  }

  std::string Subtasks(std::uint32_t depth) {
    std::string map;
    for (std::uint32_t n = 1 + dice_.Below(3), i = 0; i < n; ++i) {
      const bool parent = depth < 2 && dice_.OneIn(5);
      std::string body = parent ? Subtasks(depth + 1) : Work();
      if (!parent && dice_.OneIn(6)) body += Loop();
      if (i > 0 && dice_.OneIn(3)) body += fmt::format(", depends_on: [s{}]", i - 1);
      if (dice_.OneIn(6)) body += ", condition: " + Condition();
      map += fmt::format("{}s{}: {{{}}}", i == 0 ? "" : ", ", i, body);
    }
    return "subtasks: {" + map + "}";
  }

  void Task(std::uint32_t index) {
    needs_.clear();
    const std::string needs = Needs();
    std::string body;
    if (dice_.OneIn(6)) {
      needs_.clear();
      body = Subtasks(0);
      if (dice_.OneIn(4)) body += ", on_error: " + OnError(kNobody);
    } else {
      body = Work();
      if (dice_.OneIn(5)) body += Loop();
    }
    if (dice_.OneIn(5)) body += ", condition: " + Condition();
    text_ += fmt::format("  t{}: {{{}{}}}\n", index, body, needs);
    top_ = index + 1;
  }

  void Agents() {
    text_ += "agents:\n";
    for (std::uint32_t a = 0; a < agents_; ++a) {
      std::string body = "command: \"agent\"";
      if (dice_.OneIn(4)) {
        const std::string sleep = Pick({"0", "0.5", "6"});
        const std::string how =
            Pick({"agent_error", "transient", "rate_limited", "auth", "refusal"});
        const char* times = dice_.OneIn(6) ? "always" : dice_.OneIn(2) ? "1" : "0";
        body = fmt::format("provider: mock, mock: {{fail_times: {}, class: {}, sleep_secs: {}}}",
                           times, how, sleep);
      }
      if (dice_.OneIn(4)) body += fmt::format(", max_concurrent: {}", 1 + dice_.Below(2));
      if (dice_.OneIn(3)) body += ", circuit_breaker: " + Breaker();
      if (dice_.OneIn(4)) body += ", on_error: " + OnError(kNobody);
      if (dice_.OneIn(8)) body += ", requires: {labels: [disk]}";
      text_ += fmt::format("  a{}: {{{}}}\n", a, body);
    }
  }

  std::string HookList(bool may_fail_async) {
    std::string list;
    for (std::uint32_t n = dice_.Below(4); n > 0; --n) {
      std::string item = "command: hook";
      const bool async = dice_.OneIn(4) && may_fail_async;
      if (async) item += ", async: true";
      if (!async && dice_.OneIn(3)) item += ", on_failure: " + Pick({"fail", "fail", "warn"});
      if (dice_.OneIn(4)) item += ", timeout_secs: " + Pick({"5", "20"});
      if (dice_.OneIn(8)) item += ", runs_on: [disk]";
      list += (list.empty() ? "{" : ", {") + item + "}";
    }
    return "[" + list + "]";
  }

  std::string Hooks(bool stages) {
    std::string map;
    const auto add = [&](const char* name) {
      if (!dice_.OneIn(2))
        map += fmt::format("{}{}: {}", map.empty() ? "" : ", ", name, HookList(true));
    };
    add("pre_workflow");
    if (stages) add("on_stage_complete");
    add("on_error");
    add("post_workflow");
    return "{" + map + "}";
  }

  // Stages take tasks in the order of the file, so that no edges contradict each other.
  void Stages() {
    text_ += "workflows:\n  w:\n    steps:\n";
    std::uint32_t next = 0;
    const std::uint32_t stages = 1 + dice_.Below(3);
    for (std::uint32_t s = 0; s < stages; ++s) {
      std::string tasks;
      for (std::uint32_t n = dice_.Below(4); n > 0 && next < top_; --n, ++next) {
        if (dice_.OneIn(5)) continue;
        tasks += fmt::format("{}t{}", tasks.empty() ? "" : ", ", next);
      }
      text_ += fmt::format("      - {{stage: g{}, tasks: [{}], mode: {}", s, tasks,
                           Pick({"sequential", "parallel"}));
      if (s > 0 && !dice_.OneIn(3)) text_ += fmt::format(", depends_on: [g{}]", s - 1);
      text_ += "}\n";
    }
    if (!dice_.OneIn(4)) text_ += "    hooks: " + Hooks(true) + "\n";
  }

  Dice& dice_;
  std::string text_;
  std::uint32_t agents_ = 0;
  std::uint32_t top_ = 0;
  std::vector<std::uint32_t> needs_;
};

}  // namespace

std::string DrawWorkflow(Dice& dice) { return Writer(dice).Write(); }

}  // namespace troupe
