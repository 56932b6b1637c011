#include "simulation/machine.h"

#include <fmt/format.h>

#include <utility>

namespace troupe {

void Machine::Start(Instant now) {
  ++lives_;
  peer_ = fmt::format("{}/{}", options_.name, lives_);
  options_.incarnation = lives_;
  core_ = std::make_unique<WorkerCore>(options_);
  up_since_ = now;
  heard_ = now;
  std::vector<AttemptId> running;
  std::vector<AttemptOutcome> ended;
  for (const auto& [id, attempt] : spool_) {
    if (attempt.outcome) {
      ended.push_back(*attempt.outcome);
    } else {
      running.push_back(id);
    }
  }
  WorkerEffects effects;
  core_->Begin(running, std::move(ended), now + skew_, effects);
  CarryOut(effects, now);
}

void Machine::Kill() {
  core_.reset();
  wake_at_ = kNever;
}

void Machine::Leave(Instant now) {
  core_->TakeNoMore();
  WorkerEffects effects;
  core_->EndTurn(now + skew_, effects);
  CarryOut(effects, now);
  if (core_ == nullptr) return;
  WorkerEffects last;
  core_->Leave(last);
  for (ToCoordinator& message : last.send) around_.send(*this, std::move(message));
  Kill();
}

void Machine::Reboot(Instant now) {
  Kill();
  for (auto& [id, attempt] : spool_) {
    if (attempt.outcome) continue;
    attempt.model.message = "the machine was restarted";
    Finish(id, attempt, FailureClass::WorkerLost, now);
  }
}

void Machine::Lose() {
  Kill();
  for (auto& [id, attempt] : spool_) {
    if (!attempt.outcome) {
      AttemptOutcome gone;
      gone.id = id;
      gone.failure = FailureClass::WorkerLost;
      around_.ended(*this, gone);
    }
    around_.forgot(*this, id, true);
  }
  spool_.clear();
  options_.spool = dice_.Next() | 1;
  options_.lease = WorkerOptions{}.lease;
  options_.window = WorkerOptions{}.window;
}

void Machine::Hear(const FromCoordinator& message, Instant now) {
  heard_ = now;
  WorkerEffects effects;
  core_->OnMessage(message, now + skew_, effects);
  options_.lease = core_->lease();
  options_.window = core_->window();
  CarryOut(effects, now);
}

void Machine::Wake(Instant now) {
  WorkerEffects effects;
  CarryOut(effects, now);
}

void Machine::Change(Instant now) {
  WorkerEffects effects;
  core_->Change(options_, now + skew_, effects);
  CarryOut(effects, now);
}

// In the order of the daemon: start, stop, what follows, forget, send. It may be killed between.
void Machine::CarryOut(WorkerEffects& effects, Instant now) {
  for (const AttemptSpec& spec : effects.start) {
    if (around_.dies_here()) return Kill();
    Begin(spec, now);
  }
  for (const AttemptId& id : effects.stop) StopAttempt(id, now);
  WorkerEffects after;
  core_->EndTurn(now + skew_, after);
  for (const AttemptId& id : after.stop) StopAttempt(id, now);
  for (const AttemptSpec& spec : after.mimic) {
    core_->OnAttemptEnded(MockOutcome(spec, now + skew_ - spec.mock.sleep, now + skew_),
                          now + skew_);
  }
  if (!after.mimic.empty()) core_->EndTurn(now + skew_, after);
  for (WorkerEffects* e : {&effects, &after}) {
    for (const AttemptId& id : e->forget) {
      if (spool_.erase(id) > 0) around_.forgot(*this, id, false);
    }
    for (ToCoordinator& message : e->send) {
      if (around_.dies_here()) return Kill();
      around_.send(*this, std::move(message));
    }
  }
  wake_at_ = after.wake_at == kNever ? kNever : after.wake_at - skew_;
}

void Machine::Begin(const AttemptSpec& spec, Instant now) {
  around_.began(*this, spec);
  Running running{.kind = spec.kind, .model = around_.model(spec), .started = now};
  running.ends = now + running.model.takes;
  const Instant ends = running.ends;
  spool_[spec.id] = std::move(running);
  around_.end_at(*this, spec.id, ends);
}

void Machine::StopAttempt(const AttemptId& id, Instant now) {
  const auto it = spool_.find(id);
  if (it == spool_.end() || it->second.outcome || it->second.stopped) return;
  Running& running = it->second;
  running.stopped = true;
  if (running.ends <= now + running.model.stopping) return;  // It ends as it would have.
  running.model.failure = FailureClass::Cancelled;
  running.model.message = "stopped";
  running.ends = now + running.model.stopping;
  around_.end_at(*this, id, running.ends);
}

void Machine::End(const AttemptId& id, Instant now) {
  const auto it = spool_.find(id);
  if (it == spool_.end() || it->second.outcome || it->second.ends > now) return;
  Finish(id, it->second, it->second.model.failure, now);
  if (core_ == nullptr) return;  // Its successor finds it.
  core_->OnAttemptEnded(*it->second.outcome, now + skew_);
  Wake(now);
}

void Machine::EndAs(const AttemptId& id, AttemptModel model, Instant now) {
  Running& running = spool_.at(id);
  running.model = std::move(model);
  running.ends = now;
  End(id, now);
}

void Machine::Finish(const AttemptId& id, Running& running, std::optional<FailureClass> failure,
                     Instant now) {
  AttemptOutcome outcome;
  outcome.id = id;
  outcome.failure = failure;
  outcome.started = running.started + skew_;
  outcome.ended = now + skew_;
  outcome.message = failure ? running.model.message : "";
  outcome.usage.cost_usd = running.model.cost_usd;
  if (failure == FailureClass::RateLimited) outcome.retry_after = running.model.retry_after;
  if (!failure) {
    outcome.output = running.model.output;
    outcome.result_json = running.model.result_json;
    outcome.exit_code = 0;
  }
  running.outcome = std::move(outcome);
  around_.ended(*this, *running.outcome);
}

}  // namespace troupe
