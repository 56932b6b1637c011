#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/checkpoint_view.h"
#include "cli/text.h"

namespace troupe {
namespace {

constexpr Duration kRedraw = std::chrono::milliseconds(100);
constexpr std::size_t kCauseColumns = 300;
constexpr std::size_t kGroupShown = 3;

bool WantsColor() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) != 0 && (no_color == nullptr || *no_color == '\0') &&
         terminal != nullptr && std::string_view(terminal) != "dumb";
}

// Writes at once and whole; what the terminal does not take is not our problem.
void WriteOut(std::FILE* file, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), file);
  std::fflush(file);
}

std::string HeadingOf(const Plan& plan, RunId run) {
  return Heading(plan.name, run, CountTasks(plan), 0, 0);
}

std::string HeadingOf(const Plan& plan, const Checkpoint& checkpoint) {
  const auto running = std::count_if(checkpoint.tasks.begin(), checkpoint.tasks.end(), IsOnWorker);
  return Heading(plan.name, checkpoint.run.id, checkpoint.run.tasks, CountSettled(checkpoint),
                 static_cast<std::uint32_t>(running));
}

class PlainProgress final : public Progress {
 public:
  explicit PlainProgress(bool color) : lines_(true, color) {}

  void Begin(const Plan& plan, RunId run) override {
    WriteOut(stderr, HeadingOf(plan, run) + "\n");
  }
  void Resume(const Plan& plan, const Checkpoint& checkpoint) override {
    WriteOut(stderr, HeadingOf(plan, checkpoint) + "\n");
  }
  void On(const RunEvent& event) override { lines_.On(event); }
  void Count(std::uint32_t, std::uint32_t) override {}
  void Note(const std::string& text) override {
    lines_.Note(text);
    Close();
  }
  void Tick(Instant) override { Close(); }  // One write for all events of a turn.
  void Close() override {
    if (const std::string text = lines_.Take(); !text.empty()) WriteOut(stderr, text);
  }

 private:
  EventLines lines_;
};

class JsonProgress final : public Progress {
 public:
  void Begin(const Plan&, RunId) override {}
  void Resume(const Plan&, const Checkpoint&) override {}
  void Count(std::uint32_t, std::uint32_t) override {}
  void On(const RunEvent& event) override { pending_ += ToJson(event) + "\n"; }
  void Note(const std::string& text) override { WriteOut(stderr, text + "\n"); }
  void Tick(Instant) override { Close(); }
  void Close() override {
    if (!pending_.empty()) WriteOut(stdout, std::exchange(pending_, ""));
  }

 private:
  std::string pending_;
};

class LiveProgress final : public Progress {
 public:
  explicit LiveProgress(bool color) : color_(color), lines_(false, color) {}
  ~LiveProgress() override { Close(); }

  void Begin(const Plan& plan, RunId run) override {
    lines_.Note(HeadingOf(plan, run));
    model_.Count(CountTasks(plan), 0);
  }
  void Resume(const Plan& plan, const Checkpoint& checkpoint) override {
    lines_.Note(HeadingOf(plan, checkpoint));
    model_.Resume(plan, checkpoint);
  }
  void On(const RunEvent& event) override {
    model_.On(event);
    lines_.On(event);
  }
  void Count(std::uint32_t tasks, std::uint32_t settled) override { model_.Count(tasks, settled); }
  void Note(const std::string& text) override { lines_.Note(text); }

  void Tick(Instant now) override {
    if (now < drawn_at_ + kRedraw) return;
    drawn_at_ = now;
    const auto [columns, rows] = Size();
    std::string out = GoToTop(columns);
    if (const std::string text = lines_.Take(); !text.empty()) out += "\x1b[J" + text;
    const std::vector<std::string> lines = model_.Draw(now, columns - 1, rows, color_);
    drawn_.clear();
    for (const std::string& line : lines) {
      out += line + "\x1b[K\n";
      drawn_.push_back(std::min(WidthOf(WithoutColor(line)), columns - 1));
    }
    WriteOut(stderr, out + "\x1b[J");
  }
  void Close() override {
    if (std::exchange(closed_, true)) return;
    WriteOut(stderr, GoToTop(Size().first) + "\x1b[J" + lines_.Take());
  }

 private:
  static std::pair<std::size_t, std::size_t> Size() {
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? std::pair<std::size_t, std::size_t>(size.ws_col, size.ws_row)
                 : std::pair<std::size_t, std::size_t>(80, 24);
  }
  // To the first column of the first line of the block; a terminal that has become narrower has
  // broken its lines.
  std::string GoToTop(std::size_t columns) const {
    const std::size_t rows = RowsOf(drawn_, columns);
    return rows == 0 ? "\r" : fmt::format("\r\x1b[{}A", rows);
  }
  static std::string WithoutColor(const std::string& line) {
    std::string bare;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '\x1b')
        i = line.find('m', i);
      else
        bare += line[i];
    }
    return bare;
  }

  bool color_;
  bool closed_ = false;
  LiveModel model_;
  EventLines lines_;
  std::vector<std::size_t> drawn_;  // Widths of the lines that stand there.
  Instant drawn_at_{};
};

// "(writer on w1, attempt 2)"
std::string Who(const RunEvent& event) {
  std::string who = event.agent;
  if (event.attempt > 1) {
    who += fmt::format("{}attempt {}", who.empty() ? "" : ", ", event.attempt);
  }
  return who.empty() ? "" : fmt::format(" ({})", Escaped(who));
}

std::string Cause(const RunEvent& event) {
  std::string message = CutToWidth(Escaped(event.message), kCauseColumns);
  if (!event.failure) return message;
  return fmt::format("{}{}{}", Name(*event.failure), message.empty() ? "" : ": ", message);
}

}  // namespace

std::string Heading(const std::string& workflow, RunId run, std::uint32_t tasks,
                    std::uint32_t settled, std::uint32_t running) {
  std::string line = fmt::format("run {} of \"{}\": {} task{}", run.value, Escaped(workflow), tasks,
                                 tasks == 1 ? "" : "s");
  if (settled > 0) line += fmt::format(", {} of them settled before", settled);
  if (running > 0) {
    line += fmt::format(", {} attempt{} taken over", running, running == 1 ? "" : "s");
  }
  return line;
}

void EventLines::On(const RunEvent& event) {
  if (began_ == Instant{}) began_ = event.at;
  using Kind = RunEvent::Kind;
  if (event.kind != group_) CloseGroup();
  now_ = event.at;
  if (event.kind == Kind::TaskBlocked || event.kind == Kind::TaskCancelled) {
    group_ = event.kind;
    if (++in_group_ > kGroupShown) return;
  }
  if (const std::string line = DescribeEvent(event, color_); !line.empty()) Add(line);
}

void EventLines::Note(const std::string& text) {
  CloseGroup();
  lines_ += text + "\n";
}

std::string EventLines::Take() {
  CloseGroup();
  return std::exchange(lines_, "");
}

void EventLines::Add(const std::string& line) {
  if (timed_) lines_ += fmt::format("{:>8} ", FormatDuration(now_ - began_));
  lines_ += line + "\n";
}

void EventLines::CloseGroup() {
  const std::size_t more = in_group_ > kGroupShown ? in_group_ - kGroupShown : 0;
  in_group_ = 0;
  if (more == 0) return;
  RunEvent rest;
  rest.kind = group_;
  rest.task = fmt::format("… and {} more", more);
  Add(DescribeEvent(rest, color_));
}

std::string DescribeEvent(const RunEvent& event, bool color) {
  using Kind = RunEvent::Kind;
  const auto line = [&](const char* code, const char* word, const std::string& rest) {
    const std::string padded = fmt::format("{:<10}", word);
    return (color ? fmt::format("\x1b[{}m{}\x1b[0m", code, padded) : padded) + rest;
  };
  const std::string task = Escaped(event.task);
  switch (event.kind) {
    case Kind::TaskCompleted:
      return line(
          "32", "completed",
          fmt::format("{}  {}{}{}{}", task, FormatDuration(event.duration.value_or(Duration{})),
                      Who(event), event.message.empty() ? "" : ": ",
                      CutToWidth(Escaped(event.message), kCauseColumns)));
    case Kind::TaskFailed:
      return line("31", "failed", fmt::format("{}{}  {}", task, Who(event), Cause(event)));
    case Kind::TaskRetrying:
      if (event.retry == 0) {
        return line("33", "waits",
                    fmt::format("{}  rate limited for {}", task,
                                FormatDuration(event.delay.value_or(Duration{}))));
      }
      return line("33", "retry",
                  fmt::format("{}  {} of {} in {}", task, event.retry, event.retries,
                              FormatDuration(event.delay.value_or(Duration{}))));
    case Kind::TaskFallback:
      return line(
          "33", "fallback",
          fmt::format("{}  to {}{}", task, Escaped(event.agent),
                      event.failure ? fmt::format(", after {}", Name(*event.failure)) : ""));
    case Kind::TaskSkipped:
      return line("33", "skipped", fmt::format("{}  {}", task, Cause(event)));
    case Kind::TaskBlocked:
      return line("31", "blocked", task);
    case Kind::TaskCancelled:
      return line("31", "cancelled", task);
    case Kind::TaskDeadLettered:
      return line("1;31", "given up", fmt::format("{}  {}", task, Cause(event)));
    case Kind::StageCompleted:
      return line("36", "stage", fmt::format("{} is complete", Escaped(event.stage)));
    case Kind::HookFinished:
      if (event.status == "succeeded") {
        return line(
            "36", "hook",
            fmt::format("{}{}  {}", task, event.stage.empty() ? "" : " of " + Escaped(event.stage),
                        FormatDuration(event.duration.value_or(Duration{}))));
      }
      return line("31", "hook",
                  fmt::format("{} {}  {}", task, event.status, Escaped(event.message)));
    case Kind::WorkerLost:
      return line("31", "worker", fmt::format("{} is lost", Escaped(event.worker)));
    case Kind::AgentShut:
      return line("33", "shut",
                  fmt::format("agent {} for {}: {}", Escaped(event.agent),
                              FormatDuration(event.delay.value_or(Duration{})), Cause(event)));
    case Kind::RunPaused:
      return line("33", "paused", "nothing new starts");
    case Kind::RunStarted:
    case Kind::RunResumed:
    case Kind::HookStarted:
    case Kind::TaskStarted:
    case Kind::WorkerJoined:
    case Kind::RunFinished:
      return "";
  }
  return "";
}

std::string ToJson(const RunEvent& event) {
  nlohmann::ordered_json json;
  json["event"] = Name(event.kind);
  json["at"] = FormatInstant(event.at);
  const auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  if (event.run != RunId{}) json["run"] = event.run.value;
  text("task", event.task);
  if (event.attempt > 0) json["attempt"] = event.attempt;
  text("agent", event.agent);
  text("worker", event.worker);
  text("stage", event.stage);
  const auto milliseconds = [](Duration d) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  };
  if (event.duration) json["duration_ms"] = milliseconds(*event.duration);
  if (event.failure) json["class"] = Name(*event.failure);
  text("message", event.message);
  if (event.delay) json["delay_ms"] = milliseconds(*event.delay);
  if (event.retry > 0) json["retry"] = event.retry;
  if (event.retries > 0) json["retries"] = event.retries;
  text("status", event.status);
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ProgressStyle DetectStyle() {
  const char* terminal = std::getenv("TERM");
  const bool drawable = isatty(STDERR_FILENO) != 0 && terminal != nullptr &&
                        std::string_view(terminal) != "dumb" && *terminal != '\0';
  return drawable ? ProgressStyle::Live : ProgressStyle::Plain;
}

std::unique_ptr<Progress> MakeProgress(ProgressStyle style) {
  switch (style) {
    case ProgressStyle::Live:
      return std::make_unique<LiveProgress>(WantsColor());
    case ProgressStyle::Json:
      return std::make_unique<JsonProgress>();
    case ProgressStyle::Plain:
      break;
  }
  return std::make_unique<PlainProgress>(WantsColor());
}

}  // namespace troupe
