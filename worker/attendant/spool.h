// The spool: a file per attempt that outlives the worker daemon.
//
//   ROOT/17-t3-2.attempt  a line each, in this order:
//          boot ID        in which boot of the machine the next line was written
//          spec JSON      what to do, written by the daemon before it orders an attendant to
//          start JSON     by whom it is done, written before the agent is started: without this
//                         line nothing has begun
//          outcome JSON   how it ended. The last one counts
//   ROOT/17-t3-2/         made when there is something to put there:
//          stdout stderr  what the processes print, raw, up to a cap, as it arrives
//          events         one JSON object a line: what the agent says of its progress
//
// A line without its newline is not there yet. The attendant has the file flock()ed from before it
// writes its first line until after its last.
//
// An outcome is durable once the coordinator has it. Until then it lies here, and is synced if that
// takes longer than kSyncAfter or there is no daemon to deliver it: the machine's power can cost an
// attempt its outcome only within that time of its end, as it can within the time it ran.
//
// The rule that makes it safe: whoever holds the lock decides. An attendant that cannot take the
// lock, or finds a start or an outcome, leaves without doing anything. A daemon that can take the
// lock of an attempt knows that no attendant is at it, and writes the outcome itself. So no attempt
// starts twice and none is forgotten, whichever process is killed when.
//
// Directories 0700, files 0600. ROOT/home is the home directory of the agents that have no other;
// for ROOT/private-* see private_files.h. All functions may be called from any one thread. None
// waits for an attempt; InspectSpool may take 2 s to end the processes of one whose attendant was
// killed.
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

// ROOT/17-t3-2, by which the functions below know an attempt.
std::filesystem::path SpoolDirectory(const std::filesystem::path& root, const AttemptId& id);

// A file that is there already stays as it is.
Status WriteSpec(const std::filesystem::path& root, const AttemptSpec& spec);
Result<AttemptSpec> ReadSpec(const std::filesystem::path& directory);

inline constexpr Duration kSyncAfter = std::chrono::milliseconds(100);

// Makes it durable. No error if the attempt has been forgotten.
Status SyncOutcome(const std::filesystem::path& directory);
// NotFound while there is none.
Result<AttemptOutcome> ReadOutcome(const std::filesystem::path& directory);

// Every attempt that has a file, in the order of their ids. Sweeps what a ForgetAttempt that was
// interrupted has left, and private files of attendants that have died. Refuses a spool with
// attempts of a troupe before 2026-11-25, which had directories only.
Result<std::vector<AttemptId>> ListSpool(const std::filesystem::path& root);

// What the file of an attempt says about it, for a daemon that (re)starts or whose attendant
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

// Removes all that the spool has of it; nobody may hold it.
Status ForgetAttempt(const std::filesystem::path& root, const AttemptId& id);

// The spec and the outcome as JSON in one line.
std::string ToJson(const AttemptSpec& spec);
std::string ToJson(const AttemptOutcome& outcome);
Result<AttemptSpec> SpecFromJson(const std::string& text);
Result<AttemptOutcome> OutcomeFromJson(const std::string& text);

}  // namespace troupe
