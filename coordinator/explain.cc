#include "coordinator/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace troupe {
namespace {

constexpr std::size_t kNamesMax = 5;

std::string InSeconds(Duration d) { return fmt::format("{:.1f} s", std::max(0.0, ToSeconds(d))); }

std::string CauseOf(const TaskRecord& record) {
  if (!record.failure) return "";
  return fmt::format("{}: {}", Name(*record.failure), record.message);
}

// " with labels "a", "b""; empty without words.
std::string List(const std::vector<std::string>& words, const char* before, bool quoted) {
  std::string text;
  for (const std::string& word : words) {
    text += text.empty() ? before : ", ";
    text += quoted ? fmt::format("\"{}\"", word) : word;
  }
  return text;
}

// The tasks that `task` waits for, through gates, as far as `wanted` holds for their state.
template <class Wanted>
std::vector<std::uint32_t> Needs(const LiveRun& run, std::uint32_t task, Wanted&& wanted) {
  std::vector<std::uint32_t> found;
  std::vector<Dependency> open = run.plan().tasks[task].needs;
  std::vector<bool> seen(run.plan().gates.size());
  while (!open.empty()) {
    const Dependency need = open.back();
    open.pop_back();
    if (need.on == Dependency::On::Task) {
      if (wanted(run.Record(need.index).state)) found.push_back(need.index);
    } else if (!seen[need.index]) {
      seen[need.index] = true;
      const auto& more = run.plan().gates[need.index].needs;
      open.insert(open.end(), more.begin(), more.end());
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::string WaitsFor(const LiveRun& run, std::uint32_t task) {
  if (run.record().phase == RunPhase::PreHooks) return "waits for the pre_workflow hooks";
  const std::vector<std::uint32_t> needs =
      Needs(run, task, [](TaskState s) { return !IsSettled(s); });
  if (needs.empty()) return "waits for the hooks of a stage before it";
  std::string names;
  for (std::size_t i = 0; i < std::min(needs.size(), kNamesMax); ++i) {
    names += fmt::format("{}\"{}\" ({})", i == 0 ? "" : ", ", run.plan().tasks[needs[i]].id,
                         Name(run.Record(needs[i]).state));
  }
  if (needs.size() > kNamesMax) names += fmt::format(" and {} more", needs.size() - kNamesMax);
  return "waits for " + names;
}

std::string Ready(const LiveRun& run, std::uint32_t task, Instant now) {
  const Plan& plan = run.plan();
  if (run.record().state == RunState::Paused) return "is ready; the run is paused";
  const std::uint32_t agent = run.AgentOf(task);
  if (agent != kNone) {
    const std::string& name = plan.agents[agent].name;
    if (run.ShutUntil(agent) > now) {
      return fmt::format("is ready; agent \"{}\" is rate limited for another {}", name,
                         InSeconds(run.ShutUntil(agent) - now));
    }
    if (run.AgentRunning(agent) >= plan.agents[agent].max_concurrent) {
      return fmt::format("is ready; agent \"{}\" has reached its max_concurrent of {}", name,
                         plan.agents[agent].max_concurrent);
    }
  }
  if (run.running() >= plan.max_parallel) {
    return fmt::format("is ready; the run has reached its max_parallel of {}", plan.max_parallel);
  }
  const std::vector<std::string> labels = SettingsFor(plan, plan.tasks[task], agent).labels;
  return fmt::format("is ready; waits for a free slot on a worker{}{}",
                     List(labels, labels.size() == 1 ? " with label " : " with labels ", true),
                     List(run.Record(task).unfit_workers, " other than ", false));
}

// `live`: else the clock of the wait goes on, but nobody looks at it.
std::string Waiting(const LiveRun& run, std::uint32_t task, bool live, Instant now) {
  const TaskRecord& r = run.Record(task);
  const RecoveryRules& rules = *run.plan().tasks[task].rules;
  std::string when = r.due > now ? "in " + InSeconds(r.due - now) : "at once";
  if (!live) when = "when the run is resumed";
  if (live && run.record().state == RunState::Paused) when = "when the run goes on";
  if (r.failure == FailureClass::RateLimited) {
    return fmt::format("waits for the end of a rate limit, and goes on {} ({})", when, r.message);
  }
  return fmt::format("waits for retry {} of {} {}, after {}", r.step_failures,
                     r.step == 0 ? rules.retry : rules.fallback_retry, when, CauseOf(r));
}

std::string Running(const TaskRecord& r, bool live, Instant now) {
  if (live) {
    return fmt::format("is running: attempt {} on worker {}, for {}", r.attempts, r.worker,
                       InSeconds(now - r.attempt_started));
  }
  return fmt::format(
      "is running or has ended meanwhile: attempt {} on worker {}; it is taken over when the run "
      "is resumed",
      r.attempts, r.worker);
}

std::string Cancelled(const LiveRun& run, const TaskRecord& r) {
  if (run.record().cancelling) return "was cancelled with the run";
  return fmt::format("was cancelled before it could start{}, because the run was aborted: {}",
                     r.attempts > 0 ? " again" : "", run.record().first_failure);
}

std::string Blocked(const LiveRun& run, std::uint32_t task) {
  std::uint32_t cause = task;
  for (std::size_t steps = 0; steps < run.plan().tasks.size(); ++steps) {
    const auto bad = Needs(
        run, cause, [](TaskState s) { return s == TaskState::Failed || s == TaskState::Blocked; });
    if (bad.empty()) break;
    cause = bad.front();
    if (run.Record(cause).state == TaskState::Failed) break;
  }
  return fmt::format("is blocked: it needs \"{}\", which failed with {}",
                     run.plan().tasks[cause].id, CauseOf(run.Record(cause)));
}

std::string GivenUp(const TaskRecord& r) {
  if (r.attempts == 0) return fmt::format("was given up without an attempt: {}", CauseOf(r));
  return fmt::format("was given up after {} attempt{}, the last with {}", r.attempts,
                     r.attempts == 1 ? "" : "s", CauseOf(r));
}

}  // namespace

std::string Explain(const LiveRun& run, std::uint32_t task, bool live, Instant now) {
  const TaskRecord& r = run.Record(task);
  const auto say = [&](const std::string& text) {
    return fmt::format("\"{}\" {}.", run.plan().tasks[task].id, text);
  };
  switch (r.state) {
    case TaskState::Pending:
      return say(WaitsFor(run, task));
    case TaskState::Ready:
      return say(live ? Ready(run, task, now) : "is ready; it starts when the run is resumed");
    case TaskState::Waiting:
      return say(Waiting(run, task, live, now));
    case TaskState::Running:
      return say(Running(r, live, now));
    case TaskState::Completed:
      return say(fmt::format("completed in attempt {}", r.attempts));
    case TaskState::Skipped:
      return say("was skipped: it " + GivenUp(r));
    case TaskState::Failed:
      return say("failed: it " + GivenUp(r));
    case TaskState::Blocked:
      return say(Blocked(run, task));
    case TaskState::Cancelled:
      return say(Cancelled(run, r));
  }
  return "";
}

}  // namespace troupe
