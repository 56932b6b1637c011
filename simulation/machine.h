// A machine with a worker daemon: the real core, a spool, and agents that are models.
//
// An attempt runs for a drawn time and ends as was drawn when it began. It goes on when the daemon
// is killed, ends when the machine is rebooted, and vanishes when the machine is lost. No time
// passes in here; the world says when.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "simulation/dice.h"
#include "worker/worker.h"

namespace troupe {

// How an attempt will go.
struct AttemptModel {
  Duration takes{};
  std::optional<FailureClass> failure = {};  // Empty: it succeeds.
  Duration retry_after{};
  std::string output = "";
  std::string result_json = "";
  std::string message = "";
  double cost_usd = 0;
  Duration stopping{};  // How long it goes on when it is told to stop.
};

class Machine {
 public:
  struct Running {
    RunnerKind kind = RunnerKind::Command;
    AttemptModel model = {};
    Instant started{};
    Instant ends{};
    bool stopped = false;
    std::optional<AttemptOutcome> outcome = {};
  };
  // What the world does for a machine.
  struct Surroundings {
    std::function<AttemptModel(const AttemptSpec&)> model;
    std::function<void(Machine&, ToCoordinator)> send;
    std::function<void(Machine&, const AttemptId&, Instant)> end_at;  // Call End() then.
    std::function<void(Machine&, const AttemptSpec&)> began;
    std::function<void(Machine&, const AttemptOutcome&)> ended;  // Truly; once for each that began.
    // Its outcome is gone; `lost`: with the machine.
    std::function<void(Machine&, const AttemptId&, bool lost)> forgot;
    std::function<bool()> dies_here;  // Is the daemon killed between two of its effects?
  };

  Machine(WorkerOptions options, const Surroundings& around, Dice& dice)
      : options_(std::move(options)), around_(around), dice_(dice) {
    options_.spool = dice_.Next() | 1;
  }

  const std::string& name() const { return options_.name; }
  WorkerOptions& options() { return options_; }
  bool up() const { return core_ != nullptr; }
  // Changes with every start of the daemon: its address, as the coordinator sees it.
  const std::string& peer() const { return peer_; }
  std::uint32_t lives() const { return lives_; }
  const WorkerCore* core() const { return core_.get(); }
  const std::map<AttemptId, Running>& spool() const { return spool_; }
  Instant up_since() const { return up_since_; }
  Instant heard() const { return heard_; }
  Instant wake_at() const { return wake_at_; }
  Duration skew() const { return skew_; }
  void set_skew(Duration skew) { skew_ = skew; }

  void Start(Instant now);
  // The daemon is killed.
  void Kill();
  // It leaves in order; a successor is to be started.
  void Leave(Instant now);
  void Reboot(Instant now);
  // It is gone with all it had; what Start()s next has the same name and a new spool.
  void Lose();

  void Hear(const FromCoordinator& message, Instant now);
  void Wake(Instant now);
  // The time of an attempt has come.
  void End(const AttemptId& id, Instant now);
  // It ends now, as `model` says and not as was drawn.
  void EndAs(const AttemptId& id, AttemptModel model, Instant now);
  // Its configuration was read again.
  void Change(Instant now);

 private:
  void CarryOut(WorkerEffects& effects, Instant now);
  void Begin(const AttemptSpec& spec, Instant now);
  void StopAttempt(const AttemptId& id, Instant now);
  void Finish(const AttemptId& id, Running& running, std::optional<FailureClass> failure,
              Instant now);

  WorkerOptions options_;
  const Surroundings& around_;
  Dice& dice_;
  std::unique_ptr<WorkerCore> core_;
  std::string peer_;
  std::uint32_t lives_ = 0;
  std::map<AttemptId, Running> spool_;
  Instant up_since_{};
  Instant heard_{};
  Instant wake_at_ = kNever;
  Duration skew_{};  // Of its clock.
};

}  // namespace troupe
