// A whole cluster in one thread: the real cores, with network, clock, disk and crashes made from a
// seed. No sleeping: time is a number.
//
// Agents are models: an attempt runs for a drawn time on its machine, goes on when the worker
// daemon is killed, and vanishes with its machine. The cluster counts what really happened, so that
// tests can compare it with what the coordinator believes.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/advance.h"
#include "coordinator/coordinator.h"
#include "coordinator/random.h"
#include "storage/memory_checkpoint_store.h"
#include "worker/worker.h"

namespace troupe {

struct Faults {
  double coordinator_crash = 0;  // Chance per step.
  double worker_crash = 0;       // The daemon; its attempts go on.
  double machine_loss = 0;       // The daemon, its attempts and its spool.
  double message_loss = 0;       // Chance per message.
  double agent_failure = 0;      // Chance per attempt.
};

class Cluster {
 public:
  Cluster(std::shared_ptr<const Plan> plan, std::uint64_t seed, std::uint64_t workers,
          std::uint64_t slots, Faults faults = {})
      : plan_(std::move(plan)),
        random_(seed),
        slots_(static_cast<std::uint32_t>(slots)),
        faults_(faults) {
    StartCoordinator();
    for (std::uint64_t n = 1; n <= workers; ++n) StartWorker("w" + std::to_string(n));
  }

  void Submit() {
    SubmitRun submit;
    submit.plan = plan_;
    submit.draft.workflow_name = plan_->name;
    submit.draft.run_dir = "/";
    submit.draft.inputs_json = inputs_json;
    StepCoordinator(submit);
  }

  // A new round of the run, as `troupe retry` begins it.
  Status Redrive(const std::vector<std::string>& tasks) {
    Result<Reworked> redriven = troupe::Redrive(store_, Load(), tasks);
    if (!redriven) return redriven.error();
    CHECK(store_.Commit(redriven->save));
    coordinator_->Restore(redriven->run, false, now_, effects_);
    FinishTurn();
    return {};
  }
  Status Discard(const std::vector<std::string>& tasks) {
    const Result<Batch> batch = DiscardDeadLetters(Load(), tasks);
    if (!batch) return batch.error();
    return store_.Commit(*batch);
  }

  // Lets time pass until the run has ended; false if it has not after `limit`.
  bool RunToEnd(Duration limit = std::chrono::hours(24)) {
    const Instant end = now_ + limit;
    while (now_ < end) {
      if (Ended()) return true;
      Step();
    }
    return Ended();
  }

  bool Ended() const {
    const auto runs = store_.Runs();
    return runs && !runs->empty() && IsFinal(runs->front().state);
  }

  Checkpoint State() const {
    auto loaded = store_.Load(RunId{1});
    CHECK(loaded.has_value());
    return *std::move(loaded);
  }

  TaskRecord Task(std::uint32_t index) const {
    for (const TaskRecord& task : State().tasks) {
      if (task.task.value == index) return task;
    }
    return {};
  }

  void StepCoordinator(const Event& event) {
    coordinator_->Step(event, now_, effects_);
    FinishTurn();
  }

  void CrashCoordinator() {
    coordinator_.reset();
    effects_ = {};
    to_coordinator_.clear();
    for (auto& [name, worker] : workers_) {
      if (random_.Next() % 2 == 0) worker.inbox.clear();  // Else it was on its way already.
    }
    StartCoordinator();
  }

  // The daemon is killed and a successor starts on the same spool.
  void CrashWorker(const std::string& name) {
    SimWorker& worker = workers_.at(name);
    worker.inbox.clear();
    std::erase_if(worker.spool, [](const auto& entry) { return entry.second.mock; });
    StartWorker(name);
  }

  void LoseMachine(const std::string& name) {
    lost_ += workers_.at(name).spool.size();
    workers_.at(name).spool.clear();
    workers_.at(name).identity = random_.Next();
    CrashWorker(name);
  }

  // The next thing happens: a message arrives, an agent ends, a timer fires, something crashes.
  void Step() {
    MakeTrouble();
    if (Deliver()) return;
    Instant next = wake_at_;
    for (auto& [name, worker] : workers_) {
      next = std::min(next, worker.wake_at);
      for (auto& [id, attempt] : worker.spool) {
        if (!attempt.outcome) next = std::min(next, attempt.ends);
      }
    }
    now_ = std::max(now_ + std::chrono::microseconds(1), next == kNever ? now_ : next);
    for (auto& [name, worker] : workers_) EndAttempts(worker);
    for (auto& [name, worker] : workers_) TurnWorker(worker);
    if (wake_at_ <= now_) StepCoordinator(Tick{});
  }

  Instant now() const { return now_; }
  // How often each task (by TaskId) really ran, to its end with success, and began.
  const std::map<std::uint32_t, std::uint32_t>& successes() const { return successes_; }
  const std::map<AttemptId, std::uint32_t>& starts() const { return starts_; }
  std::size_t attempts_lost() const { return lost_; }
  const std::vector<RunEvent>& told() const { return told_; }
  const Coordinator& coordinator() const { return *coordinator_; }

  // Decides how an attempt ends; default: by the faults. The time it takes is drawn.
  std::function<std::optional<FailureClass>(const AttemptSpec&)> outcome_of;
  std::function<std::string(const AttemptSpec&)> message_of;  // Of a failure.
  std::function<void(const AttemptSpec&)> on_start;
  // What a success gives; default: nothing.
  std::function<void(const AttemptSpec&, AttemptOutcome&)> give;
  // How long it takes; nothing: as drawn.
  std::function<std::optional<Duration>(const AttemptSpec&)> time_of;
  std::string inputs_json = "{}";  // Of the run.

 private:
  struct SimAttempt {
    AttemptSpec spec = {};
    Instant started{};
    Instant ends{};
    std::optional<AttemptOutcome> outcome = {};
    bool mock = false;
  };
  struct SimWorker {
    std::string name = "";
    std::string peer = "";
    std::uint64_t identity = 1;  // Of the spool.
    std::unique_ptr<WorkerCore> core = {};
    std::deque<FromCoordinator> inbox = {};
    std::map<AttemptId, SimAttempt> spool = {};
    Instant wake_at{};
  };

  Resumable Load() const {
    Resumable saved{.checkpoint = State(), .plan = plan_, .outcomes = {}};
    saved.outcomes = *LoadOutcomes(store_, saved.checkpoint, *plan_);
    return saved;
  }

  bool Chance(double p) { return p > 0 && random_.Draw() < p; }

  void MakeTrouble() {
    if (Chance(faults_.coordinator_crash)) CrashCoordinator();
    for (auto& [name, worker] : workers_) {
      if (Chance(faults_.worker_crash)) CrashWorker(name);
      if (Chance(faults_.machine_loss)) LoseMachine(name);
    }
  }

  void StartCoordinator() {
    const RunId next{store_.LastRun()->value + 1};
    const std::vector<RunRecord> runs = *store_.Runs();
    coordinator_ = std::make_unique<Coordinator>(CoordinatorOptions{.seed = random_.Next()}, next);
    for (const RunRecord& run : runs) {
      if (IsFinal(run.state)) continue;
      coordinator_->Restore(Load(), false, now_, effects_);
    }
    FinishTurn();
  }

  void FinishTurn() {
    Effects effects = std::exchange(effects_, {});
    // A crash between commit and send: what was committed stays, nothing leaves.
    bool crash = Chance(faults_.coordinator_crash);
    const Status done =
        Advance(*coordinator_, store_, now_, effects, [&](const Outgoing& outgoing) {
          if (crash || Chance(faults_.message_loss)) return;
          for (auto& [name, worker] : workers_) {
            if (worker.peer == outgoing.peer) worker.inbox.push_back(outgoing.message);
          }
        });
    CHECK(done.has_value());
    told_.insert(told_.end(), effects.tell.begin(), effects.tell.end());
    wake_at_ = effects.wake_at;
    if (crash) CrashCoordinator();
  }

  void StartWorker(const std::string& name) {
    SimWorker& worker = workers_[name];
    worker.name = name;
    worker.peer = name + "/" + std::to_string(random_.Next());
    WorkerOptions options;
    options.name = name;
    options.incarnation = ++lives_;
    options.spool = worker.identity;
    options.slots = slots_;
    worker.core = std::make_unique<WorkerCore>(options);
    std::vector<AttemptId> running;
    std::vector<AttemptOutcome> ended;
    for (auto& [id, attempt] : worker.spool) {
      if (attempt.outcome) {
        ended.push_back(*attempt.outcome);
      } else {
        running.push_back(id);
      }
    }
    WorkerEffects effects;
    worker.core->Begin(running, ended, now_, effects);
    CarryOut(worker, effects);
    TurnWorker(worker);
  }

  void TurnWorker(SimWorker& worker) {
    WorkerEffects effects;
    worker.core->EndTurn(now_, effects);
    CarryOut(worker, effects);
    worker.wake_at = effects.wake_at;
  }

  void CarryOut(SimWorker& worker, WorkerEffects& effects) {
    for (const AttemptSpec& spec : effects.start) {
      if (on_start) on_start(spec);
      ++starts_[spec.id];
      const Duration drawn = Seconds(0.01 + 20 * random_.Draw() * random_.Draw());
      const Duration takes = time_of ? time_of(spec).value_or(drawn) : drawn;
      worker.spool[spec.id] = {.spec = spec, .started = now_, .ends = now_ + takes};
    }
    for (const AttemptId& id : effects.stop) {
      const auto it = worker.spool.find(id);
      if (it == worker.spool.end() || it->second.outcome) continue;
      Finish(it->second, FailureClass::Cancelled);
      worker.core->OnAttemptEnded(*it->second.outcome, now_);
    }
    for (const AttemptId& id : effects.forget) worker.spool.erase(id);
    for (ToCoordinator& message : effects.send) {
      if (!Chance(faults_.message_loss)) to_coordinator_.emplace_back(worker.peer, message);
    }
  }

  void Finish(SimAttempt& attempt, std::optional<FailureClass> failure) {
    AttemptOutcome outcome;
    outcome.id = attempt.spec.id;
    outcome.failure = failure;
    outcome.started = attempt.started;
    outcome.ended = now_;
    if (failure) outcome.message = message_of ? message_of(attempt.spec) : "model";
    if (!failure && give) give(attempt.spec, outcome);
    attempt.outcome = std::move(outcome);
    if (!failure && attempt.spec.id.subject == Subject::Task) ++successes_[attempt.spec.id.index];
  }

  void EndAttempts(SimWorker& worker) {
    for (auto& [id, attempt] : worker.spool) {
      if (attempt.outcome || attempt.ends > now_) continue;
      std::optional<FailureClass> failure;
      if (outcome_of) {
        failure = outcome_of(attempt.spec);
      } else if (Chance(faults_.agent_failure)) {
        failure = FailureClass::AgentError;
      }
      Finish(attempt, failure);
      worker.core->OnAttemptEnded(*attempt.outcome, now_);
    }
  }

  // Messages arrive in order per connection; connections overtake each other.
  bool Deliver() {
    std::vector<SimWorker*> waiting;
    for (auto& [name, worker] : workers_) {
      if (!worker.inbox.empty()) waiting.push_back(&worker);
    }
    const std::size_t choices = waiting.size() + (to_coordinator_.empty() ? 0 : 1);
    if (choices == 0) return false;
    const std::size_t choice = random_.Next() % choices;
    if (choice == waiting.size()) {
      auto [peer, message] = std::move(to_coordinator_.front());
      to_coordinator_.pop_front();
      StepCoordinator(PeerSpoke{peer, message});
      return true;
    }
    SimWorker& worker = *waiting[choice];
    const FromCoordinator message = std::move(worker.inbox.front());
    worker.inbox.pop_front();
    WorkerEffects effects;
    worker.core->OnMessage(message, now_, effects);
    CarryOut(worker, effects);
    TurnWorker(worker);
    return true;
  }

  std::shared_ptr<const Plan> plan_;
  Random random_;
  std::uint32_t slots_;
  Faults faults_;
  Instant now_ = Instant{} + std::chrono::hours(1'000);
  MemoryCheckpointStore store_;
  std::unique_ptr<Coordinator> coordinator_;
  Effects effects_;
  Instant wake_at_ = kNever;
  std::deque<std::pair<std::string, ToCoordinator>> to_coordinator_;
  std::map<std::string, SimWorker> workers_;
  std::map<std::uint32_t, std::uint32_t> successes_;
  std::map<AttemptId, std::uint32_t> starts_;
  std::vector<RunEvent> told_;
  std::size_t lost_ = 0;
  std::uint64_t lives_ = 0;
};

}  // namespace troupe
