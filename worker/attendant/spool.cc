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
#include "worker/attendant/private_files.h"
#include "worker/attendant/process_table.h"
#include "worker/attendant/process_tree.h"
#include "worker/attendant/spool_record.h"

namespace troupe {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{5} << 28;
constexpr std::string_view kSuffix = ".attempt";
constexpr Duration kKillPatience = std::chrono::seconds(2);
constexpr int kLockTries = 1'000;

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

std::filesystem::path FileOf(const std::filesystem::path& directory) {
  return directory.string() + std::string(kSuffix);
}

// What follows `word` in the last whole line that begins with it.
std::optional<std::string> LastLine(std::string_view text, std::string_view word) {
  std::optional<std::string> last;
  for (std::size_t end = 0; (end = text.find('\n')) != std::string_view::npos;) {
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(word) && line.substr(word.size()).starts_with(' ')) {
      last = line.substr(word.size() + 1);
    }
    text.remove_prefix(end + 1);
  }
  return last;
}

Result<std::string> ReadLine(const std::filesystem::path& directory, std::string_view word) {
  const Result<std::string> text = ReadWholeFile(FileOf(directory), kFileBytesMax);
  if (!text) return text.error();
  if (std::optional<std::string> line = LastLine(*text, word)) return *std::move(line);
  return Error{ErrorCode::NotFound, fmt::format("{} has no {}", FileOf(directory).string(), word)};
}

Instant Now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

bool IsHeld(const Result<AttemptFile>& lock) {
  return !lock && lock.error().code == ErrorCode::Locked;
}

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
  return ReadLine(directory, "start") && !Attendant(directory);
}

// An attempt of which nobody will hear any more from its attendant: ends what it left and says how
// that came. The caller holds the lock.
AttemptOutcome OutcomeOfTheDead(const std::filesystem::path& directory, const AttemptFile& file) {
  AttemptOutcome outcome;
  outcome.id = IdOfDirectory(directory);
  outcome.ended = Now();
  outcome.started = outcome.ended;
  outcome.failure = FailureClass::WorkerLost;

  // A start that is not on record did not happen, unless the record was lost with the machine's
  // power.
  const std::string& boot = BootId();
  const std::optional<std::string> line = file.Line("start");
  const Result<StartRecord> start = StartFromJson(line.value_or(""));
  const std::string written_in = start ? start->boot_id : file.Line("boot").value_or("");
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
  if (!start->private_files.empty()) static_cast<void>(RemoveTree(start->private_files));
  return outcome;
}

}  // namespace

AttemptId IdOfDirectory(const std::filesystem::path& directory) {
  return IdFromName(directory.filename().string()).value_or(AttemptId{});
}

std::filesystem::path SpoolDirectory(const std::filesystem::path& root, const AttemptId& id) {
  return root / ToString(id);
}

Status WriteSpec(const std::filesystem::path& root, const AttemptSpec& spec) {
  const std::filesystem::path path = FileOf(SpoolDirectory(root, spec.id));
  // What is there already stays: an attendant may be at it.
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.open() && errno == EEXIST) return {};
  if (!file.open()) return SystemError("write", path, errno);
  if (WriteAll(file.get(), fmt::format("boot {}\nspec {}\n", BootId(), ToJson(spec)))) return {};
  Status failed = SystemError("write", path, errno);
  ::unlink(path.c_str());
  return failed;
}

Result<AttemptSpec> ReadSpec(const std::filesystem::path& directory) {
  const Result<std::string> line = ReadLine(directory, "spec");
  if (!line) return line.error();
  return SpecFromJson(*line);
}

Status SyncOutcome(const std::filesystem::path& directory) {
  Status synced = SyncFile(FileOf(directory));
  if (!synced && synced.error().code == ErrorCode::NotFound) return {};
  return synced;
}

Result<AttemptOutcome> ReadOutcome(const std::filesystem::path& directory) {
  const Result<std::string> line = ReadLine(directory, "outcome");
  if (!line) return line.error();
  return OutcomeFromJson(*line);
}

Result<StartRecord> ReadStart(const std::filesystem::path& directory) {
  const Result<std::string> line = ReadLine(directory, "start");
  if (!line) return line.error();
  return StartFromJson(*line);
}

Result<std::vector<AttemptId>> ListSpool(const std::filesystem::path& root) {
  std::vector<AttemptId> ids;
  std::vector<std::filesystem::path> directories;
  std::error_code error;
  std::filesystem::directory_iterator it(root, error);
  while (!error && it != std::filesystem::directory_iterator()) {
    const std::string name = it->path().filename().string();
    if (name.ends_with(kSuffix)) {
      const std::optional<AttemptId> id = IdFromName(name.substr(0, name.size() - kSuffix.size()));
      if (id) ids.push_back(*id);
    } else if (IdFromName(name)) {
      directories.push_back(it->path());
    } else if (IsLeftPrivate(name)) {
      static_cast<void>(RemoveTree(it->path()));
    }
    it.increment(error);
  }
  if (error) return SystemError("list", root, error.value());
  for (const std::filesystem::path& directory : directories) {
    if (::access(FileOf(directory).c_str(), F_OK) == 0) continue;
    if (::access((directory / "lock").c_str(), F_OK) == 0) {
      return Error{
          ErrorCode::Invalid,
          fmt::format("{} is an attempt of an older troupe: let that one end it, or remove "
                      "the directory if its outcome is not wanted",
                      directory.string())};
    }
    static_cast<void>(RemoveTree(directory));
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

AttemptFile::AttemptFile(std::filesystem::path path, Fd file, std::string text)
    : path_(std::move(path)), file_(std::move(file)), text_(std::move(text)) {
  const std::size_t whole = text_.rfind('\n') + 1;
  torn_ = whole < text_.size();
  text_.resize(whole);
}

Result<AttemptFile> AttemptFile::Lock(const std::filesystem::path& directory) {
  const std::filesystem::path path = FileOf(directory);
  for (;;) {
    Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!file.open()) return SystemError("open", path, errno);
    while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return Error{ErrorCode::Locked, path.string() + " is held"};
      if (errno != EINTR) return SystemError("lock", path, errno);
    }
    // The file may have been replaced between the two calls: only the one with the name counts.
    struct stat held {};
    struct stat named {};
    if (::fstat(file.get(), &held) != 0 || ::stat(path.c_str(), &named) != 0 ||
        held.st_ino != named.st_ino || held.st_dev != named.st_dev) {
      continue;
    }
    Result<std::string> text = ReadRest(file.get(), path, kFileBytesMax);
    if (!text) return text.error();
    return AttemptFile(path, std::move(file), *std::move(text));
  }
}

std::optional<std::string> AttemptFile::Line(std::string_view word) const {
  return LastLine(text_, word);
}

Status AttemptFile::Append(std::string_view word, const std::string& text) {
  const std::string line = fmt::format("{} {}\n", word, text);
  const auto end = static_cast<off_t>(text_.size());
  // Behind the last whole line: one that was begun and not ended does not count.
  if (torn_ && (::ftruncate(file_.get(), end) != 0 || ::lseek(file_.get(), end, SEEK_SET) != end)) {
    return SystemError("write", path_, errno);
  }
  torn_ = true;
  if (!WriteAll(file_.get(), line)) return SystemError("write", path_, errno);
  torn_ = false;
  text_ += line;
  return {};
}

Status AttemptFile::Sync() const { return SyncFile(path_); }

Result<SpoolState> InspectSpool(const std::filesystem::path& directory) {
  SpoolState state;
  Result<AttemptFile> file = AttemptFile::Lock(directory);
  for (int i = 0; i < kLockTries && IsHeld(file) && AttendantIsGone(directory); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    file = AttemptFile::Lock(directory);
  }
  if (!file && !IsHeld(file)) return file.error();
  if (!file) {
    state.running = true;
    if (const std::optional<Process> attendant = Attendant(directory)) {
      state.attendant = attendant->pid;
    }
    return state;
  }
  if (const std::optional<std::string> line = file->Line("outcome")) {
    Result<AttemptOutcome> outcome = OutcomeFromJson(*line);
    // One that is damaged can be of no use to anyone, and the attempt must end.
    if (!outcome && outcome.error().code != ErrorCode::Corrupt) return outcome.error();
    if (outcome) {
      state.outcome = *std::move(outcome);
      return state;
    }
  }
  state.outcome = OutcomeOfTheDead(directory, *file);
  Status written = file->Append("outcome", ToJson(*state.outcome));
  if (written) written = file->Sync();
  if (!written) return written.error();
  return state;
}

Status ForgetAttempt(const std::filesystem::path& root, const AttemptId& id) {
  const std::filesystem::path directory = SpoolDirectory(root, id);
  // First what makes it an attempt: a directory alone is one that ListSpool sweeps.
  if (::unlink(FileOf(directory).c_str()) != 0 && errno != ENOENT) {
    return SystemError("remove", FileOf(directory), errno);
  }
  return RemoveTree(directory, {"stdout", "stderr", "events"});
}

}  // namespace troupe
