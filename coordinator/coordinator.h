// The coordinator: what to do next, for all runs and workers.
//
// Pure. A turn is any number of Step()s and one EndTurn(); its effects are to be carried out in one
// order: commit `save`, then send and tell (advance.h). Time comes with the calls; the same calls
// with the same seed give the same effects. Used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/event.h"
#include "coordinator/live_run.h"
#include "coordinator/random.h"
#include "coordinator/resume.h"
#include "coordinator/retention.h"
#include "coordinator/worker_pool.h"

namespace troupe {

struct CoordinatorOptions {
  Duration lease = std::chrono::seconds(4);      // A worker that is silent for so long is lost.
  Duration heartbeat = std::chrono::seconds(1);  // How often a worker gives a sign of life.
  Duration grace = std::chrono::seconds(60);    // After a restart, ours or theirs: how long workers
                                                // may take to come back with what they hold.
  Duration window = std::chrono::seconds(300);  // How long a worker that has lost us goes on.
  RetentionRules retention = {};
  std::uint64_t seed = 0;
};

class Coordinator {
 public:
  // `next_run`: the number of the next run that is submitted.
  Coordinator(CoordinatorOptions options, RunId next_run)
      : options_(options),
        next_run_(next_run),
        random_(options.seed),
        retention_(options.retention),
        sessions_(random_.Next()) {}

  // A run from the store goes on. `dormant`: it takes the outcomes of what still runs and starts
  // nothing.
  void Restore(const Resumable& saved, bool dormant, Instant now, Effects& effects);

  // A run of the store was submitted with this idempotency key.
  void KnowKey(const std::string& key, RunId run) { keys_[key] = run; }
  // A run of the store has ended.
  void KnowEnded(RunId run, Instant at) { retention_.Ended(run, at); }
  // A run that has ended takes so much of the store. The next turn goes by it.
  void KnowSize(RunId run, std::uint64_t bytes) { retention_.Size(run, bytes); }
  // The run that the key stands for; 0: none.
  RunId RunOfKey(const std::string& key) const;

  void Step(const Event& event, Instant now, Effects& effects);
  void EndTurn(Instant now, Effects& effects);

  const LiveRun* Find(RunId run) const;
  const WorkerPool& pool() const { return pool_; }
  const std::map<RunId, LiveRun>& runs() const { return runs_; }
  const Retention& retention() const { return retention_; }
  // Runs that have not ended.
  std::size_t live() const { return runs_.size(); }

 private:
  void OnSubmit(const SubmitRun& submit, Turn& turn);
  void OnPeer(const PeerSpoke& spoke, Turn& turn);
  void OnHello(const std::string& peer, const Hello& hello, Turn& turn);
  void OnGoodbye(Worker& worker, const Goodbye& goodbye, Turn& turn);
  void OnFinished(Worker& worker, const Finished& finished, Turn& turn);
  void OnCommand(const std::string& peer, const ClientCommand& command, Turn& turn);
  void OnDrain(const std::string& peer, const ClientDrain& drain, Turn& turn);
  void OnTick(Turn& turn);
  void LoseWorker(Worker& worker, Turn& turn);
  void ReturnAllBut(const std::set<AttemptId>& holding, Worker& worker, bool began, Turn& turn);
  void PlaceRuns(Turn& turn);
  void ForgetRuns(const std::vector<RunId>& runs, Effects& effects);
  void SendOutbox(Worker& worker, Effects& effects);
  void NumberOrders(Effects& effects);
  LiveRun* Live(RunId run);

  CoordinatorOptions options_;
  RunId next_run_;
  Random random_;
  WorkerPool pool_;
  std::map<RunId, LiveRun> runs_;
  Retention retention_;
  std::map<std::string, RunId> keys_;                        // Idempotency keys, of ended runs too.
  std::map<std::string, std::vector<AttemptId>> committed_;  // By peer: to acknowledge this turn.
  std::uint64_t sessions_;  // Drawn at start: not those of a predecessor.
};

}  // namespace troupe
