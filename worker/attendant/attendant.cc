#include "worker/attendant/attendant.h"

#include <fmt/format.h>
#include <sys/signalfd.h>
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
          const std::string& cgroup, int signals)
      : spec_(spec),
        directory_(directory),
        started_(started),
        protocol_(MakeProtocol(spec)),
        standard_output_(directory / "stdout", spec.limits.stdout_bytes, spec.limits.truncation,
                         KeepWholeOutput(spec)),
        standard_error_(directory / "stderr", spec.limits.stderr_bytes, spec.limits.truncation,
                        KeepWholeErrors(spec)),
        events_(directory / "events"),
        tree_(spec.token, cgroup),
        signals_(signals) {}

  AttemptOutcome Run();

 private:
  Verdict Execute();
  Verdict Conclude();
  void ApplyStop(Verdict& verdict) const;
  void AddResult(Verdict& verdict) const;
  void PublishOutput(Verdict& verdict);

  const AttemptSpec& spec_;
  const std::filesystem::path& directory_;
  Instant started_;
  std::unique_ptr<AgentProtocol> protocol_;
  StreamCapture standard_output_;
  StreamCapture standard_error_;
  EventLog events_;
  std::optional<OutputFile> output_file_;
  ProcessTree tree_;
  int signals_;
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
  RemovePrivateFiles(directory_);
  return outcome;
}

Verdict Attempt::Execute() {
  if (!spec_.output_path.empty()) {
    output_file_.emplace(InRunDirectory(spec_, spec_.output_path), ToString(spec_.id));
    if (!output_file_->status()) {
      return Failed(FailureClass::Transient, output_file_->status().error().message);
    }
  }
  const Preparation prepared = PrepareLaunch(spec_, directory_, started_);
  if (prepared.failure) return Failed(*prepared.failure, prepared.message);

  OutputFile* const printed = output_file_ && PrintsItsOutput(spec_) ? &*output_file_ : nullptr;
  Supervision supervision(
      spec_, tree_, {*protocol_, standard_output_, standard_error_, printed, events_}, signals_);
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
      ReadWholeFile(ResultFile(directory_), collection ? kCollectionBytesMax : kWholeBytesMax);
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
bool WriteOutcomePatiently(const std::filesystem::path& directory, const AttemptOutcome& outcome,
                           pid_t parent) {
  const auto deadline = std::chrono::steady_clock::now() + kOutcomePatience;
  for (milliseconds pause(100);; pause = std::min(pause * 2, milliseconds(10'000))) {
    if (WriteOutcome(directory, outcome, ::getppid() != parent)) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
  }
}

StartRecord RecordOfThisProcess(const AttemptSpec& spec, Instant started) {
  StartRecord record;
  record.attendant = ::getpid();
  if (const std::optional<Process> self = FindProcess(record.attendant)) {
    record.start_ticks = self->start_ticks;
  }
  record.boot_id = BootId();
  record.started = started;
  record.token = spec.token;
  const char* wanted = std::getenv("TROUPE_CGROUP");
  if (wanted == nullptr || std::string_view(wanted) != "off") {
    record.cgroup =
        CgroupPath(fmt::format("troupe-{}-{}", ToString(spec.id), record.attendant)).string();
  }
  return record;
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

}  // namespace

int AttendAttempt(const std::filesystem::path& given) {
  const pid_t parent = ::getppid();
  std::error_code ignored;
  const std::filesystem::path directory = std::filesystem::absolute(given, ignored);
  // From here on a SIGTERM waits until the attempt can be stopped in order.
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGCHLD, SIG_DFL);
  const Fd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));

  const Result<Fd> lock = LockSpool(directory);
  if (!lock) return lock.error().code == ErrorCode::Locked ? 0 : 1;
  for (const char* name : {"outcome.json", "started.json"}) {
    if (::access((directory / name).c_str(), F_OK) == 0) return 0;
  }
  const Instant started = Now();
  Result<AttemptSpec> spec = ReadSpec(directory);
  if (!spec) {
    const AttemptId id = IdOfDirectory(directory);
    return WriteOutcomePatiently(directory, NotBegun(id, started, spec.error().message), parent)
               ? 0
               : 1;
  }
  spec->limits = Bounded(spec->limits);
  const StartRecord record = RecordOfThisProcess(*spec, started);
  if (Status written = WriteStart(directory, record); !written) {
    const AttemptOutcome outcome = NotBegun(spec->id, started, written.error().message);
    return WriteOutcomePatiently(directory, outcome, parent) ? 0 : 1;
  }
  const AttemptOutcome outcome =
      Attempt(*spec, directory, started, record.cgroup, signal_fd.get()).Run();
  return WriteOutcomePatiently(directory, outcome, parent) ? 0 : 1;
}

}  // namespace troupe
