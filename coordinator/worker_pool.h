// Who is there, what each holds, and when each lease ends.
//
// A worker is known by its name. It stays known, with what it holds, while its lease runs, whether
// or not anything can be sent to it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/attempt.h"
#include "base/time.h"

namespace troupe {

// It ends after two halves of silence. A coordinator that was itself stopped for longer than all of
// it finds only the first half over when it goes on, and within the second it hears what came
// meanwhile.
class Lease {
 public:
  void Renew(Instant now, Duration length);
  // To ask at `next()`, or later. True: it has ended.
  bool Ends(Instant now);
  Instant next() const { return next_; }          // When the present half is over.
  Instant end() const { return next_ + after_; }  // At the earliest.

 private:
  Instant next_{};
  Duration after_{};  // 0 in the second half.
};

struct Worker {
  std::string name = "";
  std::string peer = "";      // Where to send; "" if it cannot be reached now. Set by the pool.
  std::uint64_t session = 0;  // Goes into dispatches; 0 before the first hello.
  std::uint64_t spool = 0;    // 0: not known yet.
  std::uint64_t incarnation = 0;
  std::uint64_t hello = 0;  // The number of its latest hello.
  std::uint32_t slots = 0;
  std::uint32_t used = 0;  // By the task attempts in `held`.
  std::set<std::string> labels = {};
  std::set<std::string> providers = {};
  bool draining = false;  // Gets nothing new.
  bool left = false;      // It said goodbye; its successor is waited for.
  Lease lease = {};
  std::set<AttemptId> held = {};
  std::uint64_t sent = 0;  // Orders in this session.
  // To dispatch at the end of this turn, in the parts of a message each, and the size of the last.
  std::vector<std::vector<AttemptSpec>> outbox = {};
  std::size_t outbox_bytes = 0;
  // Kept by the pool.
  bool open = false;       // Connected and not draining: it has a rank.
  std::uint32_t free = 0;  // Slots, as of its rank.
};

// What an attempt asks of a worker.
struct Requirement {
  std::string provider = "";  // "": none, as hooks.
  std::vector<std::string> labels = {};
  auto operator<=>(const Requirement&) const = default;
};

class WorkerPool {
 public:
  // The worker of this name, made if it is new.
  Worker& Know(const std::string& name) {
    Worker& w = workers_[name];
    w.name = name;
    return w;
  }
  Worker* Find(const std::string& name);
  Worker* FindPeer(const std::string& peer);
  // Known by this name; what was it, disconnected.
  Worker Forget(const std::string& name);

  // With the session and the slots that it now has.
  void Connect(Worker& worker, const std::string& peer);
  void Disconnect(Worker& worker);
  void Drain(Worker& worker, bool on);
  void Renew(Worker& worker, Instant now, Duration length);
  // When a lease may end: not after the first that does.
  Instant next_lease() const { return next_lease_; }
  // The workers whose leases have ended, by name.
  std::vector<std::string> TakeEnded(Instant now);

  static bool Fits(const Worker& worker, const Requirement& requirement);

  // The connected worker with the most free slots that fits and is not in `never`; one that is not
  // in `avoid` goes before one that is; ties by name. Null: none. `slot`: it must have one free.
  // Looks only at those that go before the one it takes, and in vain only once until more is free.
  Worker* Pick(const Requirement& requirement, const std::vector<std::string>& never,
               const std::vector<std::string>& avoid, bool slot);

  void Hold(Worker& worker, const AttemptId& id);
  // False if it did not hold it.
  bool Release(Worker& worker, const AttemptId& id);
  void Order(Worker& worker, AttemptSpec&& spec);
  // Those with something in their outbox, by name.
  std::vector<Worker*> TakeOrdered();

  std::map<std::string, Worker>& all() { return workers_; }
  const std::map<std::string, Worker>& all() const { return workers_; }

 private:
  struct Before {
    bool operator()(const Worker* a, const Worker* b) const {
      return a->free != b->free ? a->free > b->free : a->name < b->name;
    }
  };
  void Rank(Worker& worker);

  std::map<std::string, Worker> workers_;
  std::set<Worker*, Before> ranks_;  // The open ones.
  std::set<Requirement> in_vain_;    // No free slot is for them, as long as none is added.
  std::map<std::string, Worker*> by_peer_;
  std::vector<Worker*> ordered_;
  Instant next_lease_ = kNever;
};

}  // namespace troupe
