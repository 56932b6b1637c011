#include "worker/worker_daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
#include <random>

#include "base/clock.h"
#include "base/pidfd.h"
#include "protocol/access.h"
#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/zmq_endpoint.h"
#include "worker/attendant/collection.h"
#include "worker/attendant/spool.h"
#include "worker/attendant_pool.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr Duration kWaitMax = std::chrono::seconds(1);
constexpr std::size_t kOutputBytes = 256u << 10;  // In one message.
constexpr std::size_t kUnsaidMax = 1'000;
constexpr Duration kLastWords = std::chrono::milliseconds(300);
constexpr Duration kIdleMax = std::chrono::seconds(10);  // Of an attendant.
constexpr Duration kLookAgain = std::chrono::milliseconds(20);
static_assert(kCollectionBytesMax <= kOutcomeBytesMax);
// Behind others of up to 8 MiB, and with its other fields.
static_assert(kOutcomeBytesMax + (16u << 20) <= kFrameBytesMax);

// An attempt under an attendant. `fd` is readable when that may have ended it: of an attendant of
// the pool, or the pidfd of one that another daemon has started. -1: its pid was not known yet;
// look again.
struct Watched {
  int fd = -1;
  bool ours = false;  // Of the pool.
  bool stop = false;  // Was ordered before its pid was known.
};

int PidfdOf(const SpoolState& running) {
  return running.attendant > 0 ? OpenPidfd(running.attendant) : -1;
}

std::uint64_t RandomNumber() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

// The spool's own number, drawn when it was made; kept in its lock file.
std::uint64_t SpoolIdentity(int lock) {
  std::uint64_t identity = 0;
  if (pread(lock, &identity, sizeof identity, 0) == sizeof identity && identity != 0) {
    return identity;
  }
  identity = RandomNumber() | 1;
  if (pwrite(lock, &identity, sizeof identity, 0) != sizeof identity) return 0;
  return identity;
}

// How often a daemon has started on the spool, this time included; kept behind its number.
std::uint64_t NextIncarnation(int lock) {
  std::uint64_t starts = 0;
  if (pread(lock, &starts, sizeof starts, sizeof starts) != sizeof starts) starts = 0;
  ++starts;
  return pwrite(lock, &starts, sizeof starts, sizeof starts) == sizeof starts ? starts : 0;
}

// What the last welcome said of the lease and the window, so that a daemon that starts while there
// is no coordinator goes by them; kept behind the count of starts.
constexpr off_t kFenceOffset = 16;

struct Fence {
  std::int64_t lease = 0;
  std::int64_t window = 0;
  bool operator==(const Fence&) const = default;
};

std::optional<Fence> SavedFence(int lock) {
  Fence fence;
  const bool read = pread(lock, &fence, sizeof fence, kFenceOffset) == sizeof fence;
  if (!read || fence.lease <= 0 || fence.window < 0) return std::nullopt;
  return fence;
}

class WorkerDaemon {
 public:
  WorkerDaemon(const WorkerDaemonOptions& options, DealerEndpoint endpoint, int signals, int lock)
      : options_(options),
        endpoint_(std::move(endpoint)),
        core_(options.worker),
        attendants_(options.attendant, fs::absolute(options.spool)),
        signals_(signals),
        lock_(lock),
        fence_(FenceNow()) {}

  Status Run();

 private:
  Status Begin();
  void CarryOut(WorkerEffects& effects);
  void Start(const std::vector<AttemptSpec>& specs);
  void Mimic(const AttemptSpec& spec);
  void StopAttempt(const AttemptId& id);
  std::string DirectoryOf(const AttemptId& id) const {
    return SpoolDirectory(options_.spool, id).string();
  }
  void Watch(const AttemptId& id, int fd, bool ours);
  void LookAt(const AttemptId& id);
  void Send(const ToCoordinator& message);
  void SendOutput(const ReadOutput& read);
  void Flush();
  void Fail(const AttemptId& id, FailureClass failure, const std::string& message);
  bool TakeSignals(WorkerEffects& effects);
  void TellStatus();
  void SyncOutcomes(Duration older_than);
  Fence FenceNow() const { return {core_.lease().count(), core_.window().count()}; }
  void KeepFence();

  const WorkerDaemonOptions& options_;
  DealerEndpoint endpoint_;
  WorkerCore core_;
  AttendantPool attendants_;
  int signals_;
  int lock_;
  Fence fence_;  // As it is in the lock file.
  Clock clock_;
  std::map<AttemptId, Watched> watched_;
  std::map<AttemptId, Instant> unsynced_;  // Outcomes that nobody has made durable, since when.
  Instant wake_at_ = kNever;
  std::string refused_ = "";
  Instant leave_at_ = kNever;  // Told to leave: what was just delivered may still be acknowledged.
  std::deque<std::string> unsaid_;  // While there is no connection. The core repeats what matters.
};

void WorkerDaemon::Watch(const AttemptId& id, int fd, bool ours) {
  Watched& w = watched_[id];
  w.fd = fd;
  w.ours = ours;
  if (w.stop) StopAttempt(id);
}

Status WorkerDaemon::Begin() {
  std::vector<AttemptId> running;
  std::vector<AttemptOutcome> ended;
  const Result<std::vector<AttemptId>> ids = ListSpool(options_.spool);
  if (!ids) return ids.error();
  for (const AttemptId& id : *ids) {
    Result<SpoolState> state = InspectSpool(DirectoryOf(id));
    if (!state || state->running) {  // Without a state it is not known to be none: look again.
      running.push_back(id);
      Watch(id, state ? PidfdOf(*state) : -1, false);
    } else if (state->outcome) {
      unsynced_[id] = clock_.Now();
      ended.push_back(*std::move(state->outcome));
    }
  }
  spdlog::info("worker {} starts: {} slots, {} attempts go on, {} outcomes to deliver",
               options_.worker.name, options_.worker.slots, running.size(), ended.size());
  WorkerEffects effects;
  core_.Begin(running, std::move(ended), clock_.Now(), effects);
  CarryOut(effects);
  return {};
}

// Reports an attempt of which the spool says nothing.
void WorkerDaemon::Fail(const AttemptId& id, FailureClass failure, const std::string& message) {
  AttemptOutcome outcome;
  outcome.id = id;
  outcome.failure = failure;
  outcome.message = message;
  outcome.started = outcome.ended = clock_.Now();
  core_.OnAttemptEnded(std::move(outcome), clock_.Now());
}

void WorkerDaemon::Start(const std::vector<AttemptSpec>& specs) {
  for (const AttemptSpec& spec : specs) {
    if (Status done = WriteSpec(options_.spool, spec); !done) {
      Fail(spec.id, FailureClass::Transient, done.error().message);
      continue;
    }
    const Result<int> attendant = attendants_.Attend(DirectoryOf(spec.id));
    if (attendant) {
      Watch(spec.id, *attendant, true);
    } else {
      Fail(spec.id, FailureClass::Transient, attendant.error().message);
    }
  }
}

// The output file of a mock attempt, like that of any other: whole, then renamed.
void WorkerDaemon::Mimic(const AttemptSpec& spec) {
  const Instant now = clock_.Now();
  AttemptOutcome outcome = MockOutcome(spec, now - spec.mock.sleep, now);
  const fs::path path = fs::path(spec.run_dir) / spec.output_path;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  const fs::path draft = path.string() + ".troupe-" + ToString(spec.id);
  {
    std::ofstream file(draft, std::ios::binary | std::ios::trunc);
    file << spec.mock.output;
    file.close();
    if (!file) error = std::make_error_code(std::errc::io_error);
  }
  if (!error) fs::rename(draft, path, error);
  if (error) {
    outcome.failure = FailureClass::Transient;
    outcome.message = fmt::format("cannot write {}: {}", path.string(), error.message());
    fs::remove(draft, error);
  }
  core_.OnAttemptEnded(std::move(outcome), now);
}

void WorkerDaemon::StopAttempt(const AttemptId& id) {
  const auto it = watched_.find(id);
  if (it == watched_.end()) return;
  const Watched& w = it->second;
  it->second.stop = w.fd < 0;
  if (w.fd < 0) return;
  if (w.ours) {
    attendants_.Stop(w.fd, DirectoryOf(id));
  } else {
    SignalPidfd(w.fd, SIGTERM);
  }
}

// Its attendant may have ended it, or was not known yet.
void WorkerDaemon::LookAt(const AttemptId& id) {
  Watched& w = watched_.at(id);
  using Heard = AttendantPool::Heard;
  const Heard heard = w.ours ? attendants_.Hear(w.fd) : Heard::Gone;
  if (heard == Heard::Nothing) return;
  if (!w.ours && w.fd >= 0) close(w.fd);
  Result<SpoolState> state = Error{ErrorCode::NotFound, ""};
  if (heard == Heard::Ended) {
    Result<AttemptOutcome> outcome = ReadOutcome(DirectoryOf(id));
    if (outcome) state = SpoolState{.outcome = *std::move(outcome)};
  }
  if (!state) state = InspectSpool(DirectoryOf(id));
  if (state && state->running) {
    Watch(id, PidfdOf(*state), false);
    return;
  }
  const bool ours = w.ours;
  watched_.erase(id);
  if (state && state->outcome) {
    if (ours && state->outcome->never_started) {
      Fail(id, FailureClass::Transient,
           fmt::format("{} ended before it began", options_.attendant.string()));
      return;
    }
    unsynced_[id] = clock_.Now();
    core_.OnAttemptEnded(*std::move(state->outcome), clock_.Now());
    return;
  }
  Fail(id, FailureClass::Crashed, state ? "the attendant left no outcome" : state.error().message);
}

void WorkerDaemon::SyncOutcomes(Duration older_than) {
  const Instant now = clock_.Now();
  for (auto it = unsynced_.begin(); it != unsynced_.end();) {
    const auto& [id, since] = *it;
    if (now < since + older_than) {
      wake_at_ = std::min(wake_at_, since + older_than);
      ++it;
      continue;
    }
    if (Status synced = SyncOutcome(DirectoryOf(id)); !synced) {
      spdlog::error("the outcome of {} is not safe: {}", ToString(id), synced.error().message);
    }
    it = unsynced_.erase(it);
  }
}

// Not synced: after a crash of the machine there is no attempt that it could be for.
void WorkerDaemon::KeepFence() {
  const Fence now = FenceNow();
  if (now == fence_) return;
  if (pwrite(lock_, &now, sizeof now, kFenceOffset) == sizeof now) fence_ = now;
}

void WorkerDaemon::CarryOut(WorkerEffects& effects) {
  KeepFence();
  if (!effects.start.empty()) Start(effects.start);
  for (const AttemptSpec& spec : effects.mimic) Mimic(spec);
  for (const AttemptId& id : effects.stop) StopAttempt(id);
  WorkerEffects after;  // What failed to start and what was mimicked is reported at once.
  core_.EndTurn(clock_.Now(), after);
  for (const AttemptId& id : after.stop) StopAttempt(id);
  for (const AttemptSpec& spec : after.mimic) Mimic(spec);
  if (!after.mimic.empty()) core_.EndTurn(clock_.Now(), after);
  for (WorkerEffects* e : {&effects, &after}) {
    for (const AttemptId& id : e->forget) {
      unsynced_.erase(id);
      (void)ForgetAttempt(options_.spool, id);
    }
    for (const ToCoordinator& message : e->send) Send(message);
  }
  Flush();
  wake_at_ = after.wake_at;
  SyncOutcomes(kSyncAfter);
  attendants_.EndIdle(kIdleMax, clock_.Now());
}

// A hello begins anew: what was not said before it needs no saying.
void WorkerDaemon::Send(const ToCoordinator& message) {
  if (std::holds_alternative<Hello>(message)) unsaid_.clear();
  if (unsaid_.size() < kUnsaidMax) unsaid_.push_back(Encode(message));
}

// What an attempt has printed so far, from the spool. Nobody waits for it but a person: it goes out
// now or never.
void WorkerDaemon::SendOutput(const ReadOutput& read) {
  constexpr const char* kNames[] = {"stdout", "stderr", "events"};
  const fs::path directory = DirectoryOf(read.id);
  std::ifstream file(directory / kNames[static_cast<int>(read.stream)], std::ios::binary);
  Output output{.ticket = read.ticket};
  output.found = file.is_open() || watched_.contains(read.id);
  if (file.seekg(static_cast<std::streamoff>(read.offset))) {
    output.bytes.resize(kOutputBytes);
    file.read(output.bytes.data(), static_cast<std::streamsize>(output.bytes.size()));
    output.bytes.resize(static_cast<std::size_t>(file.gcount()));
  }
  (void)endpoint_.Send(Encode(ToCoordinator(std::move(output))));
}

void WorkerDaemon::Flush() {
  while (!unsaid_.empty() && endpoint_.Send(unsaid_.front()) == SendResult::Sent) {
    unsaid_.pop_front();
  }
}

// True: leave.
bool WorkerDaemon::TakeSignals(WorkerEffects& effects) {
  bool leave = false;
  signalfd_siginfo info;
  while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo != SIGHUP) {
      leave = true;
    } else if (std::optional<WorkerOptions> changed = options_.on_hangup()) {
      core_.Change(*std::move(changed), clock_.Now(), effects);
    }
  }
  return leave;
}

void WorkerDaemon::TellStatus() {
  if (!options_.on_turn) return;
  options_.on_turn({.joined = core_.joined(),
                    .draining = core_.draining(),
                    .running = core_.running(),
                    .link = endpoint_.link(),
                    .refused = refused_,
                    .now = clock_.Now()});
}

Status WorkerDaemon::Run() {
  if (Status begun = Begin(); !begun) return begun;
  spdlog::info("ready");
  for (;;) {
    const bool leaving = leave_at_ != kNever;
    const int lifeline = options_.lifeline < 0 ? signals_ : options_.lifeline;
    std::vector<WaitFd> fds = {{leaving ? -1 : signals_}, {leaving ? -1 : lifeline}};
    std::vector<AttemptId> ids;
    Flush();
    Instant wake_at = std::min(wake_at_, leave_at_);
    if (!unsaid_.empty()) wake_at = std::min(wake_at, clock_.Now() + kLookAgain);
    for (const auto& [id, watched] : watched_) {
      if (watched.fd < 0) wake_at = std::min(wake_at, clock_.Now() + kLookAgain);
      fds.push_back({watched.fd < 0 ? signals_ : watched.fd});
      ids.push_back(id);
    }
    endpoint_.Wait(fds, std::clamp(wake_at - clock_.Now(), Duration{}, kWaitMax));

    WorkerEffects effects;
    const bool cut = options_.lifeline >= 0 && fds[1].readable;
    if (!leaving && (TakeSignals(effects) || cut)) {
      leave_at_ = clock_.Now() + kLastWords;
      core_.TakeNoMore();
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (fds[i + 2].readable || watched_.at(ids[i]).fd < 0) LookAt(ids[i]);
    }
    while (std::optional<std::string> bytes = endpoint_.Receive()) {
      Result<FromCoordinator> message = DecodeFromCoordinator(*bytes);
      if (!message) continue;
      if (const auto* read = std::get_if<ReadOutput>(&*message)) {
        SendOutput(*read);
      } else {
        core_.OnMessage(std::move(*message), clock_.Now(), effects);
      }
    }
    if (effects.refused && effects.refused_for_good) {
      return Error{ErrorCode::Invalid, *effects.refused};
    }
    refused_ = core_.joined() ? "" : effects.refused.value_or(refused_);
    CarryOut(effects);
    TellStatus();
    if (clock_.Now() >= leave_at_ || (leave_at_ != kNever && !core_.owes())) {
      WorkerEffects last;
      core_.Leave(last);
      for (const ToCoordinator& message : last.send) Send(message);
      Flush();
      SyncOutcomes(Duration::zero());
      spdlog::info("worker {} leaves; {} attempts go on", options_.worker.name, core_.running());
      return {};
    }
  }
}

}  // namespace

Status RunWorkerDaemon(const WorkerDaemonOptions& options) {
  std::error_code error;
  fs::create_directories(options.spool, error);
  fs::permissions(options.spool, fs::perms::owner_all, error);
  const std::string lock_path = options.spool / "daemon.lock";
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  bool locked = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
  if (!locked && lock >= 0 && errno == EWOULDBLOCK) {  // By a predecessor that is ending.
    spdlog::warn("another worker has the spool {}; waiting for it to end", options.spool.string());
    locked = flock(lock, LOCK_EX) == 0;
  }
  if (!locked) {
    return Error{ErrorCode::Io, fmt::format("cannot lock {}: {}", lock_path, std::strerror(errno))};
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (options.on_hangup) sigaddset(&signals, SIGHUP);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  WorkerDaemonOptions mine = options;
  mine.worker.spool = SpoolIdentity(lock);
  mine.worker.incarnation = NextIncarnation(lock);
  if (const std::optional<Fence> fence = SavedFence(lock)) {
    mine.worker.lease = Duration(fence->lease);
    mine.worker.window = Duration(fence->window);
  }
  Result<DealerEndpoint> endpoint = DealerEndpoint::Connect(
      {.endpoint = options.endpoint,
       .identity = PeerOfWorker(options.worker.name, mine.worker.spool + mine.worker.incarnation),
       .key = options.key,
       .server_key = options.server_key});
  if (!endpoint) return endpoint.error();
  Status status = WorkerDaemon(mine, *std::move(endpoint), signal_fd, lock).Run();
  close(signal_fd);
  close(lock);
  return status;
}

}  // namespace troupe
