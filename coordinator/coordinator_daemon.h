// The coordinator's shell: socket, store and clock around Coordinator.
//
// One thread calls everything. A turn drains the socket, steps every message that its sender may
// say, commits once, then sends. Large commits happen on a thread of their own while the next turn
// is at work; turns land one after another, and nothing of a turn leaves before it has landed. What
// peers do not take is kept for them up to a bound; behind it they count as gone, and say hello
// again. After an error of Turn() nothing more may be done with it: the process must end, and what
// is in the store is what happened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "coordinator/advance.h"
#include "coordinator/background.h"
#include "coordinator/client_service.h"
#include "coordinator/coordinator.h"
#include "protocol/access.h"
#include "protocol/zmq_endpoint.h"
#include "storage/checkpoint_store.h"

namespace troupe {

class CoordinatorDaemon {
 public:
  // `store` outlives it. `tell` hears every event after its commit.
  CoordinatorDaemon(RouterEndpoint endpoint, CheckpointStore& store, CoordinatorOptions options,
                    RunId next_run, std::function<void(const RunEvent&)> tell);

  // Who may come in and say what, from now on. At first: nobody who needs a key.
  void Admit(AccessList access);
  // `note` hears what an operator should know of: who was refused, and why. Seldom, however often
  // it happens.
  void OnNote(std::function<void(const std::string&)> note) { note_ = std::move(note); }

  // `dispatched` hears after each turn that sent attempts how many, and how long after its begin.
  void OnDispatch(std::function<void(std::uint64_t attempts, Duration took)> dispatched) {
    dispatched_ = std::move(dispatched);
  }

  // Clients may submit, read, watch and follow. `store`: in the directory `db`. Without, they can
  // only give orders to the runs that are there.
  void Serve(const RocksDbCheckpointStore& store, const std::filesystem::path& db,
             std::uint64_t seed);
  // A run of the store has this idempotency key.
  void KnowKey(const std::string& key, RunId run) { coordinator_.KnowKey(key, run); }
  void KnowEnded(RunId run, Instant at) { coordinator_.KnowEnded(run, at); }
  void KnowSize(RunId run, std::uint64_t bytes) { coordinator_.KnowSize(run, bytes); }

  // The run goes on; if `dormant`, only what its attempts have to say is taken.
  void Restore(const Resumable& saved, bool dormant);

  // `committed` hears of each batch that has landed, and how long its commit took.
  void OnCommit(std::function<void(const Batch&, Duration took)> committed) {
    committed_ = std::move(committed);
  }

  // Waits for something to happen, at most for `timeout`; then does a turn. `fds` are the caller's
  // own descriptors to wait for.
  Status Turn(std::vector<WaitFd>& fds, Duration timeout);
  // Does a turn with this event at once, and waits until it has landed.
  Status Do(const Event& event);
  // Waits until all turns that have ended have landed.
  Status Land();

  RunId last_submitted() const { return last_submitted_; }
  const Coordinator& coordinator() const { return coordinator_; }
  Instant Now() const { return clock_.Now(); }

 private:
  // What waits for a peer that takes nothing now.
  struct Queue {
    std::deque<std::string> messages = {};
    std::size_t bytes = 0;
  };

  // A turn that has ended, until it has landed.
  struct Ended {
    Effects effects = {};
    Instant began{};
    Duration commit_took{};
    Status committed = {};
  };

  void Wait(std::vector<WaitFd>& fds, Duration timeout);
  bool Full() const;
  Status Finish();
  void Commit(Ended& turn);
  void OnLanded();
  void Release(Ended& turn);
  Status Rework(const Reworked& run);
  Status Hear(Incoming incoming);
  void Refuse(const std::string& peer, const ToCoordinator& message, const std::string& why);
  void Send(const Outgoing& outgoing);
  void Push(const std::string& peer, std::string bytes);
  void Flush();
  void FlushPeer(const std::string& peer, Queue& queue);
  void NoteRejections();
  void Note(const std::string& text);

  RouterEndpoint endpoint_;
  CheckpointStore& store_;
  Clock clock_;
  Coordinator coordinator_;
  std::function<void(const RunEvent&)> tell_;
  std::unique_ptr<ClientService> service_;
  Effects effects_;  // Of the turn at hand.
  std::deque<std::unique_ptr<Ended>>
      landing_;  // In their order; the first one's commit is under way.
  std::vector<std::unique_ptr<Ended>> spare_;  // Kept for their memory.
  Status landed_ = {};                         // An error: a commit failed.
  std::size_t heard_ = 0;                      // Messages of the turn at hand.
  Instant wake_at_{};
  RunId last_submitted_{};
  AccessList access_;
  std::function<void(const std::string&)> note_;
  std::function<void(std::uint64_t, Duration)> dispatched_;
  std::function<void(const Batch&, Duration)> committed_;
  std::uint64_t attempts_sent_ = 0;  // In this turn.
  Instant turn_began_{};
  Instant noted_at_{};
  std::size_t unnoted_ = 0;               // Since then.
  std::map<std::string, Queue> waiting_;  // By peer.
  std::vector<std::string> gone_;         // Peers found gone while sending.
  bool commit_failed_ = false;            // Of the committing thread: nothing lands any more.
  Background committer_{kLandingMax};     // Last: its thread ends before what its jobs refer to.
};

}  // namespace troupe
