// The coordinator's shell: as its daemon, but with a disk that fails and a process that is killed
// between any two of its steps.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "coordinator/advance.h"
#include "coordinator/resume.h"
#include "simulation/workload.h"
#include "simulation/world.h"
#include "workflow/compile.h"

namespace troupe {

void World::StartCoordinator() {
  if (!calm_ && dice_.Chance(faults_.clock_jumps)) {
    shift_ += dice_.Time(std::chrono::seconds(-300), std::chrono::seconds(300));
  }
  CoordinatorOptions options = options_;
  options.seed = dice_.Next();
  const RunId next{disk_.LastRun()->value + 1};
  coordinator_ = std::make_unique<Coordinator>(options, next);
  Say([] { return std::string("the coordinator is up"); });
  for (const RunRecord& run : *disk_.Runs()) {
    coordinator_->KnowKey(run.key, run.id);
    if (IsFinal(run.state)) continue;
    Resumable saved{.checkpoint = *disk_.Load(run.id), .plan = ledger_.Find(run.id)->plan};
    saved.outcomes = *LoadOutcomes(disk_, saved.checkpoint, *saved.plan);
    coordinator_->Restore(saved, false, CoordinatorNow(), effects_);
  }
  for (const std::uint64_t flight : std::exchange(backlog_, {})) {
    if (!calm_ && dice_.OneIn(2)) {
      (void)Take(flight);
    } else {
      Push(now_, What::ArrivesUp, 0, flight);
    }
  }
  turn_open_ = true;
  EndTurn();
}

void World::CrashCoordinator(const char* why) {
  Say([&] { return fmt::format("the coordinator is killed: {}", why); });
  ++crashes_;
  coordinator_.reset();
  effects_ = {};
  ended_.clear();
  turn_open_ = false;
  const bool at_once = calm_ || dice_.OneIn(3);
  Push(now_ + (at_once ? Duration(1'000) : dice_.Skewed(std::chrono::seconds(90))),
       What::CoordinatorStarts);
}

// Some messages come together: they make one turn.
void World::Step(const Event& event) {
  coordinator_->Step(event, CoordinatorNow(), effects_);
  if (!turn_open_) ++turn_;
  turn_open_ = true;
  if (dice_.OneIn(4)) {
    Push(now_ + Duration(dice_.Below(3'000)), What::TurnEnds, 0, turn_);
  } else {
    EndTurn();
  }
}

World::TurnFate World::DrawFate() {
  if (calm_) return TurnFate::Good;
  if (full_until_ > now_) return TurnFate::Full;
  if (dice_.Chance(faults_.disk_full)) {
    full_until_ = now_ + dice_.Time(std::chrono::seconds(1), std::chrono::seconds(60));
    return TurnFate::Full;
  }
  if (dice_.Chance(faults_.crash_before_commit)) return TurnFate::DiesBefore;
  if (dice_.Chance(faults_.crash_after_commit)) return TurnFate::DiesAfter;
  if (dice_.Chance(faults_.commit_fails)) return TurnFate::Fails;
  if (dice_.Chance(faults_.commit_lies)) return TurnFate::Lies;
  return TurnFate::Good;
}

// As the daemon does it: a turn ends at once, and lands later, when those before it have.
void World::EndTurn() {
  if (ended_.size() >= kLandingMax && !LandTurn()) return;
  turn_open_ = false;
  Ended& turn = ended_.emplace_back();
  turn.at = CoordinatorNow();
  std::swap(turn.effects, effects_);
  coordinator_->EndTurn(turn.at, turn.effects);
  wake_at_ = turn.effects.wake_at;
  if (wake_at_ == kNever) {
    wake_ = 0;
  } else {
    Push(std::max(wake_at_ - shift_, now_), What::CoordinatorWakes, 0, order_ + 1);
    wake_ = order_;
  }
  if (ended_.size() == 1 && !dice_.OneIn(4)) {
    (void)LandTurn();
  } else {
    const std::uint32_t slowest = dice_.OneIn(100) ? 3'000'000 : 10'000;  // Microseconds.
    Push(now_ + Duration(dice_.Below(slowest)), What::TurnLands, crashes_);
  }
}

// The oldest one that has not landed. False: the coordinator is gone.
bool World::LandTurn() {
  const TurnFate fate = DrawFate();
  if (fate == TurnFate::DiesBefore) {
    CrashCoordinator("before the commit");
    return false;
  }
  disk_.Set(fate == TurnFate::Fails  ? SimulatedDisk::Next::Fails
            : fate == TurnFate::Lies ? SimulatedDisk::Next::Lies
            : fate == TurnFate::Full ? SimulatedDisk::Next::Full
                                     : SimulatedDisk::Next::Lands);
  Ended turn = std::move(ended_.front());
  ended_.pop_front();
  landing_ = &turn;
  std::uint32_t sent_max = fate == TurnFate::DiesAfter ? dice_.Below(3) : 0xFFFF'FFFFu;
  const Status done = Land(disk_, turn.effects, [&](const Outgoing& outgoing) {
    if (sent_max == 0) return;
    --sent_max;
    checkers_->OnSend(outgoing, now_);
    SendDown(outgoing);
  });
  if (done && turn.effects.save.empty()) checkers_->OnLanded({}, turn.effects.tell, turn.at);
  landing_ = nullptr;
  disk_.Set(SimulatedDisk::Next::Lands);
  if (!done) {
    CrashCoordinator(done.error().message.c_str());
    return false;
  }
  if (fate == TurnFate::DiesAfter) {
    CrashCoordinator("after the commit");
    return false;
  }
  AfterTurn(turn.effects);
  return true;
}

bool World::LandAll() {
  while (!ended_.empty()) {
    if (!LandTurn()) return false;
  }
  return true;
}

void World::AfterTurn(const Effects& effects) {
  for (const SubmitReply& reply : effects.replies) {
    Submitted& s = submitted_[reply.request];
    checkers_->OnAccepted(s.key, reply.run);
    s.run = reply.run;
  }
  if (rehearsal_ != nullptr) {
    for (const RunEvent& event : effects.tell) Note(event);
  }
  if (trace_) {
    for (const RunEvent& event : effects.tell) {
      Say([&] {
        return fmt::format("  run {}: {} {} {} {}{}{}", event.run.value, Name(event.kind),
                           event.task, event.attempt == 0 ? "" : std::to_string(event.attempt),
                           event.worker, event.failure ? Name(*event.failure) : "", event.status);
      });
    }
  }
  if (!ended_.empty() || turn_open_) return;  // Memory is ahead of the disk.
  checkers_->OnTurn(*coordinator_, disk_, CoordinatorNow(), wake_at_);
}

// `number`: of a new one, or of one that is submitted once more.
void World::Submit(std::uint32_t number) {
  if (coordinator_ == nullptr) {
    Push(now_ + std::chrono::seconds(5), What::Trouble, kSubmit + number);
    return;
  }
  if (number >= submitted_.size()) {
    const std::string key = fmt::format("k{}", submitted_.size());
    Submitted s{.key = key};
    if (rehearsal_ != nullptr) {
      s.text = rehearsal_->text;
      s.plan = rehearsal_->plan;
    } else {
      s.text = DrawWorkflow(dice_);
      const Compiled compiled = CompileWorkflow(s.text, {});
      if (compiled.plan == nullptr) {
        judge_.Complain("workload", s.text + FormatProblems("drawn.yaml", compiled.problems));
        return;
      }
      s.plan = compiled.plan;
    }
    Say([&] { return "submitted as " + key + ":\n" + s.text; });
    ledger_.KnowPlan(key, s.plan);
    submitted_.push_back(std::move(s));
    unsubmitted_ -= unsubmitted_ > 0 ? 1 : 0;
  }
  const std::size_t index = std::min<std::size_t>(number, submitted_.size() - 1);
  const Submitted& s = submitted_[index];
  SubmitRun submit{.request = index, .plan = s.plan, .text = s.text};
  submit.draft.workflow_name = s.plan->name;
  submit.draft.run_dir = "/";
  submit.draft.key = s.key;
  if (rehearsal_ != nullptr) submit.draft.inputs_json = rehearsal_->inputs_json;
  Step(submit);
}

// As the daemon does it: commit, restore, go on.
void World::Redrive(RunId run) {
  if (coordinator_ == nullptr || !LandAll()) return;
  const LedgerRun* ledger = ledger_.Find(run);  // What has just landed may have deleted it.
  if (ledger == nullptr || !IsFinal(ledger->run.state)) return;
  if (ledger->run.state == RunState::Succeeded || coordinator_->Find(run) != nullptr) return;
  Resumable saved{.checkpoint = *disk_.Load(run), .plan = ledger->plan};
  saved.outcomes = *LoadOutcomes(disk_, saved.checkpoint, *saved.plan);
  const Result<Reworked> redriven = troupe::Redrive(disk_, saved, {});
  if (!redriven) return;
  Say([&] { return fmt::format("run {} is redriven", run.value); });
  const TurnFate fate = DrawFate();
  disk_.Set(fate == TurnFate::Fails  ? SimulatedDisk::Next::Fails
            : fate == TurnFate::Lies ? SimulatedDisk::Next::Lies
            : fate == TurnFate::Full ? SimulatedDisk::Next::Full
                                     : SimulatedDisk::Next::Lands);
  checkers_->Redriving(run);
  const Status committed = disk_.Commit(redriven->save);
  disk_.Set(SimulatedDisk::Next::Lands);
  if (!committed) {
    CrashCoordinator("a redrive was not committed");
    return;
  }
  coordinator_->Restore(redriven->run, false, CoordinatorNow(), effects_);
  Step(ResumeRun{run});
}

void World::Discard(RunId run) {
  if (coordinator_ == nullptr || !LandAll()) return;
  const LedgerRun* ledger = ledger_.Find(run);
  if (ledger == nullptr || !IsFinal(ledger->run.state)) return;
  const Result<Batch> batch =
      DiscardDeadLetters({.checkpoint = *disk_.Load(run), .plan = ledger->plan}, {});
  if (!batch || batch->empty()) return;
  checkers_->Redriving(run);
  (void)disk_.Commit(*batch);
}

}  // namespace troupe
