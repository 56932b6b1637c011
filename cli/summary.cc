#include "cli/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cli/checkpoint_view.h"
#include "cli/state.h"
#include "cli/text.h"
#include "coordinator/recovery_policy.h"
#include "workflow/compile.h"

namespace troupe {
namespace {

constexpr std::size_t kLongestMax = 5;
constexpr std::size_t kFailuresMax = 10;
constexpr std::uint32_t kDelaysMax = 6;
constexpr std::size_t kCauseColumns = 300;

// "3 completed, 1 failed, 2 not settled"
std::string Counts(const Plan& plan, const Checkpoint& checkpoint) {
  std::map<TaskState, std::size_t> counts;
  std::size_t open = 0;
  for (const TaskView& view : TasksOf(plan, checkpoint)) {
    if (view.runs && IsSettled(view.record->state)) ++counts[view.record->state];
  }
  const std::uint32_t settled = CountSettled(checkpoint);
  if (checkpoint.run.tasks > settled) open = checkpoint.run.tasks - settled;
  std::string text;
  for (const auto& [state, count] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, Name(state));
  }
  if (open > 0) text += fmt::format("{}{} not settled", text.empty() ? "" : ", ", open);
  return text;
}

std::string Effort(const Plan& plan, const Checkpoint& checkpoint) {
  std::uint32_t attempts = 0;
  std::uint32_t tasks = 0;
  std::uint32_t fallbacks = 0;
  for (const TaskView& view : TasksOf(plan, checkpoint)) {
    if (view.record->attempts == 0) continue;
    ++tasks;
    attempts += view.record->attempts;
    fallbacks += view.record->step > 0 ? 1 : 0;
  }
  std::string text = fmt::format("{} attempt{}", attempts, attempts == 1 ? "" : "s");
  if (attempts > tasks) text += fmt::format(", {} of them repeated", attempts - tasks);
  if (fallbacks > 0) {
    text += fmt::format(", {} fallback{}", fallbacks, fallbacks == 1 ? "" : "s");
  }
  return text;
}

// The tasks that took longest, with their times.
std::string Longest(const Plan& plan, const Checkpoint& checkpoint) {
  std::vector<std::pair<Duration, std::string>> times;
  for (const TaskView& view : TasksOf(plan, checkpoint)) {
    if (!view.runs || view.record->state != TaskState::Completed) continue;
    times.emplace_back(view.record->ended - view.record->first_started, view.id);
  }
  if (times.size() < 2) return "";
  std::stable_sort(times.begin(), times.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text = "  longest: ";
  for (std::size_t n = 0; n < std::min(kLongestMax, times.size()); ++n) {
    text += fmt::format("{}{} {}", n == 0 ? "" : ", ", Escaped(times[n].second),
                        FormatDuration(times[n].first));
  }
  return text + "\n";
}

std::string Failures(const Plan& plan, const Checkpoint& checkpoint) {
  std::string text;
  std::size_t count = 0;
  for (const TaskView& view : TasksOf(plan, checkpoint)) {
    const TaskRecord* task = view.record;
    if (!view.runs || task->state != TaskState::Failed) continue;
    if (++count > kFailuresMax) continue;
    text += fmt::format("  FAILED {}: {}: {} (attempt {})\n", Escaped(view.id),
                        task->failure ? Name(*task->failure) : "",
                        CutToWidth(Escaped(task->extra->message), kCauseColumns), task->attempts);
  }
  if (count > kFailuresMax) text += fmt::format("  … and {} more\n", count - kFailuresMax);
  if (count == 0 && !checkpoint.run.first_failure.empty()) {
    text += fmt::format("  FAILED {}\n", Escaped(checkpoint.run.first_failure));
  }
  return text;
}

std::string FirstFailedTask(const Plan& plan, const Checkpoint& checkpoint) {
  for (const TaskView& view : TasksOf(plan, checkpoint)) {
    if (view.runs && view.record->state == TaskState::Failed) return view.id;
  }
  return "";
}

std::string AgentName(const Plan& plan, const PlannedTask& task) {
  if (task.agent != kNone) return "agent " + Escaped(plan.agents[task.agent].name);
  if (task.kind == TaskKind::Unsupported) return "not supported";
  return task.kind == TaskKind::Script ? "script" : "command";
}

// "retries 3 times after 1.0s, 2.0s, 4.0s"
std::string RetryText(const RecoveryRules& rules, std::uint32_t retries) {
  if (retries == 0) return "";
  std::string text = fmt::format("{} retr{} after ", retries, retries == 1 ? "y" : "ies");
  if (!rules.exponential_backoff) return text + FormatDuration(rules.retry_delay);
  for (std::uint32_t n = 1; n <= std::min(retries, kDelaysMax); ++n) {
    text += (n == 1 ? "" : ", ") + FormatDuration(RetryDelay(rules, n));
  }
  return text + (retries > kDelaysMax ? ", …" : "");
}

std::string Ladder(const Plan& plan, const PlannedTask& task) {
  const RecoveryRules& rules = *task.rules;
  std::string text = AgentName(plan, task);
  if (rules.retry > 0) text += ", " + RetryText(rules, rules.retry);
  for (std::uint32_t agent : rules.fallback_agents) {
    text += " → agent " + Escaped(plan.agents[agent].name);
    if (rules.fallback_retry > 0) text += ", " + RetryText(rules, rules.fallback_retry);
  }
  switch (rules.on_exhausted) {
    case OnExhausted::Abort:
      return text + " → abort the run";
    case OnExhausted::Skip:
      return text + " → skip";
    case OnExhausted::Continue:
      return text + " → fail, others go on";
  }
  return text;
}

// "4 times, 2 at a time: "
std::string LoopText(const PlannedTask& task) {
  if (task.extra->loop == nullptr)
    return task.extra->condition == nullptr ? "" : "if its condition holds: ";
  const Loop& loop = *task.extra->loop;
  std::string text;
  if (loop.source == Loop::Source::Inline) {
    text = fmt::format("for each of {} items", loop.items.size());
  } else if (loop.source == Loop::Source::Range) {
    text = fmt::format("for each from {} to {} by {}", loop.start, loop.end, loop.step);
  } else {
    text = "for each item of a file";
  }
  if (!loop.parallel) return text + ", one at a time: ";
  if (loop.max_parallel == kNone) return text + ": ";
  return fmt::format("{}, {} at a time: ", text, loop.max_parallel);
}

std::string HooksText(const Plan& plan) {
  std::string text;
  for (int list = 0; list < kHookListCount; ++list) {
    for (const Hook& hook : plan.hooks[list]) {
      text += fmt::format("  {:<18} {}{}{}\n", Name(static_cast<HookList>(list)),
                          Escaped(hook.description.empty() ? hook.command : hook.description),
                          hook.async ? " (async)" : "", hook.fail ? " (must succeed)" : "");
    }
  }
  return text.empty() ? "" : "hooks:\n" + text;
}

}  // namespace

std::string FormatSummary(const Plan& plan, const Checkpoint& checkpoint, const std::string& file,
                          const std::string& state_dir) {
  const RunRecord& run = checkpoint.run;
  const std::string flag = StateDirFlag(state_dir);
  std::string text = fmt::format("\nrun {} {}", run.id.value, Name(run.state));
  if (run.ended != Instant{}) text += " in " + FormatDuration(run.ended - run.started);
  text += fmt::format(": {}; {}\n", Counts(plan, checkpoint), Effort(plan, checkpoint));
  if (run.state == RunState::Succeeded) return text + Longest(plan, checkpoint);
  if (!IsFinal(run.state)) {
    return text + fmt::format("  go on with: troupe run {} --resume{}\n", Quoted(file), flag);
  }
  text += Failures(plan, checkpoint);
  const std::string task = FirstFailedTask(plan, checkpoint);
  text += fmt::format("  why: troupe why {}{}{}\n", run.id.value,
                      task.empty() ? "" : " " + Quoted(task), flag);
  text += fmt::format("  output: troupe logs {}{}{}\n", run.id.value,
                      task.empty() ? " --hooks" : " " + Quoted(task), flag);
  text += fmt::format("  once it is mended: troupe retry {}{}\n", run.id.value, flag);
  return text;
}

std::string FormatPlan(const Plan& plan) {
  std::string text =
      fmt::format("\"{}\" {}: {} task{}, {} agent{}. Nothing is run.\n", Escaped(plan.name),
                  Escaped(plan.version), CountTasks(plan), CountTasks(plan) == 1 ? "" : "s",
                  plan.agents.size(), plan.agents.size() == 1 ? "" : "s");
  std::vector<std::vector<std::string>> rows;
  std::size_t place = 0;
  for (std::uint32_t index : StartOrder(plan)) {
    const PlannedTask& task = plan.tasks[index];
    if (task.kind == TaskKind::Parent) continue;
    rows.push_back({fmt::format("{:>4}.", ++place), Escaped(task.id),
                    task.stage == kNone ? "" : "stage " + Escaped(plan.stages[task.stage].name),
                    LoopText(task) + Ladder(plan, task)});
  }
  return text + FormatTable(rows) + HooksText(plan);
}

}  // namespace troupe
