// A whole cluster in one thread, made from one seed: the real cores of coordinator and workers, and
// around them a simulated network, disk, machines, clocks, agents and operators.
//
// No sleeping: time is a number that goes to the next thing that happens. First come the faults,
// for a while; then they end, everything that is down comes back, and every run must end.
// Everything is drawn from the seed, so that a seed gives the same trace on every machine.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "coordinator/coordinator.h"
#include "simulation/checkers.h"
#include "simulation/dice.h"
#include "simulation/disk.h"
#include "simulation/faults.h"
#include "simulation/ledger.h"
#include "simulation/machine.h"

namespace troupe {

// How it truly was, once: an attempt of a task of a run.
struct Measured {
  Duration took{};
  double cost_usd = 0;
};
// By MeasuredName(); those of a loop's iterations together.
using MeasuredTasks = std::map<std::string, std::vector<Measured>>;
std::string MeasuredName(const std::string& full_id);

// A workflow of the user's own, in place of those that are drawn, and how its agents are to behave.
struct Rehearsal {
  std::string text = "";
  std::shared_ptr<const Plan> plan = {};
  std::string inputs_json = "{}";
  std::uint32_t failing = 0;  // Of a million attempts.
  std::vector<FailureClass> classes = {FailureClass::AgentError};
  Duration fastest = std::chrono::seconds(1);
  Duration slowest = std::chrono::seconds(60);
  MeasuredTasks measured = {};  // An attempt of a task that is in here is like one of these.
  std::uint32_t workers = 2;
  std::uint32_t slots = 4;
};

// A line of a timeline: an attempt of a rehearsed run.
struct Played {
  std::string task = "";
  std::uint32_t attempt = 0;
  std::string worker = "";
  Duration began{};  // Since the run began.
  Duration ended{};
  std::string how = "";  // "ok", or the class of its failure; "" when it was handed back.
};

// What a simulation saw.
struct Report {
  std::uint64_t seed = 0;
  std::optional<Violation> violation = {};
  std::uint64_t hash = 0;  // Of the trace.
  std::uint64_t steps = 0;
  Duration took{};  // Of the simulated time.
  std::uint32_t runs = 0;
  std::uint32_t attempts = 0;
  std::uint32_t coordinator_crashes = 0;
  std::uint32_t machine_faults = 0;
  // Of a rehearsal.
  std::string end = "";  // "succeeded"
  Duration makespan{};
  std::uint32_t retries = 0;
  double cost_usd = 0;
  std::vector<Played> timeline = {};
};

class World {
 public:
  using Trace = std::function<void(const std::string& line)>;

  // `faults`: words as of PickFaults(). `trace`: told of everything that happens.
  // `rehearsal` outlives it; null: everything is drawn.
  World(std::uint64_t seed, const std::string& faults, Trace trace = {},
        const Rehearsal* rehearsal = nullptr);

  // Once.
  Report Run();

 private:
  enum class What : std::uint8_t {
    ArrivesUp,
    ArrivesDown,
    CoordinatorWakes,
    CoordinatorStarts,
    TurnEnds,
    TurnLands,
    WorkerWakes,
    WorkerStarts,
    AttemptEnds,
    Trouble,
    CalmBegins,
  };
  struct Item {
    Instant at{};
    std::uint64_t order = 0;
    What what{};
    std::uint32_t who = 0;  // Machine.
    std::uint64_t which = 0;
    bool operator<(const Item& other) const {  // The queue gives the largest.
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  // The connection of a machine's daemon.
  struct Link {
    Instant last_up{};    // Arrival of the latest message to the coordinator, …
    Instant last_down{};  // … from it.
    Instant cut_up{};     // Nothing passes until then.
    Instant cut_down{};
    std::uint64_t wake_order = 0;
    bool starting = false;  // A daemon is about to start.
  };
  struct Flight {
    std::uint32_t machine = 0;
    std::string peer = "";
    std::uint32_t epoch = 0;  // Of the coordinator when it was sent.
    std::optional<ToCoordinator> up = {};
    std::optional<FromCoordinator> down = {};
    bool again = false;  // It has arrived before.
  };
  static constexpr std::uint32_t kTidy = 100;    // Kinds of trouble, the latter with the number of
  static constexpr std::uint32_t kSubmit = 200;  // a run: that of one to submit again, or kNew.
  static constexpr std::uint32_t kNew = 100;
  enum class TurnFate : std::uint8_t { Good, DiesBefore, DiesAfter, Fails, Lies, Full };

  // world.cc
  void BuildFleet();
  void Push(Instant at, What what, std::uint32_t who = 0, std::uint64_t which = 0);
  void Handle(const Item& item);
  void BuildMachines();
  void Note(const RunEvent& event);
  void Hash(std::uint64_t value);
  void Say(const std::function<std::string()>& line);
  bool AllEnded() const;
  void Finish();

  // world_coordinator.cc
  Instant CoordinatorNow() const { return now_ + shift_; }
  void StartCoordinator();
  void CrashCoordinator(const char* why);
  void Step(const Event& event);
  TurnFate DrawFate();
  void EndTurn();
  bool LandTurn();
  bool LandAll();
  void AfterTurn(const Effects& effects);
  void Submit(std::uint32_t number);
  void Redrive(RunId run);
  void Discard(RunId run);

  // world_network.cc
  void SendUp(Machine& machine, ToCoordinator message);
  void SendDown(const Outgoing& outgoing);
  void DeliverUp(std::uint64_t flight);
  void DeliverDown(std::uint64_t flight);
  std::uint64_t Keep(Flight flight);
  Flight Take(std::uint64_t flight);
  std::uint32_t IndexOf(const Machine& machine) const;

  // world_trouble.cc
  void PlanTrouble();
  void MakeTrouble(std::uint32_t kind);
  void TidyUp();
  void Operate();
  void BeginCalm();
  void CheckWake(std::uint32_t machine);
  void StartWorkerLater(std::uint32_t machine, Duration most);
  AttemptModel Model(const AttemptSpec& spec);

  std::uint64_t seed_;
  const Rehearsal* rehearsal_;
  Report report_;
  Dice dice_;
  Faults faults_;
  Trace trace_;
  Instant now_{};
  Instant began_{};
  Duration shift_{};  // Of the coordinator's clock.
  bool calm_ = false;
  std::uint64_t order_ = 0;
  std::uint64_t hash_ = 0xCBF29CE484222325u;
  std::uint64_t steps_ = 0;
  std::priority_queue<Item> queue_;

  CoordinatorOptions options_;
  SimulatedDisk disk_;
  Instant full_until_{};
  std::unique_ptr<Coordinator> coordinator_;
  Effects effects_;  // Of the open turn.
  bool turn_open_ = false;
  // Turns that have ended and are on their way to the disk, and when each did.
  struct Ended {
    Effects effects = {};
    Instant at{};
  };
  std::deque<Ended> ended_;
  const Ended* landing_ = nullptr;  // The one that is being carried out.
  Instant wake_at_ = kNever;
  std::uint64_t turn_ = 0;
  std::uint64_t wake_ = 0;              // Order of the wake that counts.
  std::vector<std::uint64_t> backlog_;  // Flights that wait for the coordinator.

  std::deque<Machine> machines_;
  std::vector<Link> links_;
  std::deque<Flight> flights_;
  std::vector<std::uint64_t> free_flights_;
  std::vector<std::pair<std::uint32_t, AttemptId>> ends_;
  Machine::Surroundings around_;

  struct Submitted {
    std::string key = "";
    std::string text = "";
    std::shared_ptr<const Plan> plan = {};
    RunId run{};
  };
  std::vector<Submitted> submitted_;
  std::uint32_t unsubmitted_ = 0;
  std::vector<FailureClass> classes_;  // How agents fail in this world, …
  std::uint32_t failing_ = 0;          // … and how often, in a million.
  Duration slowest_{};

  Judge judge_;
  Ledger ledger_;
  std::unique_ptr<Checkers> checkers_;
  std::uint32_t crashes_ = 0;  // Of the coordinator.
  std::uint32_t machine_faults_ = 0;
};

}  // namespace troupe
