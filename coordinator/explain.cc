#include "coordinator/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/mutant.h"
#include "coordinator/recovery_policy.h"

namespace troupe {
namespace {

constexpr std::size_t kNamesMax = 5;

std::string InSeconds(Duration d) { return fmt::format("{:.1f} s", std::max(0.0, ToSeconds(d))); }

std::string CauseOf(const TaskRecord& record) {
  if (!record.failure) return "";
  return fmt::format("{}: {}", Name(*record.failure), record.extra->message);
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
  const PlannedTask& planned = run.Planned(task);
  const bool parent = planned.kind == TaskKind::Parent;
  std::vector<Dependency> open =
      parent ? run.plan().gates[planned.extra->gate].needs : planned.needs;
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
    names += fmt::format("{}\"{}\" ({})", i == 0 ? "" : ", ", run.FullId(needs[i]),
                         Name(run.Record(needs[i]).state));
  }
  if (needs.size() > kNamesMax) names += fmt::format(" and {} more", needs.size() - kNamesMax);
  return "waits for " + names;
}

// Who could take it, if workers are known: "no worker with label "gpu" is connected".
std::string NoWorkerFits(const LiveRun& run, std::uint32_t task, const WorkerPool& pool) {
  const Requirement requirement = run.RequirementOf(task);
  const std::vector<std::string>& unfit = run.Record(task).extra->unfit_workers;
  bool any = false;
  bool provider = false;
  bool draining = false;
  bool fits = false;
  for (const auto& [name, worker] : pool.all()) {
    if (worker.peer.empty() || worker.session == 0) continue;
    if (WorkerPool::Fits(worker, requirement)) {
      fits = true;
      const bool not_here = std::find(unfit.begin(), unfit.end(), name) != unfit.end();
      const bool taking = !worker.draining || Mutant(Defect::DrainingForgotten);
      if (!not_here && taking) return "";
      draining = draining || (!not_here && worker.draining);
    }
    any = true;
    provider =
        provider || requirement.provider.empty() || worker.providers.contains(requirement.provider);
  }
  if (!any) return "no worker is connected";
  if (draining) return "every worker that could take it is draining";
  if (fits) {
    return fmt::format("it cannot run on{}, and no other connected worker fits",
                       List(unfit, " ", false));
  }
  if (!provider) {
    return fmt::format("no connected worker offers the provider {}", requirement.provider);
  }
  const auto& labels = requirement.labels;
  return fmt::format("no connected worker has the{}",
                     List(labels, labels.size() == 1 ? " label " : " labels ", true));
}

std::string Ready(const LiveRun& run, std::uint32_t task, Instant now, const WorkerPool* pool) {
  const Plan& plan = run.plan();
  if (run.record().state == RunState::Paused) return "is ready; the run is paused";
  const std::uint32_t agent = run.AgentOf(task);
  if (agent != kNone) {
    const std::string& name = plan.agents[agent].name;
    if (const Instant until = run.ShutUntil(agent, now); until > now) {
      return fmt::format(
          "is ready; agent \"{}\" is shut for another {}: {}", name, InSeconds(until - now),
          run.BreakerOpen(agent) ? "its circuit breaker is open" : "it is rate limited");
    }
    if (run.HasProbe(agent)) {
      return fmt::format(
          "is ready; agent \"{}\" is being tried with one attempt, after its circuit "
          "breaker was open",
          name);
    }
    if (run.AgentRunning(agent) >= plan.agents[agent].max_concurrent) {
      return fmt::format("is ready; agent \"{}\" has reached its max_concurrent of {}", name,
                         plan.agents[agent].max_concurrent);
    }
  }
  if (run.running() >= plan.max_parallel) {
    return fmt::format("is ready; the run has reached its max_parallel of {}", plan.max_parallel);
  }
  if (pool != nullptr) {
    if (const std::string none = NoWorkerFits(run, task, *pool); !none.empty()) {
      return "is ready; " + none;
    }
  }
  const std::vector<std::string> labels = run.RequirementOf(task).labels;
  return fmt::format("is ready; waits for a free slot on a worker{}{}",
                     List(labels, labels.size() == 1 ? " with label " : " with labels ", true),
                     List(run.Record(task).extra->unfit_workers, " other than ", false));
}

// `live`: else the clock of the wait goes on, but nobody looks at it.
std::string Waiting(const LiveRun& run, std::uint32_t task, bool live, Instant now) {
  const TaskRecord& r = run.Record(task);
  const RecoveryRules& rules = *run.Planned(task).rules;
  std::string when = r.due > now ? "in " + InSeconds(r.due - now) : "at once";
  if (!live) when = "when the run is resumed";
  if (live && run.record().state == RunState::Paused) when = "when the run goes on";
  if (r.failure == FailureClass::RateLimited) {
    return fmt::format("waits for the end of a rate limit, and goes on {} ({})", when,
                       r.extra->message);
  }
  return fmt::format("waits for retry {} of {} {}, after {}", r.extra->step_failures,
                     r.step == 0 ? rules.retry : rules.fallback_retry, when, CauseOf(r));
}

// A parent or a loop.
std::string JoinRunning(const LiveRun& run, std::uint32_t task) {
  const PlannedTask& planned = run.Planned(task);
  if (planned.kind != TaskKind::Parent) {
    const LiveRun::LoopCounts counts = run.Iterations(task);
    return fmt::format("is running: {} of {} iterations are settled, {} are under way",
                       counts.settled, counts.all, counts.open);
  }
  const auto settled =
      std::count_if(planned.extra->subtasks.begin(), planned.extra->subtasks.end(),
                    [&](std::uint32_t t) { return IsSettled(run.Record(t).state); });
  return fmt::format("is running: {} of {} subtasks are settled", settled,
                     planned.extra->subtasks.size());
}

std::string Running(const LiveRun& run, std::uint32_t task, bool live, Instant now) {
  const TaskRecord& r = run.Record(task);
  if (r.joins) return JoinRunning(run, task);
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
  for (std::size_t steps = 0; steps < run.size(); ++steps) {
    std::vector<std::uint32_t> bad = Needs(
        run, cause, [](TaskState s) { return s == TaskState::Failed || s == TaskState::Blocked; });
    if (bad.empty() && run.Planned(cause).kind == TaskKind::Parent)
      bad = run.Planned(cause).extra->subtasks;
    std::erase_if(bad, [&](std::uint32_t t) {
      const TaskState s = run.Record(t).state;
      return s != TaskState::Failed && s != TaskState::Blocked;
    });
    if (bad.empty()) break;
    cause = bad.front();
    if (run.Record(cause).state == TaskState::Failed) break;
  }
  return fmt::format("is blocked: it needs \"{}\", which failed with {}", run.FullId(cause),
                     CauseOf(run.Record(cause)));
}

std::string Attempts(std::uint32_t count) {
  return fmt::format("{} attempt{}", count, count == 1 ? "" : "s");
}

// Why nothing more was tried.
std::string NothingLeft(const LiveRun& run, std::uint32_t task) {
  const TaskRecord& r = run.Record(task);
  const RecoveryRules& rules = *run.Planned(task).rules;
  const Plan& plan = run.plan();
  if (!r.failure) return "";
  const std::string_view name = Name(*r.failure);
  constexpr std::string_view kAborted = "nothing is tried again in a run that is aborted";
  if (r.failure == FailureClass::WorkerLost) {
    if (run.record().aborting && r.extra->losses < plan.worker_losses_max)
      return std::string(kAborted);
    return fmt::format("the limit of {} lost workers is reached", plan.worker_losses_max);
  }
  std::string why;
  if (r.failure == FailureClass::RateLimited) {
    why = fmt::format("its waits for rate limits would pass {:.0f} s",
                      ToSeconds(plan.rate_limit_wait_max));
  } else if (!IsRetried(rules, *r.failure)) {
    why = fmt::format("{} is not retried", name);
  } else {
    const std::uint32_t retries = r.step == 0 ? rules.retry : rules.fallback_retry;
    const bool spent = plan.retry_budget <= run.record().retries_used;
    if (run.record().aborting && r.extra->step_failures <= retries && !spent)
      return std::string(kAborted);
    if (r.extra->step_failures <= retries) {
      why = fmt::format("the run's retry_budget of {} is used up", plan.retry_budget);
    } else if (retries == 0) {
      why = "it has no retries";
    } else {
      why = fmt::format("its {} {} used up", retries, retries == 1 ? "retry is" : "retries are");
    }
  }
  if (!rules.fallback_agents.empty()) why += ", and no fallback agent is left";
  return why;
}

// "was given up after 3 attempts, the last with timeout: …; its 2 retries are used up"
std::string GivenUp(const LiveRun& run, std::uint32_t task) {
  const TaskRecord& r = run.Record(task);
  const std::string after = r.attempts == 0
                                ? "without an attempt: "
                                : fmt::format("after {}, the last with ", Attempts(r.attempts));
  return fmt::format("was given up {}{}; {}", after, CauseOf(r), NothingLeft(run, task));
}

std::string Completed(const LiveRun& run, std::uint32_t task) {
  const TaskRecord& r = run.Record(task);
  if (!r.joins) return fmt::format("completed in attempt {}", r.attempts);
  if (run.Planned(task).kind == TaskKind::Parent) return "completed: all its subtasks did";
  return fmt::format("completed: all its {} iterations did", r.iterations);
}

std::string Failed(const LiveRun& run, std::uint32_t task) {
  const TaskRecord& r = run.Record(task);
  if (r.joins) return "failed: " + CauseOf(r);
  const std::string end = r.dead_letter ? "" : "; the dead letter was discarded";
  return "failed: it " + GivenUp(run, task) + end;
}

}  // namespace

std::string Explain(const LiveRun& run, std::uint32_t task, bool live, Instant now,
                    const WorkerPool* pool) {
  const TaskRecord& r = run.Record(task);
  const auto say = [&](const std::string& text) {
    return fmt::format("\"{}\" {}.", run.FullId(task), text);
  };
  switch (r.state) {
    case TaskState::Pending:
      return say(run.IsIteration(task) ? "waits for its turn in the loop" : WaitsFor(run, task));
    case TaskState::Ready:
      return say(live ? Ready(run, task, now, pool)
                      : "is ready; it starts when the run is resumed");
    case TaskState::Waiting:
      return say(Waiting(run, task, live, now));
    case TaskState::Running:
      return say(Running(run, task, live, now));
    case TaskState::Completed:
      return say(Completed(run, task));
    case TaskState::Skipped:
      return say("was skipped: " + (r.failure ? "it " + GivenUp(run, task) : r.extra->message));
    case TaskState::Failed:
      return say(Failed(run, task));
    case TaskState::Blocked:
      return say(Blocked(run, task));
    case TaskState::Cancelled:
      return say(Cancelled(run, r));
  }
  return "";
}

}  // namespace troupe
