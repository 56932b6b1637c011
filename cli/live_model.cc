// The live block: what runs where and how long, what waits until when.
#include <fmt/format.h>

#include <algorithm>

#include "cli/checkpoint_view.h"
#include "cli/progress.h"
#include "cli/text.h"

namespace troupe {
namespace {

constexpr std::size_t kNameColumns = 28;
constexpr std::size_t kLinesMax = 20;

std::string Paint(const char* code, const std::string& text, bool color) {
  return color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

std::string Padded(const std::string& text, std::size_t columns) {
  const std::string cut = CutToWidth(text, columns);
  return cut + std::string(columns - std::min(columns, WidthOf(cut)), ' ');
}

// A stage's hooks run several times under one name; the stage tells them apart.
std::string KeyOf(const RunEvent& event) { return event.task + "\n" + event.stage; }

// "writer on w2, attempt 2"
std::string WhoOf(const RunEvent& event) {
  std::string who = event.agent.empty() ? event.worker : event.agent + " on " + event.worker;
  if (event.attempt > 1) who += fmt::format(", attempt {}", event.attempt);
  return Escaped(who);
}

}  // namespace

void LiveModel::Start(const std::string& key, std::string name, std::string who, Instant since) {
  Stop(key);
  waiting_.erase(key);
  since_[key] = since;
  running_[{since, key}] = {std::move(name), std::move(who), since};
}

void LiveModel::Stop(const std::string& key) {
  const auto it = since_.find(key);
  if (it == since_.end()) return;
  running_.erase({it->second, key});
  since_.erase(it);
}

LiveModel::Waiting LiveModel::WaitingFor(const RunEvent& event, Instant until) {
  Waiting waiting{.what = "rate limit ends", .until = until};
  if (event.retry > 0) {
    waiting.what = fmt::format("retry {}", event.retry);
    if (event.retries > 0) waiting.what += fmt::format(" of {}", event.retries);
  }
  if (event.failure) waiting.cause = Name(*event.failure);
  if (!event.message.empty()) waiting.cause += ": " + Escaped(event.message);
  return waiting;
}

// What went on without us stands there from the beginning.
void LiveModel::Resume(const Plan& plan, const Checkpoint& checkpoint) {
  tasks_ = checkpoint.run.tasks;
  settled_ = CountSettled(checkpoint);
  for (const TaskView& view : TasksOf(plan, checkpoint)) {
    const TaskRecord* task = view.record;
    const PlannedTask& planned = *view.planned;
    RunEvent event;
    event.task = view.id;
    event.attempt = task->attempts;
    event.worker = task->worker;
    event.failure = task->failure;
    event.message = task->extra->message;
    if (const std::uint32_t agent = AgentAt(planned, *task); agent != kNone) {
      event.agent = plan.agents[agent].name;
    }
    const std::string key = KeyOf(event);
    if (IsOnWorker(*task)) {
      Start(key, Escaped(view.id), WhoOf(event), task->attempt_started);
    } else if (task->state == TaskState::Waiting) {
      const RecoveryRules& rules = *planned.rules;
      event.retry = task->failure == FailureClass::RateLimited ? 0 : task->extra->step_failures;
      event.retries = task->step == 0 ? rules.retry : rules.fallback_retry;
      waiting_[key] = WaitingFor(event, task->due);
    }
    if (!view.runs) continue;
    skipped_ += task->state == TaskState::Skipped ? 1 : 0;
    failed_ += task->state == TaskState::Failed ? 1 : 0;
  }
  for (const HookRecord& hook : checkpoint.hooks) {
    if (hook.state != HookState::Running) continue;
    RunEvent event;
    event.task = HookName(hook);
    event.stage = hook.stage;
    Start(KeyOf(event), "hook " + event.task,
          Escaped(hook.description.empty() ? hook.command : hook.description), hook.started);
  }
}

void LiveModel::On(const RunEvent& event) {
  if (began_ == Instant{}) began_ = event.at;
  using Kind = RunEvent::Kind;
  const std::string key = KeyOf(event);
  switch (event.kind) {
    case Kind::TaskStarted:
      Start(key, Escaped(event.task), WhoOf(event), event.at);
      break;
    case Kind::HookStarted:
      Start(key, "hook " + Escaped(event.task), Escaped(event.message), event.at);
      break;
    case Kind::HookFinished:
    case Kind::TaskFailed:
      Stop(key);
      break;
    case Kind::TaskRetrying:
      Stop(key);
      waiting_[key] = WaitingFor(event, event.at + event.delay.value_or(Duration{}));
      break;
    case Kind::TaskCompleted:
    case Kind::TaskSkipped:
    case Kind::TaskBlocked:
    case Kind::TaskCancelled:
    case Kind::TaskDeadLettered:
      Stop(key);
      waiting_.erase(key);
      skipped_ += event.kind == Kind::TaskSkipped ? 1 : 0;
      failed_ += event.kind == Kind::TaskDeadLettered ? 1 : 0;
      break;
    case Kind::RunPaused:
      paused_ = true;
      break;
    case Kind::RunResumed:
      paused_ = false;
      break;
    case Kind::TaskFallback:
      waiting_.erase(key);
      break;
    case Kind::RunStarted:
    case Kind::StageCompleted:
    case Kind::WorkerJoined:
    case Kind::WorkerLost:
    case Kind::RunFinished:
    case Kind::AgentShut:
      break;
  }
}

void LiveModel::Count(std::uint32_t tasks, std::uint32_t settled) {
  tasks_ = tasks;
  settled_ = settled;
}

std::vector<std::string> LiveModel::Draw(Instant now, std::size_t columns, std::size_t rows,
                                         bool color) const {
  std::string head = fmt::format("[{}/{}] {} running", settled_, tasks_, running_.size());
  if (!waiting_.empty()) head += fmt::format(" · {} waiting", waiting_.size());
  if (skipped_ > 0) head += fmt::format(" · {} skipped", skipped_);
  if (failed_ > 0) head += fmt::format(" · {} failed", failed_);
  if (paused_) head += " · paused";
  head += fmt::format(" · {}", FormatDuration(now - began_));
  std::vector<std::string> lines = {Paint("1", CutToWidth(head, columns), color)};

  // What waits is told in a third of the room at least: it is what people look for.
  const std::size_t room = rows > 3 ? std::min<std::size_t>(rows - 3, kLinesMax) : 0;
  const std::size_t all = running_.size() + waiting_.size();
  const std::size_t shown = all <= room ? all : room > 0 ? room - 1 : 0;
  const std::size_t kept = std::min(waiting_.size(), shown / 3);
  const std::size_t of_running = std::min(running_.size(), shown - kept);
  const std::size_t of_waiting = std::min(waiting_.size(), shown - of_running);
  const std::size_t name_columns = std::min(kNameColumns, columns / 3);
  std::size_t n = 0;
  for (const auto& [key, running] : running_) {
    if (n++ == of_running) break;
    const std::string line = fmt::format("  {} {:>7}  {}", Padded(running.name, name_columns),
                                         FormatDuration(now - running.since), running.who);
    lines.push_back(CutToWidth(line, columns));
  }
  n = 0;
  for (const auto& [key, waiting] : waiting_) {
    if (n++ == of_waiting) break;
    const std::string name = Escaped(key.substr(0, key.find('\n')));
    const std::string line = fmt::format("  {} {:>7}  {} in {}{}{}", Padded(name, name_columns), "",
                                         waiting.what, FormatDuration(waiting.until - now),
                                         waiting.cause.empty() ? "" : ": ", waiting.cause);
    lines.push_back(Paint("33", CutToWidth(line, columns), color));
  }
  if (shown < all && room > 0) {
    lines.push_back(CutToWidth(fmt::format("  … and {} more", all - shown), columns));
  }
  return lines;
}

std::size_t RowsOf(const std::vector<std::size_t>& widths, std::size_t columns) {
  std::size_t rows = 0;
  for (std::size_t width : widths) {
    rows += width == 0 || columns == 0 ? 1 : (width + columns - 1) / columns;
  }
  return rows;
}

}  // namespace troupe
