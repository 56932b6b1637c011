// What clients ask a coordinator, and what it answers.
//
// Each question has a number that the client chose and that comes back with the answer; ClientReply
// is the answer to all that succeeds without a word, and to everything that fails. Asked twice, a
// question does no harm: a client asks again when its connection was lost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/run_event.h"
#include "base/time.h"

namespace troupe {

enum class CommandKind : std::uint8_t { Cancel, Pause, Resume, Delete };
struct ClientCommand {
  std::uint64_t request = 0;
  CommandKind kind = CommandKind::Cancel;
  RunId run{};
  bool operator==(const ClientCommand&) const = default;
};

struct ClientReply {
  std::uint64_t request = 0;
  std::string error = "";  // Empty: done, durably.
  bool operator==(const ClientReply&) const = default;
};

// Begin a run of this text. Answered by ClientSubmitted.
struct ClientSubmit {
  std::uint64_t request = 0;
  std::string text = "";
  std::string file = "";                 // What the client calls it; for messages.
  std::string workflow = "";             // Which of several; "": the first.
  std::vector<std::string> inputs = {};  // NAME=VALUE
  std::string run_dir = "";              // R, absolute.
  bool lenient = false;
  std::string key = "";  // Idempotency: the same key, the same run.
  bool watch = false;    // As ClientWatch with the same number, from the very beginning.
  bool operator==(const ClientSubmit&) const = default;
};
struct ClientSubmitted {
  std::uint64_t request = 0;
  RunId run{};                // 0: refused.
  bool existed = false;       // The key was known: this is the run it stands for.
  std::string problems = "";  // Of the text, a line each; warnings too.
  bool operator==(const ClientSubmitted&) const = default;
};

// A new round of a run that has ended: the dead letters that are named, or all.
struct ClientRetry {
  std::uint64_t request = 0;
  RunId run{};
  std::vector<std::string> tasks = {};
  bool operator==(const ClientRetry&) const = default;
};

struct ClientDrain {
  std::uint64_t request = 0;
  std::string worker = "";
  bool on = true;  // false: take attempts again.
  bool operator==(const ClientDrain&) const = default;
};

// Answered by ClientWorkers.
struct ClientListWorkers {
  std::uint64_t request = 0;
  bool operator==(const ClientListWorkers&) const = default;
};
enum class WorkerState : std::uint8_t {
  Connected,
  Draining,
  Silent,  // It cannot be reached, and its lease goes on.
  Left,    // It said goodbye; its successor is waited for.
};
struct WorkerInfo {
  std::string name = "";
  WorkerState state = WorkerState::Connected;
  std::uint32_t slots = 0;
  std::uint32_t used = 0;
  std::vector<std::string> labels = {};
  std::vector<std::string> providers = {};
  std::vector<AttemptId> holding = {};
  Duration lease{};  // What is left of it.
  bool operator==(const WorkerInfo&) const = default;
};
struct ClientWorkers {
  std::uint64_t request = 0;
  std::vector<WorkerInfo> workers = {};
  bool operator==(const ClientWorkers&) const = default;
};

// Read what is stored. Answered by ClientRecords, in parts: `part` 0 reads it, the next ones follow
// under the same request number. A part that the coordinator does not have any more is an error;
// begin again.
enum class ReadKind : std::uint8_t {
  Runs,      // Every run.
  Run,       // One run: its record, text, tasks, hooks and agents.
  Attempts,  // The attempts at one task or hook.
};
struct ClientRead {
  std::uint64_t request = 0;
  ReadKind kind = ReadKind::Runs;
  RunId run{};
  Subject subject = Subject::Task;
  std::uint32_t index = 0;
  std::uint32_t part = 0;
  bool operator==(const ClientRead&) const = default;
};
// The bytes are the store's own business: protocol/ does not know what is in them.
struct StoredRecord {
  std::uint8_t kind = 0;
  std::string bytes = "";
  bool operator==(const StoredRecord&) const = default;
};
struct ClientRecords {
  std::uint64_t request = 0;
  std::uint32_t part = 0;
  bool last = true;
  std::vector<StoredRecord> records = {};
  bool operator==(const ClientRecords&) const = default;
};

// Send the events of a run from now on; to be repeated, or the coordinator stops after a while.
// Answered by ClientEvents, at once and whenever something happens.
struct ClientWatch {
  std::uint64_t request = 0;
  RunId run{};
  bool stop = false;
  bool operator==(const ClientWatch&) const = default;
};
// `stream` is another one when the coordinator does not remember earlier requests, and `first` is
// the number of the first event in the stream: who sees another stream or a gap has missed events.
struct ClientEvents {
  std::uint64_t request = 0;
  std::uint64_t stream = 0;
  std::uint64_t first = 0;
  std::vector<RunEvent> events = {};
  std::uint32_t tasks = 0;  // Of the run, and how many are settled; 0: not known.
  std::uint32_t settled = 0;
  bool operator==(const ClientEvents&) const = default;
};

// What a running attempt has printed. Answered by ClientOutput.
enum class OutputStream : std::uint8_t { Stdout, Stderr, Events };
struct ClientReadOutput {
  std::uint64_t request = 0;
  AttemptId id{};
  OutputStream stream = OutputStream::Stdout;
  std::uint64_t offset = 0;
  bool operator==(const ClientReadOutput&) const = default;
};
struct ClientOutput {
  std::uint64_t request = 0;
  bool found = false;  // A worker has it. Else it has ended, or its worker cannot be reached.
  std::string bytes = "";
  bool operator==(const ClientOutput&) const = default;
};

}  // namespace troupe
