// What goes wrong, when, and what people do meanwhile; how agents behave.
#include <fmt/format.h>

#include <algorithm>

#include "simulation/world.h"

namespace troupe {

using std::chrono::milliseconds;
using std::chrono::seconds;

void World::PlanTrouble() {
  const std::uint32_t minutes = 1 + dice_.Below(dice_.OneIn(4) ? 6 : 2);
  const Duration lasts = seconds(60) * (rehearsal_ == nullptr ? minutes : 30);
  const std::uint32_t kinds[] = {faults_.partitions, faults_.worker_crashes, faults_.leaves,
                                 faults_.reboots,    faults_.machine_losses, faults_.operators};
  for (std::uint32_t kind = 0; kind < 6; ++kind) {
    for (std::uint32_t n = kinds[kind] * static_cast<std::uint32_t>(lasts / seconds(60)); n > 0;
         --n) {
      Push(now_ + dice_.Time({}, lasts), What::Trouble, kind);
    }
  }
  Push(now_ + (kinds[0] + kinds[1] + kinds[2] + kinds[3] + kinds[4] + kinds[5] == 0 &&
                       faults_.loss == 0 && faults_.crash_after_commit == 0
                   ? Duration{}
                   : lasts),
       What::CalmBegins);
}

void World::CheckWake(std::uint32_t machine) {
  const Machine& m = machines_[machine];
  Link& link = links_[machine];
  if (!m.up()) {
    if (!link.starting) StartWorkerLater(machine, seconds(40));
    return;
  }
  const Instant at = m.wake_at();
  if (at == kNever) return;
  Push(std::max(at, now_), What::WorkerWakes, machine, order_ + 1);
  link.wake_order = order_;
}

void World::StartWorkerLater(std::uint32_t machine, Duration most) {
  links_[machine].starting = true;
  links_[machine].wake_order = 0;
  Push(now_ + (calm_ ? Duration(1'000) : dice_.Skewed(most)), What::WorkerStarts, machine);
}

void World::MakeTrouble(std::uint32_t kind) {
  if (kind == kTidy) return TidyUp();
  if (kind >= kSubmit) return Submit(kind - kSubmit);
  if (calm_) return;
  if (kind == 5) return Operate();
  const std::uint32_t index = dice_.Below(machines_.size());
  Machine& machine = machines_[index];
  ++machine_faults_;
  if (kind == 0) {
    const Instant until = now_ + dice_.Skewed(seconds(200));
    const std::uint32_t ways = dice_.Between(1, 3);
    if ((ways & 1) != 0) links_[index].cut_up = until;
    if ((ways & 2) != 0) links_[index].cut_down = until;
    Say([&] { return fmt::format("{} is cut off, ways {}", machine.name(), ways); });
    return;
  }
  constexpr const char* kNames[] = {"", "killed", "told to leave", "rebooted", "lost"};
  Say([&] { return fmt::format("{} is {}", machine.name(), kNames[kind]); });
  if (kind == 1) machine.Kill();
  if (kind == 2 && machine.up()) machine.Leave(now_);
  if (kind == 3) machine.Reboot(now_);
  if (kind == 4) machine.Lose();
  if (!machine.up() && !links_[index].starting) StartWorkerLater(index, seconds(60));
}

void World::Operate() {
  if (coordinator_ == nullptr || submitted_.empty()) return;
  const std::uint32_t action = dice_.Below(12);
  if (action == 0 && submitted_.size() < 5) {
    return Submit(kNew);
  }
  const std::uint32_t number = dice_.Below(submitted_.size());
  const Submitted& some = submitted_[number];
  const RunId run = some.run;
  const auto command = [&](CommandKind kind) {
    Say([&] { return fmt::format("command {} for run {}", static_cast<int>(kind), run.value); });
    Step(PeerSpoke{"client", ClientCommand{.request = 1, .kind = kind, .run = run}});
  };
  switch (action) {
    case 1:
      return Submit(number);
    case 2:
      return command(CommandKind::Cancel);
    case 3:
      return command(CommandKind::Pause);
    case 4:
      Say([&] { return fmt::format("run {} is paused and stopped", run.value); });
      return Step(PauseRun{run, true});
    case 5:
    case 6:
      return command(CommandKind::Resume);
    case 7:
    case 8:
      return Redrive(run);
    case 9:
      if (dice_.OneIn(4)) return command(CommandKind::Delete);
      return Discard(run);
    default:
      break;
  }
  Machine& machine = machines_[dice_.Below(machines_.size())];
  if (action == 10 && machine.up()) {
    machine.options().slots = 1 + dice_.Below(4);
    machine.Change(now_);
    CheckWake(IndexOf(machine));
    return;
  }
  Step(PeerSpoke{"client",
                 ClientDrain{.request = 1, .worker = machine.name(), .on = !dice_.OneIn(3)}});
}

// No more faults: all that is down or cut off comes back.
void World::BeginCalm() {
  Say([] { return std::string("no more faults"); });
  calm_ = true;
  full_until_ = now_;
  for (std::uint32_t i = 0; i < machines_.size(); ++i) {
    links_[i].cut_up = links_[i].cut_down = now_;
    if (!machines_[i].up()) StartWorkerLater(i, {});
  }
  if (coordinator_ == nullptr) Push(now_, What::CoordinatorStarts);
  for (const std::int64_t wait : {0, 20, 120, 600, 3'000}) {
    Push(now_ + seconds(wait), What::Trouble, kTidy);
  }
}

// The operators want to see the end of it.
void World::TidyUp() {
  if (coordinator_ == nullptr) return;
  for (const Machine& machine : machines_) {
    Step(PeerSpoke{"client", ClientDrain{.request = 1, .worker = machine.name(), .on = false}});
  }
  for (const auto& [id, run] : ledger_.runs()) {
    if (!IsFinal(run.run.state)) Step(ResumeRun{id});
  }
}

AttemptModel World::Model(const AttemptSpec& spec) {
  AttemptModel model;
  model.takes = rehearsal_ == nullptr ? Duration(1'000) + dice_.Skewed(slowest_)
                                      : dice_.Time(rehearsal_->fastest, rehearsal_->slowest);
  if (rehearsal_ == nullptr && spec.timeout > seconds(600) && dice_.OneIn(8)) {
    model.takes = dice_.Time(seconds(60), seconds(800));
  }
  if (rehearsal_ != nullptr && spec.kind != RunnerKind::Hook) {
    const auto measured = rehearsal_->measured.find(MeasuredName(spec.task));
    if (measured != rehearsal_->measured.end()) {
      const Measured& like = measured->second[dice_.Below(measured->second.size())];
      model.takes = like.took;
      model.cost_usd = like.cost_usd;
    }
  }
  model.stopping = dice_.OneIn(3) ? dice_.Skewed(seconds(7)) : milliseconds(10);
  model.message = "model";
  const bool hook = spec.kind == RunnerKind::Hook;
  if (dice_.Chance(hook ? failing_ / 2 : failing_)) {
    model.failure = hook ? FailureClass::AgentError : classes_[dice_.Below(classes_.size())];
    if (spec.kind == RunnerKind::Collection) model.failure = FailureClass::AgentError;
    if (dice_.OneIn(2)) model.retry_after = dice_.Skewed(seconds(60));
  }
  if (faults_.agents && rehearsal_ == nullptr && dice_.OneIn(40)) {  // It hangs.
    model.takes = spec.timeout > Duration{} ? spec.timeout : seconds(600);
    model.failure = FailureClass::Timeout;
  } else if (spec.timeout > Duration{} && model.takes >= spec.timeout) {
    model.takes = spec.timeout;
    model.failure = FailureClass::Timeout;
  }
  model.output = fmt::format("{} of {}\n", spec.task, ToString(spec.id));
  if (spec.kind == RunnerKind::Collection) {
    constexpr const char* kItems[] = {"[]", "[1]", "[1,\"b\",{\"c\":3}]", "5"};
    model.result_json = kItems[dice_.Below(4)];
  } else if (!dice_.OneIn(6)) {
    model.result_json = fmt::format("{{\"n\":{}}}", dice_.Below(3));
  }
  return model;
}

}  // namespace troupe
