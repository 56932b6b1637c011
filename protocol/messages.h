// What is said between the coordinator, its workers and its clients.
//
// One message per frame. Fields are only ever appended. Duplicates and reordering are harmless:
// attempts are numbered, and sessions tell an old connection's orders from the present one's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/attempt.h"
#include "base/ids.h"
#include "base/time.h"
#include "protocol/client_messages.h"

namespace troupe {

inline constexpr std::uint16_t kProtocolMin = 2;
inline constexpr std::uint16_t kProtocolMax = 2;

// --- worker → coordinator ---

// First message of a worker, and its answer to UnknownWorker. `holding` is everything in its spool
// and memory: attempts that run, and outcomes not yet committed. From here until the Welcome that
// answers this very hello it takes no dispatches: one that was sent before the coordinator had read
// `holding` is not in it, and so is not the worker's.
struct Hello {
  std::uint16_t protocol_min = kProtocolMin;
  std::uint16_t protocol_max = kProtocolMax;
  std::string worker = "";
  std::uint64_t incarnation =
      0;  // Of the process; a later one with the same spool has a higher one.
  std::uint32_t slots = 1;
  std::vector<std::string> labels = {};
  std::vector<std::string> providers = {};  // "command", "mock", "claude"
  std::vector<AttemptId> holding = {};
  std::uint64_t spool = 0;   // Which spool it has. With the same one as before, an attempt that is
                             // not held never began; with another one it was lost.
  bool draining = false;     // It takes nothing new until it is told or started again.
  std::uint64_t number = 1;  // Of this incarnation's hellos: 1, 2, 3 …
  bool operator==(const Hello&) const = default;
};

struct Heartbeat {
  std::uint64_t session = 0;
  bool operator==(const Heartbeat&) const = default;
};

struct Started {
  struct Item {
    AttemptId id{};
    Instant at{};
    bool operator==(const Item&) const = default;
  };
  std::vector<Item> items = {};
  bool operator==(const Started&) const = default;
};

// Repeated until Committed says that they are safe.
struct Finished {
  std::vector<AttemptOutcome> outcomes = {};
  bool operator==(const Finished&) const = default;
};

// The worker leaves in order. What it holds goes on under its attendants and waits for a successor;
// what was dispatched and is not held never began.
struct Goodbye {
  std::vector<AttemptId> holding = {};
  bool operator==(const Goodbye&) const = default;
};

// --- coordinator → worker ---

// Lease: how long the coordinator waits for a sign of life. Heartbeat: how often to give one.
// Window: how long after the end of its lease a worker goes on with its attempts, in case that the
// coordinator comes back; then it stops them.
struct Welcome {
  std::uint16_t protocol = kProtocolMax;
  std::uint64_t session = 0;
  Duration lease{};
  Duration heartbeat{};
  Duration window = std::chrono::seconds(300);
  std::uint64_t hello = 1;  // The number of the hello that it answers.
  bool operator==(const Welcome&) const = default;
};

// A worker drops a dispatch of another session than its present one. The orders of a session are
// numbered 1, 2, 3 …: one that comes twice is carried out once, and when one is missing the worker
// says hello again.
struct Dispatch {
  std::uint64_t session = 0;
  std::vector<AttemptSpec> specs = {};
  std::uint64_t number = 0;
  bool operator==(const Dispatch&) const = default;
};

// End these. `discard`: they are no longer the worker's own; their outcomes are not wanted either.
struct Stop {
  std::vector<AttemptId> ids = {};
  bool discard = false;
  std::uint64_t session = 0;
  std::uint64_t number = 0;
  bool operator==(const Stop&) const = default;
};

// These outcomes are durable; the worker may forget them.
struct Committed {
  std::vector<AttemptId> ids = {};
  bool operator==(const Committed&) const = default;
};

struct UnknownWorker {
  bool operator==(const UnknownWorker&) const = default;
};

// The answer to a heartbeat: the lease is as new as that heartbeat. `orders`: so many (Dispatch,
// Stop) were sent in this session before it; a worker that has seen fewer has lost some, and says
// hello again.
struct Alive {
  std::uint64_t session = 0;
  std::uint64_t orders = 0;
  bool operator==(const Alive&) const = default;
};

// Take nothing new; what runs goes on. `on` false: take again.
struct Drain {
  bool on = true;
  bool operator==(const Drain&) const = default;
};

// `again`: it may be taken later, so say hello again; else there is no point in that.
struct Refused {
  std::string message = "";
  bool again = false;
  bool operator==(const Refused&) const = default;
};

// --- live output, on request of a client; outside the sessions and their counts ---

struct ReadOutput {
  std::uint64_t ticket = 0;
  AttemptId id{};
  OutputStream stream = OutputStream::Stdout;
  std::uint64_t offset = 0;
  bool operator==(const ReadOutput&) const = default;
};

struct Output {
  std::uint64_t ticket = 0;
  bool found = false;
  std::string bytes = "";
  bool operator==(const Output&) const = default;
};

// New messages are added at the end: a message is known by its place.
using ToCoordinator = std::variant<Hello, Heartbeat, Started, Finished, Goodbye, ClientCommand,
                                   Output, ClientSubmit, ClientRetry, ClientDrain,
                                   ClientListWorkers, ClientRead, ClientWatch, ClientReadOutput>;
using FromCoordinator = std::variant<Welcome, Dispatch, Stop, Committed, UnknownWorker, Refused,
                                     ClientReply, Alive, Drain, ReadOutput, ClientSubmitted,
                                     ClientWorkers, ClientRecords, ClientEvents, ClientOutput>;

// The number of a client's question; nothing for what workers say.
std::optional<std::uint64_t> RequestOf(const ToCoordinator& message);

}  // namespace troupe
