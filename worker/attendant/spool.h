// The spool: a directory per attempt that outlives the worker daemon.
//
//   ROOT/17-t3-2/spec.json     what to do, written by the daemon before it starts the attendant
//                lock          flock()ed by the attendant as long as it lives
//                started.json  attendant's pid, boot id and start time; written before the agent is
//                              started: where it cannot be read, nothing has begun
//                stdout stderr what the processes print, raw, up to a cap, as it arrives
//                events        one JSON object a line: what the agent says of its progress
//                outcome.json  written whole: temporary file, rename
//
// An outcome is durable once the coordinator has it. Until then it lies here, and is synced if that
// takes longer than kSyncAfter or there is no daemon to deliver it: the machine's power can cost an
// attempt its outcome only within that time of its end, as it can within the time it ran.
//
// The rule that makes it safe: whoever holds the lock decides. An attendant that cannot take the
// lock, or finds an outcome, leaves without doing anything. A daemon that can take the lock of an
// attempt knows that no attendant lives, and writes the outcome itself. So no attempt starts twice
// and none is forgotten, whichever process is killed when.
//
// Directories 0700, files 0600. ROOT/home is the home directory of the agents that have no other.
// All functions may be called from any one thread. None waits for an attempt; InspectSpool may take
// 2 s to end the processes of one whose attendant was killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/attempt.h"
#include "base/result.h"
#include "base/time.h"

namespace troupe {

std::filesystem::path SpoolDirectory(const std::filesystem::path& root, const AttemptId& id);

// Makes the attempt's directory and writes its spec. A spec that is there already stays.
Status WriteSpec(const std::filesystem::path& root, const AttemptSpec& spec);
Result<AttemptSpec> ReadSpec(const std::filesystem::path& directory);

inline constexpr Duration kSyncAfter = std::chrono::milliseconds(100);

// The outcome of an attempt is written once: if there is one already, it stays and this does
// nothing. One that is not `durable` is so after SyncOutcome.
Status WriteOutcome(const std::filesystem::path& directory, const AttemptOutcome& outcome,
                    bool durable);
// No error if the attempt has been forgotten.
Status SyncOutcome(const std::filesystem::path& directory);
// NotFound while there is none.
Result<AttemptOutcome> ReadOutcome(const std::filesystem::path& directory);

// Every attempt that has a directory, in the order of their ids. Sweeps what a ForgetAttempt that
// was interrupted has left.
Result<std::vector<AttemptId>> ListSpool(const std::filesystem::path& root);

// What the directory of an attempt says about it, for a daemon that (re)starts or whose attendant
// has gone. When no attendant lives and there is no outcome, this writes one:
//   never started                       never_started, class worker_lost
//   started before the machine's boot   worker_lost ("the machine was restarted")
//   the attendant was killed            crashed, after ending what is left of its processes
struct SpoolState {
  bool running = false;                        // An attendant holds it:
  pid_t attendant = 0;                         // its pid; 0 for a moment until it is written.
  std::optional<AttemptOutcome> outcome = {};  // Set if not running.
};
Result<SpoolState> InspectSpool(const std::filesystem::path& directory);

// Removes the attempt's directory; nothing may hold it.
Status ForgetAttempt(const std::filesystem::path& root, const AttemptId& id);

// The spec and the outcome as JSON, as the files hold them.
std::string ToJson(const AttemptSpec& spec);
std::string ToJson(const AttemptOutcome& outcome);
Result<AttemptSpec> SpecFromJson(const std::string& text);
Result<AttemptOutcome> OutcomeFromJson(const std::string& text);

}  // namespace troupe
