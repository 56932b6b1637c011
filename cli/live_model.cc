// The live block: what runs where and how long, what waits until when.
#include <fmt/format.h>

#include <algorithm>

#include "cli/progress.h"
#include "cli/text.h"

namespace troupe {
namespace {

constexpr std::size_t kNameColumns = 28;

std::string Paint(const char* code, const std::string& text, bool color) {
  return color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

std::string Padded(const std::string& text, std::size_t columns) {
  const std::string cut = CutToWidth(text, columns);
  return cut + std::string(columns - std::min(columns, WidthOf(cut)), ' ');
}

}  // namespace

void LiveModel::Begin(std::uint32_t tasks, std::uint32_t settled, Instant now) {
  tasks_ = tasks;
  settled_ = settled;
  began_ = now;
}

void LiveModel::On(const RunEvent& event) {
  if (began_ == Instant{}) began_ = event.at;
  using Kind = RunEvent::Kind;
  // A stage's hooks run several times under one name; the stage tells them apart.
  const std::string key = event.task + "\n" + event.stage;
  const auto stop = [&] {
    const auto it = since_.find(key);
    if (it == since_.end()) return;
    running_.erase({it->second, key});
    since_.erase(it);
  };
  const auto start = [&](std::string name, std::string who) {
    stop();
    waiting_.erase(key);
    since_[key] = event.at;
    running_[{event.at, key}] = {std::move(name), std::move(who), event.at};
  };
  switch (event.kind) {
    case Kind::TaskStarted: {
      std::string who = event.agent.empty() ? event.worker : event.agent + " on " + event.worker;
      if (event.attempt > 1) who += fmt::format(", attempt {}", event.attempt);
      start(Escaped(event.task), Escaped(who));
      break;
    }
    case Kind::HookStarted:
      start("hook " + Escaped(event.task), Escaped(event.message));
      break;
    case Kind::HookFinished:
    case Kind::TaskFailed:
      stop();
      break;
    case Kind::TaskRetrying:
      stop();
      waiting_[key] = {fmt::format("retry {}{}: {}", event.retry,
                                   event.retries > 0 ? fmt::format(" of {}", event.retries) : "",
                                   event.failure ? Name(*event.failure) : ""),
                       event.at + event.delay.value_or(Duration{})};
      if (event.retry == 0) waiting_[key].text = "rate limited";
      break;
    case Kind::TaskCompleted:
    case Kind::TaskSkipped:
    case Kind::TaskBlocked:
    case Kind::TaskCancelled:
      stop();
      waiting_.erase(key);
      ++settled_;
      skipped_ += event.kind == Kind::TaskSkipped ? 1 : 0;
      break;
    case Kind::TaskDeadLettered:
      stop();
      ++settled_;
      ++failed_;
      break;
    case Kind::RunPaused:
      paused_ = true;
      break;
    case Kind::RunResumed:
      paused_ = false;
      break;
    case Kind::RunStarted:
    case Kind::TaskFallback:
    case Kind::StageCompleted:
    case Kind::WorkerJoined:
    case Kind::WorkerLost:
    case Kind::RunFinished:
      break;
  }
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

  const std::size_t room = rows > 3 ? std::min<std::size_t>(rows - 3, 20) : 0;
  const std::size_t all = running_.size() + waiting_.size();
  const std::size_t shown = all <= room ? all : room > 0 ? room - 1 : 0;
  for (const auto& [key, running] : running_) {
    if (lines.size() > shown) break;
    const std::string line = fmt::format("  {} {:>7}  {}", Padded(running.name, kNameColumns),
                                         FormatDuration(now - running.since), running.who);
    lines.push_back(CutToWidth(line, columns));
  }
  for (const auto& [key, waiting] : waiting_) {
    if (lines.size() > shown) break;
    const std::string name = Escaped(key.substr(0, key.find('\n')));
    const std::string line = fmt::format("  {} {:>7}  {} in {}", Padded(name, kNameColumns), "",
                                         waiting.text, FormatDuration(waiting.until - now));
    lines.push_back(Paint("33", CutToWidth(line, columns), color));
  }
  if (shown < all) lines.push_back(fmt::format("  … and {} more", all - shown));
  return lines;
}

}  // namespace troupe
