#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/text.h"

namespace troupe {
namespace {

constexpr Duration kRedraw = std::chrono::milliseconds(100);

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

std::string Heading(const Plan& plan, RunId run, std::uint32_t settled) {
  std::string line = fmt::format("run {} of \"{}\": {} task{}", run.value, Escaped(plan.name),
                                 plan.tasks.size(), plan.tasks.size() == 1 ? "" : "s");
  if (settled > 0) line += fmt::format(", {} of them settled before", settled);
  return line + "\n";
}

class PlainProgress final : public Progress {
 public:
  explicit PlainProgress(bool color) : color_(color) {}

  void Begin(const Plan& plan, RunId run, std::uint32_t settled) override {
    WriteOut(stderr, Heading(plan, run, settled));
  }
  void On(const RunEvent& event) override {
    if (began_ == Instant{}) began_ = event.at;
    const std::string line = DescribeEvent(event, color_);
    if (line.empty()) return;
    pending_ += fmt::format("{:>8} {}\n", FormatDuration(event.at - began_), line);
  }
  void Note(const std::string& text) override {
    pending_ += text + "\n";
    Close();
  }
  void Tick(Instant) override { Close(); }  // One write for all events of a turn.
  void Close() override {
    if (!pending_.empty()) WriteOut(stderr, std::exchange(pending_, ""));
  }

 private:
  std::string pending_;
  bool color_;
  Instant began_{};
};

class JsonProgress final : public Progress {
 public:
  void Begin(const Plan&, RunId, std::uint32_t) override {}
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
  explicit LiveProgress(bool color) : color_(color) {}
  ~LiveProgress() override { Close(); }

  void Begin(const Plan& plan, RunId run, std::uint32_t settled) override {
    pending_ += Heading(plan, run, settled);
    tasks_ = static_cast<std::uint32_t>(plan.tasks.size());
    model_.Begin(tasks_, settled, Instant{});
  }
  void On(const RunEvent& event) override {
    model_.On(event);
    const std::string line = DescribeEvent(event, color_);
    if (!line.empty()) pending_ += line + "\n";
  }
  void Note(const std::string& text) override { pending_ += text + "\n"; }

  void Tick(Instant now) override {
    if (now < drawn_at_ + kRedraw) return;
    drawn_at_ = now;
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    const std::size_t columns = known ? size.ws_col : 80u;
    const std::size_t rows = known ? size.ws_row : 24u;
    std::string out = TakeOff();
    out += std::exchange(pending_, "");
    out += "\x1b[?25l";
    const std::vector<std::string> lines = model_.Draw(now, columns - 1, rows, color_);
    for (const std::string& line : lines) out += line + "\n";
    drawn_ = lines.size();
    WriteOut(stderr, out);
  }
  void Close() override {
    if (closed_) return;
    closed_ = true;
    WriteOut(stderr, TakeOff() + std::exchange(pending_, "") + "\x1b[?25h");
  }

 private:
  // Back to the first line of the block, and clear from there.
  std::string TakeOff() {
    const std::size_t lines = std::exchange(drawn_, 0);
    return lines == 0 ? "" : fmt::format("\x1b[{}A\x1b[J", lines);
  }

  bool color_;
  bool closed_ = false;
  LiveModel model_;
  std::uint32_t tasks_ = 0;
  std::string pending_;
  std::size_t drawn_ = 0;
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
  if (!event.failure) return Escaped(event.message);
  return fmt::format("{}{}{}", Name(*event.failure), event.message.empty() ? "" : ": ",
                     Escaped(event.message));
}

}  // namespace

std::string DescribeEvent(const RunEvent& event, bool color) {
  using Kind = RunEvent::Kind;
  const auto line = [&](const char* code, const char* word, const std::string& rest) {
    const std::string padded = fmt::format("{:<10}", word);
    return (color ? fmt::format("\x1b[{}m{}\x1b[0m", code, padded) : padded) + rest;
  };
  const std::string task = Escaped(event.task);
  switch (event.kind) {
    case Kind::TaskCompleted:
      return line("32", "completed",
                  fmt::format("{}  {}{}", task, FormatDuration(event.duration.value_or(Duration{})),
                              Who(event)));
    case Kind::TaskFailed:
      return line("31", "failed", fmt::format("{}{}  {}", task, Who(event), Cause(event)));
    case Kind::TaskRetrying:
      if (event.retry == 0) {
        return line("33", "waits",
                    fmt::format("{}  rate limited for {}", task, FormatDuration(*event.delay)));
      }
      return line("33", "retry",
                  fmt::format("{}  {} of {} in {}", task, event.retry, event.retries,
                              FormatDuration(event.delay.value_or(Duration{}))));
    case Kind::TaskFallback:
      return line("33", "fallback", fmt::format("{}  to {}", task, Escaped(event.agent)));
    case Kind::TaskSkipped:
      return line("33", "skipped", fmt::format("{}  {}", task, Escaped(event.message)));
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
