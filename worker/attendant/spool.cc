#include "worker/attendant/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <string_view>
#include <system_error>
#include <thread>

#include "worker/attendant/files.h"
#include "worker/attendant/process_table.h"
#include "worker/attendant/process_tree.h"
#include "worker/attendant/spool_record.h"

namespace troupe {
namespace {

constexpr std::size_t kSpecBytesMax = std::size_t{256} << 20;
constexpr std::size_t kOutcomeBytesMax = std::size_t{1} << 30;
constexpr Duration kKillPatience = std::chrono::seconds(2);
constexpr int kLockTries = 1'000;
constexpr std::string_view kForgotten = ".forgotten-";

template <class Number>
bool TakeNumber(std::string_view& text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool TakeLetter(std::string_view& text, char letter) {
  if (!text.starts_with(letter)) return false;
  text.remove_prefix(1);
  return true;
}

// The reverse of ToString(id).
std::optional<AttemptId> IdFromName(const std::string& name) {
  AttemptId id;
  std::string_view rest = name;
  if (!TakeNumber(rest, id.run.value) || !TakeLetter(rest, '-')) return std::nullopt;
  id.subject = rest.starts_with('h') ? Subject::Hook : Subject::Task;
  if (!TakeLetter(rest, id.subject == Subject::Hook ? 'h' : 't')) return std::nullopt;
  if (!TakeNumber(rest, id.index) || !TakeLetter(rest, '-')) return std::nullopt;
  if (!TakeNumber(rest, id.number) || !rest.empty()) return std::nullopt;
  if (ToString(id) != name) return std::nullopt;
  return id;
}

bool Exists(const std::filesystem::path& path) { return ::access(path.c_str(), F_OK) == 0; }

Instant Now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

bool IsHeld(const Result<Fd>& lock) { return !lock && lock.error().code == ErrorCode::Locked; }

// The attendant that wrote the start record, if it lives.
std::optional<Process> Attendant(const std::filesystem::path& directory) {
  const Result<StartRecord> start = ReadStart(directory);
  if (!start) return std::nullopt;
  const std::optional<Process> process = FindProcess(start->attendant);
  if (!process || process->start_ticks != start->start_ticks || process->state == 'Z') {
    return std::nullopt;
  }
  return process;
}

// Killed while it was starting the agent, it leaves a child that holds the lock for an instant.
bool AttendantIsGone(const std::filesystem::path& directory) {
  return Exists(directory / "started.json") && !Attendant(directory);
}

// An attempt of which nobody will hear any more from its attendant: ends what it left and says how
// that came. The caller holds the lock.
AttemptOutcome OutcomeOfTheDead(const std::filesystem::path& directory) {
  AttemptOutcome outcome;
  outcome.id = IdOfDirectory(directory);
  const Result<AttemptSpec> spec = ReadSpec(directory);
  if (spec) outcome.id = spec->id;
  outcome.ended = Now();
  outcome.started = outcome.ended;
  outcome.failure = FailureClass::WorkerLost;

  // WriteSpec leaves in the lock the boot in which it ran: a start that is not on record did not
  // happen, unless the record was lost with the machine's power.
  const std::string& boot = BootId();
  const Result<StartRecord> start = ReadStart(directory);
  const Result<std::string> lock = ReadWholeFile(directory / "lock", 4096);
  const std::string written_in = start ? start->boot_id : lock ? *lock : "";
  if (written_in != boot) {
    outcome.message = "the machine was restarted";
    if (start) outcome.started = start->started;
    return outcome;
  }
  if (!start) {
    outcome.never_started = true;
    outcome.message = "it was never started";
    return outcome;
  }
  outcome.started = start->started;
  outcome.failure = FailureClass::Crashed;
  outcome.message = "the attempt's attendant was killed";
  const std::size_t left = KillByToken(start->token, start->cgroup, kKillPatience);
  if (left > 0) outcome.message += fmt::format("; {} processes could not be ended", left);
  RemovePrivateFiles(directory);
  return outcome;
}

}  // namespace

void RemovePrivateFiles(const std::filesystem::path& directory) {
  static_cast<void>(RemoveTree(directory / "private", {"inputs.json", "artifacts"}));
}

AttemptId IdOfDirectory(const std::filesystem::path& directory) {
  return IdFromName(directory.filename().string()).value_or(AttemptId{});
}

std::filesystem::path SpoolDirectory(const std::filesystem::path& root, const AttemptId& id) {
  return root / ToString(id);
}

Status WriteSpec(const std::filesystem::path& root, const AttemptSpec& spec) {
  const std::filesystem::path directory = SpoolDirectory(root, spec.id);
  if (Status made = MakePrivateDirectory(directory); !made) return made;
  // What is there already stays: an attendant may be holding the one and reading the other.
  const Fd lock(
      ::open((directory / "lock").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!lock.open() && errno != EEXIST) return SystemError("write", directory / "lock", errno);
  if (lock.open() && !WriteAll(lock.get(), BootId())) {
    return SystemError("write", directory / "lock", errno);
  }
  if (Exists(directory / "spec.json")) return {};
  return WriteFile(directory / "spec.json", ToJson(spec));
}

Result<AttemptSpec> ReadSpec(const std::filesystem::path& directory) {
  const Result<std::string> text = ReadWholeFile(directory / "spec.json", kSpecBytesMax);
  if (!text) return text.error();
  return SpecFromJson(*text);
}

Status WriteOutcome(const std::filesystem::path& directory, const AttemptOutcome& outcome,
                    bool durable) {
  const std::filesystem::path path = directory / "outcome.json";
  if (Exists(path)) return {};
  return WriteWholeFile(path, ToJson(outcome), durable);
}

Status SyncOutcome(const std::filesystem::path& directory) {
  Status synced = SyncFile(directory / "outcome.json");
  if (!synced && synced.error().code == ErrorCode::NotFound) return {};
  return synced;
}

Result<AttemptOutcome> ReadOutcome(const std::filesystem::path& directory) {
  const Result<std::string> text = ReadWholeFile(directory / "outcome.json", kOutcomeBytesMax);
  if (!text) return text.error();
  return OutcomeFromJson(*text);
}

Result<std::vector<AttemptId>> ListSpool(const std::filesystem::path& root) {
  std::vector<AttemptId> ids;
  std::error_code error;
  std::filesystem::directory_iterator it(root, error);
  while (!error && it != std::filesystem::directory_iterator()) {
    const std::string name = it->path().filename().string();
    if (const std::optional<AttemptId> id = IdFromName(name)) ids.push_back(*id);
    if (name.starts_with(kForgotten)) static_cast<void>(RemoveTree(it->path()));
    it.increment(error);
  }
  if (error) return SystemError("list", root, error.value());
  std::sort(ids.begin(), ids.end());
  return ids;
}

Result<Fd> LockSpool(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "lock";
  for (;;) {
    Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock.open()) return SystemError("open", path, errno);
    while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return Error{ErrorCode::Locked, path.string() + " is held"};
      if (errno != EINTR) return SystemError("lock", path, errno);
    }
    // The file may have been replaced between the two calls: only the one with the name counts.
    struct stat held {};
    struct stat named {};
    if (::fstat(lock.get(), &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
        held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
      return lock;
    }
  }
}

Result<SpoolState> InspectSpool(const std::filesystem::path& directory) {
  SpoolState state;
  Result<Fd> lock = LockSpool(directory);
  for (int i = 0; i < kLockTries && IsHeld(lock) && AttendantIsGone(directory); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    lock = LockSpool(directory);
  }
  if (!lock && !IsHeld(lock)) return lock.error();
  if (!lock) {
    state.running = true;
    if (const std::optional<Process> attendant = Attendant(directory)) {
      state.attendant = attendant->pid;
    }
    return state;
  }
  const std::filesystem::path path = directory / "outcome.json";
  Result<AttemptOutcome> outcome = ReadOutcome(directory);
  if (!outcome && outcome.error().code != ErrorCode::NotFound) {
    if (outcome.error().code != ErrorCode::Corrupt) return outcome.error();
    // It can be of no use to anyone, and the attempt must end. Kept for who wants to know why.
    ::rename(path.c_str(), (path.string() + ".damaged").c_str());
  }
  if (outcome) {
    state.outcome = *outcome;
    return state;
  }
  state.outcome = OutcomeOfTheDead(directory);
  if (Status written = WriteOutcome(directory, *state.outcome, true); !written)
    return written.error();
  return state;
}

Status ForgetAttempt(const std::filesystem::path& root, const AttemptId& id) {
  // Renamed first: a directory that is half removed would look like an attempt that was killed.
  const std::filesystem::path directory = SpoolDirectory(root, id);
  const std::filesystem::path away = root / (std::string(kForgotten) + ToString(id));
  bool renamed = ::rename(directory.c_str(), away.c_str()) == 0;
  if (!renamed && (errno == ENOTEMPTY || errno == EEXIST)) {
    static_cast<void>(RemoveTree(away));
    renamed = ::rename(directory.c_str(), away.c_str()) == 0;
  }
  if (renamed) return RemoveTree(away, {"lock", "spec.json", "started.json", "outcome.json"});
  if (errno == ENOENT) return {};
  return SystemError("remove", directory, errno);
}

}  // namespace troupe
