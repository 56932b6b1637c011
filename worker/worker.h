// The worker: what it holds, what it owes the coordinator, and when it speaks.
//
// Pure: events and the time go in, effects come out. Holds every attempt from its dispatch until
// the coordinator has said that the outcome is durable; says it again until then. When it has not
// heard of the coordinator for its lease it says hello again and again, and goes on with what it
// holds for the reconnect window; then it stops that. Mock attempts live here. Used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/attempt.h"
#include "base/time.h"
#include "protocol/messages.h"

namespace troupe {

struct WorkerOptions {
  std::string name = "w1";
  std::uint64_t incarnation = 0;
  std::uint64_t spool = 0;
  std::uint32_t slots = 1;
  std::vector<std::string> labels = {};
  std::vector<std::string> providers = {"command", "mock", "claude"};
  std::string work_dir = "";  // The run directory of all attempts here; "": the one of the run.
  // As the last welcome said, to a daemon before this one on the same spool.
  Duration lease = std::chrono::seconds(4);
  Duration window = std::chrono::seconds(300);
};

// Carried out in this order: start, stop, forget, then send.
struct WorkerEffects {
  std::vector<AttemptSpec> start = {};  // Under an attendant.
  std::vector<AttemptSpec> mimic = {};  // A mock attempt that succeeds now and has an output file:
                                        // write it and call AttemptEnded().
  std::vector<AttemptId> stop = {};
  std::vector<AttemptId> forget = {};  // Its spool is no longer needed.
  std::vector<ToCoordinator> send = {};
  std::optional<std::string> refused = {};  // The coordinator will not have this worker,
  bool refused_for_good = false;            // … now or ever.
  Instant wake_at = kNever;
};

class WorkerCore {
 public:
  explicit WorkerCore(WorkerOptions options)
      : options_(std::move(options)), lease_(options_.lease), window_(options_.window) {}

  // What the spool held when the daemon started; then says hello.
  void Begin(const std::vector<AttemptId>& running, std::vector<AttemptOutcome> ended, Instant now,
             WorkerEffects& effects);
  void OnMessage(FromCoordinator message, Instant now, WorkerEffects& effects);
  void OnAttemptEnded(AttemptOutcome outcome, Instant now);
  // To be called at the end of every turn, and at wake_at.
  void EndTurn(Instant now, WorkerEffects& effects);
  // From now on what is dispatched is not taken.
  void TakeNoMore() { leaving_ = true; }
  // The daemon leaves; what runs goes on under its attendants.
  void Leave(WorkerEffects& effects);
  // Says hello again with other slots, labels and providers.
  void Change(WorkerOptions options, Instant now, WorkerEffects& effects);

  bool joined() const { return session_ != 0; }
  bool draining() const { return draining_; }
  Duration lease() const { return lease_; }
  Duration window() const { return window_; }
  std::size_t held() const { return held_.size(); }

  std::size_t running() const { return running_; }
  // Outcomes that the coordinator has not acknowledged yet.
  bool owes() const { return held_.size() > running_; }

 private:
  struct Held {
    std::optional<AttemptOutcome> outcome = {};
    bool discard = false;  // No longer ours: end it and say nothing.
    bool mock = false;
    bool abandoned = false;  // Stopped because the coordinator did not come back.
  };

  void SayHello(Instant now, WorkerEffects& effects);
  enum class Order : std::uint8_t { Next, Again, Gap };
  Order Count(std::uint64_t number);
  void OnWelcome(const Welcome& welcome, Instant now);
  void OnDispatch(Dispatch& dispatch, Instant now, WorkerEffects& effects);
  void OnStop(const Stop& stop, Instant now, WorkerEffects& effects);
  void StopAttempt(const AttemptId& id, Held& held, Instant now, WorkerEffects& effects);
  void Abandon(Instant now, WorkerEffects& effects);
  void Forget(const AttemptId& id, WorkerEffects& effects);
  void EndMocks(Instant now, WorkerEffects& effects);
  void SendOutcomes(Instant now, WorkerEffects& effects);

  WorkerOptions options_;
  std::uint64_t session_ = 0;  // 0: hello was said, no welcome yet.
  std::uint64_t hellos_ = 0;
  std::uint64_t seen_ = 0;  // The latest order of this session.
  Duration heartbeat_ = std::chrono::seconds(1);
  Duration lease_;
  Duration window_;
  Instant heard_{};         // When the coordinator last spoke.
  bool abandoned_ = false;  // The window has passed since.
  bool draining_ = false;
  bool leaving_ = false;
  Instant next_word_{};  // When to say hello again, or the next heartbeat.
  Instant next_resend_ = kNever;
  std::map<AttemptId, Held> held_;
  std::set<AttemptId> unsent_;                                  // Outcomes to send this turn.
  std::map<std::pair<Instant, AttemptId>, AttemptSpec> mocks_;  // By when they end.
  std::size_t running_ = 0;
};

// How a mock attempt ends.
AttemptOutcome MockOutcome(const AttemptSpec& spec, Instant started, Instant ended);

}  // namespace troupe
