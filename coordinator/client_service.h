// What a coordinator daemon does for its clients beside the core: takes workflows, lets the store
// be read, streams the events of runs, and passes on what running attempts print.
//
// One thread, that of the loop. Compiling and reading happen on threads of their own, so that no
// question holds up dispatch. All that is kept for clients is bounded and is forgotten after a
// while.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "coordinator/background.h"
#include "coordinator/coordinator.h"
#include "coordinator/random.h"
#include "coordinator/resume.h"
#include "storage/rocksdb_checkpoint_store.h"

namespace troupe {

// What it needs of the loop that it is a part of. All of it happens in the turn at hand.
struct ClientLoop {
  std::function<void(const std::string& peer, const FromCoordinator& message)> send;
  std::function<void(const Event& event)> step;
  // Commits the changes and lets the run go on. An error ends the loop.
  std::function<Status(const Reworked& run)> rework;
};

class ClientService {
 public:
  // `store`: the coordinator's, in the directory `db`; other threads read it.
  ClientService(const RocksDbCheckpointStore& store, std::filesystem::path db,
                const Coordinator& coordinator, std::uint64_t seed, ClientLoop loop);
  ~ClientService();

  // Takes a question of a client or a worker's Output. False: it is not for us.
  bool Hear(const std::string& peer, const ToCoordinator& message, Instant now);

  // Descriptors that are readable when TakeFinished() has something to do.
  std::vector<int> fds() const { return {compiler_.fd(), reader_.fd()}; }
  // An error ends the loop.
  Status TakeFinished(Instant now);

  // After a commit.
  void On(const SubmitReply& reply);
  void On(const RunEvent& event);
  // Sends the events of the turn; forgets what is too old.
  void EndTurn(Instant now);
  void OnGone(const std::string& peer);

 private:
  using Asker = std::pair<std::string, std::uint64_t>;  // Peer and request.
  struct Submission {
    Asker asker = {};
    std::string problems = "";
    bool watch = false;
  };
  struct Transfer {
    std::uint64_t request = 0;
    std::vector<std::vector<StoredRecord>> parts = {};
    Instant used{};
  };
  struct Subscription {
    RunId run{};
    std::uint64_t stream = 0;
    std::uint64_t next = 0;
    std::vector<RunEvent> events = {};  // Of this turn.
    Instant renewed{};
  };
  struct Ticket {
    Asker asker = {};
    std::string worker = "";  // Its peer.
    Instant until{};
  };

  void Submit(const std::string& peer, const ClientSubmit& submit);
  void OnCompiled(Submission submission, SubmitRun run);
  void Read(const std::string& peer, const ClientRead& read, Instant now);
  void SendPart(const std::string& peer, Transfer& transfer, std::uint32_t part, Instant now);
  void Retry(const std::string& peer, const ClientRetry& retry);
  void Watch(const std::string& peer, const ClientWatch& watch, Instant now);
  void SendEvents(const Asker& asker, Subscription& subscription);
  void ReadOutputOf(const std::string& peer, const ClientReadOutput& read, Instant now);
  void OnOutput(const std::string& peer, const Output& output);
  void ListWorkers(const std::string& peer, std::uint64_t request, Instant now);
  void Fail(const Asker& asker, const std::string& why);

  const RocksDbCheckpointStore& store_;
  std::filesystem::path db_;
  const Coordinator& coordinator_;
  Random random_;
  ClientLoop loop_;
  std::uint64_t numbers_ = 0;
  std::map<std::uint64_t, Submission> submissions_;  // Stepped in this turn.
  std::map<std::string, Transfer> transfers_;        // By peer: one each.
  std::set<Asker> at_work_;                          // Asked, and not answered yet.
  std::set<RunId> retrying_;
  std::map<Asker, Subscription> subscriptions_;
  std::map<std::uint64_t, Ticket> tickets_;
  Status reworked_ = {};  // What the loop must end by, if it failed.
  Instant now_{};
  Background compiler_{16};  // Last: their threads end before what their jobs refer to.
  Background reader_{100};
};

}  // namespace troupe
