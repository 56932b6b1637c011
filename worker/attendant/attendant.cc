#include "worker/attendant/attendant.h"

#include <fmt/format.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "worker/attendant/claude_protocol.h"
#include "worker/attendant/collection.h"
#include "worker/attendant/collection_protocol.h"
#include "worker/attendant/command_protocol.h"
#include "worker/attendant/json_result.h"
#include "worker/attendant/launch.h"
#include "worker/attendant/orders.h"
#include "worker/attendant/private_files.h"
#include "worker/attendant/process_table.h"
#include "worker/attendant/spool.h"
#include "worker/attendant/spool_record.h"
#include "worker/attendant/supervision.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;

constexpr Duration kOutcomePatience = std::chrono::minutes(10);
constexpr std::size_t kMessageBytesMax = 4096;

Instant Now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

std::string OneLine(std::string_view text) {
  std::string line(Front(text, kMessageBytesMax));
  line.resize(line.find_last_not_of(" \r\n\t") + 1);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return ValidUtf8(line);
}

std::unique_ptr<AgentProtocol> MakeProtocol(const AttemptSpec& spec) {
  if (spec.kind == RunnerKind::Claude) return std::make_unique<ClaudeProtocol>();
  if (spec.kind == RunnerKind::Collection) return std::make_unique<CollectionProtocol>();
  const bool agent = spec.kind == RunnerKind::AgentCommand;
  return std::make_unique<CommandProtocol>(spec.kind, agent ? spec.result_mode : ResultMode::Text);
}

// Standard output is the output itself, not a language in which a result is told.
bool PrintsItsOutput(const AttemptSpec& spec) {
  if (spec.kind == RunnerKind::Claude || spec.kind == RunnerKind::Collection) return false;
  return spec.kind != RunnerKind::AgentCommand || spec.result_mode == ResultMode::Text;
}

KeepWhole KeepWholeOutput(const AttemptSpec& spec) {
  if (spec.kind == RunnerKind::AgentCommand && spec.result_mode == ResultMode::Json) {
    return KeepWhole::Always;
  }
  return PrintsItsOutput(spec) && spec.capture_stdout ? KeepWhole::IfItMayBeJson : KeepWhole::Never;
}

KeepWhole KeepWholeErrors(const AttemptSpec& spec) {
  if (!PrintsItsOutput(spec) || !spec.capture_stderr) return KeepWhole::Never;
  return spec.capture_stdout ? KeepWhole::Always : KeepWhole::IfItMayBeJson;
}

// The output as it was before it is cut; none if it was too long to keep, or cannot be JSON.
std::optional<std::string> WholeOutput(const AttemptSpec& spec, const Verdict& verdict,
                                       const StreamCapture& standard_output,
                                       const StreamCapture& standard_error) {
  if (verdict.text) return verdict.text;
  std::string whole;
  const auto add = [&](const StreamCapture& stream) {
    if (stream.whole()) whole += *stream.whole();
    return stream.whole().has_value();
  };
  if (spec.capture_stdout && !add(standard_output)) return std::nullopt;
  if (spec.capture_stderr && !add(standard_error)) return std::nullopt;
  return whole;
}

// One attempt that has the lock and a spec.
class Attempt {
 public:
  Attempt(const AttemptSpec& spec, const std::filesystem::path& directory, Instant started,
          PrivateFiles& files, const Cgroup& cgroup, Stops stops)
      : spec_(spec),
        started_(started),
        files_(files),
        protocol_(MakeProtocol(spec)),
        standard_output_(directory / "stdout", spec.limits.stdout_bytes, spec.limits.truncation,
                         KeepWholeOutput(spec)),
        standard_error_(directory / "stderr", spec.limits.stderr_bytes, spec.limits.truncation,
                        KeepWholeErrors(spec)),
        events_(directory / "events"),
        tree_(spec.token, cgroup),
        stops_(stops) {}

  AttemptOutcome Run();

 private:
  Verdict Execute();
  Verdict Conclude();
  void ApplyStop(Verdict& verdict) const;
  void AddResult(Verdict& verdict) const;
  void PublishOutput(Verdict& verdict);

  const AttemptSpec& spec_;
  Instant started_;
  PrivateFiles& files_;
  std::unique_ptr<AgentProtocol> protocol_;
  StreamCapture standard_output_;
  StreamCapture standard_error_;
  EventLog events_;
  std::optional<OutputFile> output_file_;
  ProcessTree tree_;
  Stops stops_;
  StopReason stop_reason_ = StopReason::None;
};

Verdict Failed(FailureClass failure, std::string message) {
  Verdict verdict;
  verdict.failure = failure;
  verdict.message = std::move(message);
  return verdict;
}

AttemptOutcome Attempt::Run() {
  const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  Verdict verdict = Execute();
  const CutOutput cut = CutToLimits(spec_, verdict.text, standard_output_, standard_error_);
  AttemptOutcome outcome;
  outcome.id = spec_.id;
  outcome.failure = verdict.failure;
  outcome.message = OneLine(verdict.message);
  outcome.output = cut.output;
  outcome.error_output = cut.error_output;
  outcome.result_json = std::move(verdict.result_json);
  outcome.started = started_;
  outcome.ended =
      started_ + std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - start);
  if (tree_.end()) {
    outcome.exit_code = tree_.end()->exit_code;
    outcome.signal = tree_.end()->signal;
  }
  outcome.retry_after = verdict.retry_after;
  outcome.usage = verdict.usage;
  outcome.session = ValidUtf8(verdict.session);
  outcome.denied_tools = std::move(verdict.denied_tools);
  outcome.events = events_.tail();
  output_file_.reset();
  files_.Clear();
  return outcome;
}

Verdict Attempt::Execute() {
  if (!spec_.output_path.empty()) {
    output_file_.emplace(InRunDirectory(spec_, spec_.output_path), ToString(spec_.id));
    if (!output_file_->status()) {
      return Failed(FailureClass::Transient, output_file_->status().error().message);
    }
  }
  const Preparation prepared = PrepareLaunch(spec_, files_, started_);
  if (prepared.failure) return Failed(*prepared.failure, prepared.message);

  OutputFile* const printed = output_file_ && PrintsItsOutput(spec_) ? &*output_file_ : nullptr;
  Supervision supervision(
      spec_, tree_, {*protocol_, standard_output_, standard_error_, printed, events_}, stops_);
  if (supervision.StoppedEarly()) return Failed(FailureClass::Cancelled, "stopped");
  Result<Pipes> pipes = tree_.Start(prepared.launch);
  if (!pipes) {
    const bool invalid = pipes.error().code == ErrorCode::Invalid;
    return Failed(invalid ? FailureClass::InvalidRequest : FailureClass::SpawnFailed,
                  pipes.error().message);
  }
  const std::string no_input;
  supervision.Run(std::move(*pipes), prepared.launch.standard_input.value_or(no_input));
  stop_reason_ = supervision.stop_reason();
  return Conclude();
}

Verdict Attempt::Conclude() {
  standard_output_.Finish();
  standard_error_.Finish();
  Ending ending;
  if (tree_.end()) ending.process = *tree_.end();
  ending.standard_output = standard_output_.whole();
  ending.last_error_line = standard_error_.last_line();
  const bool collection = spec_.kind == RunnerKind::Collection;
  Result<std::string> file =
      ReadWholeFile(ResultFile(files_.path()), collection ? kCollectionBytesMax : kWholeBytesMax);
  if (file && !file->empty()) ending.result_file = *file;
  if (!file && file.error().code != ErrorCode::NotFound) {
    ending.result_file_problem = "the result file cannot be used: " + file.error().message;
  }
  ending.now = Now();

  Verdict verdict = protocol_->Conclude(ending);
  if (verdict.text) verdict.text = ValidUtf8(*verdict.text);
  ApplyStop(verdict);
  AddResult(verdict);
  PublishOutput(verdict);
  return verdict;
}

// We stopped it: that is why it failed, unless it had succeeded before.
void Attempt::ApplyStop(Verdict& verdict) const {
  const bool succeeded = protocol_->Finished() && !verdict.failure;
  if (succeeded) return;
  switch (stop_reason_) {
    case StopReason::None:
    case StopReason::Finished:
      return;
    case StopReason::Cancelled:
      verdict.failure = FailureClass::Cancelled;
      verdict.message = "stopped";
      return;
    case StopReason::TimedOut:
      verdict.failure = FailureClass::Timeout;
      verdict.message = fmt::format("not done after {} s", ToSeconds(spec_.timeout));
      return;
    case StopReason::Silent:
      verdict.failure = FailureClass::Timeout;
      verdict.message = fmt::format("silent for {} s", ToSeconds(spec_.silence));
      return;
  }
}

void Attempt::AddResult(Verdict& verdict) const {
  if (spec_.kind == RunnerKind::Collection) return;
  if (verdict.result_json.empty() && spec_.kind != RunnerKind::Hook) {
    const std::optional<std::string> whole =
        WholeOutput(spec_, verdict, standard_output_, standard_error_);
    if (whole) verdict.result_json = JsonObjectOrList(*whole);
  }
  if (verdict.result_json.size() <= kResultBytesMax) return;
  if (!verdict.failure) {
    verdict.failure = FailureClass::SchemaFailed;
    verdict.message = fmt::format("the structured result has {} bytes, more than {}",
                                  verdict.result_json.size(), kResultBytesMax);
  }
  verdict.result_json.clear();
}

void Attempt::PublishOutput(Verdict& verdict) {
  if (!output_file_ || verdict.failure) return;
  if (verdict.text) output_file_->Replace(*verdict.text);
  const Status published = output_file_->Publish();
  if (published) return;
  verdict.failure = FailureClass::Transient;
  verdict.message = published.error().message;
}

// A disk that is full may be emptied: as long as we hold the lock, the outcome is not lost. Without
// `parent`, the daemon, there is nobody who would deliver the outcome or sync it.
bool WriteOutcomePatiently(AttemptFile& file, const AttemptOutcome& outcome, pid_t parent) {
  const auto deadline = std::chrono::steady_clock::now() + kOutcomePatience;
  const std::string text = ToJson(outcome);
  for (milliseconds pause(100);; pause = std::min(pause * 2, milliseconds(10'000))) {
    Status written = file.Append("outcome", text);
    if (written && ::getppid() != parent) written = file.Sync();
    if (written) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
  }
}

Process ThisProcess() { return FindProcess(::getpid()).value_or(Process{.pid = ::getpid()}); }

std::filesystem::path CgroupOf(const Process& process) {
  const char* wanted = std::getenv("TROUPE_CGROUP");
  if (wanted != nullptr && std::string_view(wanted) == "off") return {};
  return CgroupPath(fmt::format("troupe-{}-{}", process.pid, process.start_ticks));
}

// What happens to an attempt whose order cannot even be read or recorded.
AttemptOutcome NotBegun(const AttemptId& id, Instant started, const std::string& why) {
  AttemptOutcome outcome;
  outcome.id = id;
  outcome.failure = FailureClass::SpawnFailed;
  outcome.message = OneLine(why);
  outcome.started = started;
  outcome.ended = Now();
  return outcome;
}

// SIGTERM and SIGCHLD, which from here on wait until they are read.
Fd TakeSignals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGCHLD, SIG_DFL);
  return Fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

// This process, with what it needs for any attempt.
class Attendant {
 public:
  Attendant(const std::filesystem::path& root, int socket)
      : files_(root, self_), cgroup_path_(CgroupOf(self_)), orders_(socket) {}
  ~Attendant() { cgroup_.Remove(); }
  Attendant(const Attendant&) = delete;
  Attendant& operator=(const Attendant&) = delete;

  // As AttendAttempt().
  int Attend(const std::string& directory);
  Orders& orders() { return orders_; }
  int signals() const { return signals_.get(); }

 private:
  StartRecord RecordOf(const AttemptSpec& spec, Instant started) const;

  const pid_t parent_ = ::getppid();
  const Fd signals_ = TakeSignals();
  const Process self_ = ThisProcess();
  PrivateFiles files_;
  std::filesystem::path cgroup_path_;
  Cgroup cgroup_;
  Orders orders_;
};

StartRecord Attendant::RecordOf(const AttemptSpec& spec, Instant started) const {
  return {.attendant = self_.pid,
          .start_ticks = self_.start_ticks,
          .boot_id = BootId(),
          .started = started,
          .token = spec.token,
          .cgroup = cgroup_path_.string(),
          .private_files = files_.path().string()};
}

int Attendant::Attend(const std::string& directory) {
  Result<AttemptFile> file = AttemptFile::Lock(directory);
  if (!file) return file.error().code == ErrorCode::Locked ? 0 : 1;
  if (file->Line("start") || file->Line("outcome")) return 0;
  const Instant started = Now();
  const auto end = [&](const AttemptOutcome& outcome) {
    return WriteOutcomePatiently(*file, outcome, parent_) ? 0 : 1;
  };
  Result<AttemptSpec> spec = SpecFromJson(file->Line("spec").value_or(""));
  if (!spec) return end(NotBegun(IdOfDirectory(directory), started, spec.error().message));
  spec->limits = Bounded(spec->limits);
  if (Status written = file->Append("start", ToJson(RecordOf(*spec, started))); !written) {
    return end(NotBegun(spec->id, started, written.error().message));
  }
  if (!cgroup_.made()) cgroup_ = Cgroup::Make(cgroup_path_);
  // In an expression of its own: its end, too, comes before the outcome.
  const AttemptOutcome outcome =
      Attempt(*spec, directory, started, files_, cgroup_, {signals_.get(), orders_, directory})
          .Run();
  return end(outcome);
}

// A child that is left can only be one that the kernel holds.
bool HasChildren() { return ::waitpid(-1, nullptr, WNOHANG) >= 0; }

// For `ps`. What does not fit is left out in front, where it says least.
void Rename(std::span<char> title, std::string_view name) {
  if (title.empty()) return;
  name.remove_prefix(name.size() - std::min(name.size(), title.size() - 1));
  std::fill(std::copy(name.begin(), name.end(), title.begin()), title.end(), '\0');
}

}  // namespace

int AttendAttempt(const std::filesystem::path& given) {
  std::error_code ignored;
  const std::filesystem::path directory = std::filesystem::absolute(given, ignored);
  return Attendant(directory.parent_path(), -1).Attend(directory.string());
}

int AttendOrders(const std::filesystem::path& root, int socket, std::span<char> title) {
  Attendant attendant(root, socket);
  while (const std::optional<std::string> directory =
             attendant.orders().Next(attendant.signals())) {
    Rename(title, *directory);
    const int status = attendant.Attend(*directory);
    if (status != 0 || HasChildren()) return status;  // The daemon sees that by our end.
    Rename(title, "");
    attendant.orders().Ended(*directory);
  }
  return 0;
}

}  // namespace troupe
