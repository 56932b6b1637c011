// Everything that can happen to the coordinator, and everything it may ask for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/run_event.h"
#include "base/time.h"
#include "protocol/messages.h"
#include "storage/records.h"
#include "workflow/plan.h"

namespace troupe {

// Begin a run. `draft` has the names, directories, inputs and key; the rest is filled in.
struct SubmitRun {
  std::uint64_t request = 0;
  RunRecord draft = {};
  std::shared_ptr<const Plan> plan = {};
  std::string text = "";
};

struct PeerSpoke {
  std::string peer = "";
  ToCoordinator message = {};
};

// The peer cannot be reached any more. Its lease goes on: it may come back.
struct PeerGone {
  std::string peer = "";
};

// Nothing new starts. `stop_running`: what runs is stopped and handed back, with no retry used.
struct PauseRun {
  RunId run{};
  bool stop_running = false;
};
struct ResumeRun {
  RunId run{};
};
struct CancelRun {
  RunId run{};
};

// The time has come that an earlier turn asked to be woken at.
struct Tick {};

using Event = std::variant<SubmitRun, PeerSpoke, PeerGone, PauseRun, ResumeRun, CancelRun, Tick>;

struct Outgoing {
  std::string peer = "";
  FromCoordinator message = {};
};

// The answer to a SubmitRun. `existed`: its key was known, and this is the run it stands for.
struct SubmitReply {
  std::uint64_t request = 0;
  RunId run{};
  bool existed = false;
};

// What a turn asks for, in this order: save, then send and tell.
struct Effects {
  Batch save = {};
  std::vector<Outgoing> send = {};
  std::vector<RunEvent> tell = {};
  std::vector<SubmitReply> replies = {};
  Instant wake_at = kNever;

  // As new, with the memory of short lists.
  void Clear() {
    save.Clear();
    Empty(send);
    Empty(tell);
    Empty(replies);
    wake_at = kNever;
  }
};

}  // namespace troupe
