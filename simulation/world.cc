#include "simulation/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace troupe {
namespace {

constexpr std::uint64_t kStepsMax = 2'000'000;
constexpr Duration kCalmMax = std::chrono::hours(24 * 14);

// All that its tasks and hooks ask for.
std::vector<std::string> LabelsOf(const Plan& plan) {
  std::set<std::string> labels;
  for (const PlannedTask& task : plan.tasks) {
    std::vector<std::uint32_t> agents = task.rules->fallback_agents;
    agents.push_back(task.agent);
    for (const std::uint32_t agent : agents) {
      const EffectiveSettings settings = SettingsFor(plan, task, agent);
      labels.insert(settings.labels.begin(), settings.labels.end());
    }
  }
  for (const std::vector<Hook>& hooks : plan.hooks) {
    for (const Hook& hook : hooks) labels.insert(hook.runs_on.begin(), hook.runs_on.end());
  }
  return {labels.begin(), labels.end()};
}

}  // namespace

// "resize[3]" and "resize[4]" are alike.
std::string MeasuredName(const std::string& full_id) {
  if (!full_id.ends_with(']')) return full_id;
  return full_id.substr(0, full_id.rfind('[')) + "[]";
}

World::World(std::uint64_t seed, const std::string& faults, Trace trace, const Rehearsal* rehearsal)
    : seed_(seed),
      rehearsal_(rehearsal),
      dice_(seed ^ 0x7472'6F75'7065u),
      trace_(std::move(trace)) {
  const Result<Faults> picked = PickFaults(DrawFaults(dice_), faults);
  CHECK(picked.has_value());
  faults_ = *picked;
  now_ = Instant{} + std::chrono::hours(1'000);
  began_ = now_;
  disk_.on_landed = [this](const Batch& batch) {
    for (const TaskRecord& task : batch.tasks) {
      Hash(std::uint64_t{task.task.value} * 16 + static_cast<std::uint64_t>(task.state));
      Hash(task.attempts);
      Hash(static_cast<std::uint64_t>(task.due.time_since_epoch().count()));
    }
    for (const HookRecord& hook : batch.hooks) Hash(static_cast<std::uint64_t>(hook.state));
    static const std::vector<RunEvent> kNothing;
    checkers_->OnLanded(batch, landing_ == nullptr ? kNothing : landing_->effects.tell,
                        landing_ == nullptr ? CoordinatorNow() : landing_->at);
  };
  BuildFleet();
  checkers_ = std::make_unique<Checkers>(judge_, ledger_, dice_.Next(),
                                         options_.lease + options_.window + Seconds(30));
}

void World::BuildFleet() {
  const std::uint32_t patience = dice_.Below(4);
  const auto seconds = [](std::int64_t s) { return std::chrono::seconds(s); };
  options_.lease = patience == 0 ? seconds(4) : seconds(20 * std::int64_t{patience});
  options_.heartbeat = options_.lease / 4;
  options_.grace = seconds(dice_.Between(5, 60));
  options_.window = seconds(dice_.Between(5, 120));

  failing_ = faults_.agents ? dice_.Below(dice_.Below(900'000) + 1) : 0;
  const bool all = dice_.OneIn(3);
  for (std::uint32_t i = 0; i < kFailureClassCount; ++i) {
    const auto c = static_cast<FailureClass>(i);
    const bool own = c == FailureClass::SpawnFailed;
    if (!(Traits(c).told || own)) continue;
    if (all || dice_.OneIn(5)) classes_.push_back(c);
  }
  if (classes_.empty()) classes_.push_back(FailureClass::AgentError);
  slowest_ = seconds(dice_.Between(1, 40));
  if (rehearsal_ != nullptr) {
    failing_ = rehearsal_->failing;
    classes_ = rehearsal_->classes;
    faults_.operators = 0;
  }

  around_.model = [this](const AttemptSpec& spec) { return Model(spec); };
  around_.send = [this](Machine& m, ToCoordinator message) { SendUp(m, std::move(message)); };
  around_.end_at = [this](Machine& m, const AttemptId& id, Instant at) {
    ends_.emplace_back(IndexOf(m), id);
    Push(at, What::AttemptEnds, IndexOf(m), ends_.size() - 1);
  };
  around_.began = [this](Machine& m, const AttemptSpec& spec) {
    Say([&] { return fmt::format("{} begins {} ({})", m.name(), ToString(spec.id), spec.task); });
    checkers_->OnBegan(m, spec, now_);
  };
  around_.ended = [this](Machine& m, const AttemptOutcome& outcome) {
    Say([&] {
      return fmt::format("{} ended {}: {}", m.name(), ToString(outcome.id),
                         outcome.failure ? Name(*outcome.failure) : "ok");
    });
    checkers_->OnEnded(m, outcome);
    report_.cost_usd += outcome.usage.cost_usd;
  };
  around_.forgot = [this](Machine& m, const AttemptId& id, bool lost) {
    checkers_->OnForgot(m, id, lost);
  };
  around_.dies_here = [this] { return !calm_ && dice_.Chance(faults_.worker_crashes * 500); };

  BuildMachines();
}

void World::BuildMachines() {
  std::uint32_t machines = 1 + dice_.Below(dice_.OneIn(4) ? 5 : 3);
  if (rehearsal_ != nullptr) machines = rehearsal_->workers;
  links_.resize(machines);
  for (std::uint32_t i = 0; i < machines; ++i) {
    WorkerOptions options;
    options.name = fmt::format("w{}", i);
    options.slots = 1 + dice_.Below(4);
    if (i == 0 || dice_.OneIn(2)) options.labels.push_back("disk");
    if (i == 0 || dice_.OneIn(2)) options.labels.push_back("gpu");
    if (i > 0 && dice_.OneIn(5)) options.providers = {"command"};
    if (rehearsal_ != nullptr) {
      options.slots = rehearsal_->slots;
      options.providers = WorkerOptions().providers;
      options.labels = LabelsOf(*rehearsal_->plan);
    }
    machines_.emplace_back(options, around_, dice_);
    if (faults_.clock_jumps > 0) {
      machines_.back().set_skew(dice_.Time(std::chrono::seconds(-100), std::chrono::seconds(100)));
    }
  }
}

void World::Push(Instant at, What what, std::uint32_t who, std::uint64_t which) {
  queue_.push({at, ++order_, what, who, which});
}

void World::Hash(std::uint64_t value) { hash_ = (hash_ ^ value) * 0x100000001B3u; }

void World::Say(const std::function<std::string()>& line) {
  if (!trace_) return;
  trace_(fmt::format("{:12.6f}  {}", ToSeconds(now_ - began_), line()));
}

bool World::AllEnded() const {
  return std::all_of(ledger_.runs().begin(), ledger_.runs().end(),
                     [](const auto& entry) { return IsFinal(entry.second.run.state); });
}

Report World::Run() {
  StartCoordinator();
  for (std::uint32_t i = 0; i < machines_.size(); ++i) StartWorkerLater(i, Seconds(3));
  std::uint32_t runs = dice_.OneIn(3) ? dice_.Between(2, 3) : 1;
  if (rehearsal_ != nullptr) runs = 1;
  unsubmitted_ = runs;
  for (std::uint32_t i = 0; i < runs; ++i) {
    Push(now_ + (i == 0 ? Duration{} : dice_.Time({}, std::chrono::seconds(60))), What::Trouble,
         kSubmit + kNew);
  }
  PlanTrouble();
  Instant give_up = kNever;
  while (!judge_.failed() && !queue_.empty()) {
    if (calm_ && give_up == kNever) give_up = now_ + kCalmMax;
    const Item item = queue_.top();
    if ((calm_ || rehearsal_ != nullptr) && unsubmitted_ == 0 && AllEnded()) break;
    if (item.at > give_up || steps_ >= kStepsMax) {
      checkers_->DoesNotEnd(coordinator_.get(), CoordinatorNow());
      break;
    }
    queue_.pop();
    now_ = std::max(now_, item.at);
    ++steps_;
    Hash(static_cast<std::uint64_t>(item.what) + std::uint64_t{item.who} * 16);
    Hash(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
    Handle(item);
  }
  if (!judge_.failed()) checkers_->AtTheEnd();
  Finish();
  return std::move(report_);
}

void World::Handle(const Item& item) {
  switch (item.what) {
    case What::ArrivesUp:
      DeliverUp(item.which);
      break;
    case What::ArrivesDown:
      DeliverDown(item.which);
      break;
    case What::CoordinatorWakes:
      if (coordinator_ != nullptr && item.which == wake_) Step(Tick{});
      break;
    case What::CoordinatorStarts:
      if (coordinator_ == nullptr) StartCoordinator();
      break;
    case What::TurnEnds:
      if (coordinator_ != nullptr && turn_open_ && item.which == turn_) EndTurn();
      break;
    case What::TurnLands:
      if (coordinator_ != nullptr && item.who == crashes_ && !ended_.empty()) (void)LandTurn();
      break;
    case What::WorkerWakes:
      if (machines_[item.who].up() && links_[item.who].wake_order == item.which) {
        machines_[item.who].Wake(now_);
        CheckWake(item.who);
      }
      break;
    case What::WorkerStarts:
      if (!machines_[item.who].up()) {
        links_[item.who].starting = false;
        links_[item.who].last_up = links_[item.who].last_down = now_;
        machines_[item.who].Start(now_);
        Say([&] { return machines_[item.who].name() + " is up"; });
        CheckWake(item.who);
      }
      break;
    case What::AttemptEnds:
      machines_[item.who].End(ends_[item.which].second, now_);
      CheckWake(item.who);
      break;
    case What::Trouble:
      MakeTrouble(item.who);
      break;
    case What::CalmBegins:
      BeginCalm();
      break;
  }
  checkers_->OnTime(now_, machines_);
}

void World::Finish() {
  report_.seed = seed_;
  report_.violation = judge_.violation();
  report_.hash = hash_;
  report_.steps = steps_;
  report_.took = now_ - began_;
  report_.runs = static_cast<std::uint32_t>(submitted_.size());
  report_.attempts = checkers_->begun();
  report_.coordinator_crashes = crashes_;
  report_.machine_faults = machine_faults_;
  if (rehearsal_ == nullptr || ledger_.runs().empty()) return;
  const RunRecord& run = ledger_.runs().begin()->second.run;
  report_.end = Name(run.state);
  report_.makespan = run.ended - run.started;
}

// For the timeline of a rehearsal.
void World::Note(const RunEvent& event) {
  using Kind = RunEvent::Kind;
  const Duration at = now_ - began_;
  if (event.kind == Kind::TaskRetrying) ++report_.retries;
  if (event.kind == Kind::TaskStarted) {
    report_.timeline.push_back({event.task, event.attempt, event.worker, at, at, ""});
  }
  if (event.kind != Kind::TaskCompleted && event.kind != Kind::TaskFailed) return;
  for (Played& played : report_.timeline) {
    if (played.task != event.task || played.attempt != event.attempt) continue;
    played.ended = at;
    played.how = event.failure ? Name(*event.failure) : "ok";
  }
}

}  // namespace troupe
