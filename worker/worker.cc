#include "worker/worker.h"

#include <algorithm>

#include "base/mutant.h"
#include "protocol/limits.h"

namespace troupe {
namespace {

constexpr Duration kHelloAgain = std::chrono::seconds(1);
constexpr Duration kResend = std::chrono::seconds(2);
constexpr std::size_t kFinishedBytesMax = 8u << 20;  // A message of outcomes is about so large.

}  // namespace

AttemptOutcome MockOutcome(const AttemptSpec& spec, Instant started, Instant ended) {
  AttemptOutcome outcome;
  outcome.id = spec.id;
  outcome.started = started;
  outcome.ended = ended;
  if (spec.mock.fail) {
    outcome.failure = spec.mock.fail;
    outcome.message = "mock failure";
    outcome.retry_after = spec.mock.retry_after;
    return outcome;
  }
  outcome.output = spec.mock.output;
  outcome.result_json = spec.mock.result_json;
  return outcome;
}

void WorkerCore::Begin(const std::vector<AttemptId>& running, std::vector<AttemptOutcome> ended,
                       Instant now, WorkerEffects& effects) {
  for (const AttemptId& id : running) held_[id];
  running_ = running.size();
  heard_ = now;
  for (AttemptOutcome& outcome : ended) {
    FitIntoFrame(outcome);
    held_[outcome.id].outcome = std::move(outcome);
  }
  SayHello(now, effects);
}

void WorkerCore::SayHello(Instant now, WorkerEffects& effects) {
  session_ = 0;
  unsent_.clear();
  next_word_ = now + kHelloAgain;
  next_resend_ = kNever;
  Hello hello;
  hello.worker = options_.name;
  hello.incarnation = options_.incarnation;
  hello.spool = options_.spool;
  hello.slots = options_.slots;
  hello.labels = options_.labels;
  hello.providers = options_.providers;
  hello.draining = draining_;
  hello.number = ++hellos_;
  for (const auto& [id, held] : held_) {
    if (!held.discard) hello.holding.push_back(id);
  }
  effects.send.emplace_back(std::move(hello));
}

void WorkerCore::OnMessage(FromCoordinator message, Instant now, WorkerEffects& effects) {
  heard_ = now;
  abandoned_ = false;
  if (const auto* welcome = std::get_if<Welcome>(&message)) {
    OnWelcome(*welcome, now);
  } else if (auto* dispatch = std::get_if<Dispatch>(&message)) {
    if (dispatch->session == session_) OnDispatch(*dispatch, now, effects);
  } else if (const auto* stop = std::get_if<Stop>(&message)) {
    OnStop(*stop, now, effects);
  } else if (const auto* committed = std::get_if<Committed>(&message)) {
    for (const AttemptId& id : committed->ids) {
      const auto it = held_.find(id);
      if (it != held_.end() && it->second.outcome) Forget(id, effects);
    }
  } else if (const auto* alive = std::get_if<Alive>(&message)) {
    if (session_ != 0 && alive->session == session_ && alive->orders > seen_)
      SayHello(now, effects);
  } else if (std::holds_alternative<UnknownWorker>(message)) {
    if (session_ != 0) SayHello(now, effects);
  } else if (const auto* drain = std::get_if<Drain>(&message)) {
    draining_ = drain->on;
  } else if (const auto* refused = std::get_if<Refused>(&message)) {
    effects.refused = refused->message;
    effects.refused_for_good = !refused->again;
  }
}

void WorkerCore::OnWelcome(const Welcome& welcome, Instant now) {
  if (welcome.hello != hellos_) {  // The answer to the latest hello is on its way, or soon is.
    if (session_ == 0) next_word_ = now + welcome.lease;
    return;
  }
  if (session_ == welcome.session) return;  // Once more.
  session_ = welcome.session;
  seen_ = 0;
  heartbeat_ = welcome.heartbeat;
  lease_ = welcome.lease;
  window_ = welcome.window;
  next_word_ = now + heartbeat_;
  for (const auto& [id, held] : held_) {
    if (held.outcome && !held.discard) unsent_.insert(id);
  }
}

WorkerCore::Order WorkerCore::Count(std::uint64_t number) {
  if (number <= seen_) return Order::Again;
  if (number > seen_ + 1) return Order::Gap;
  seen_ = number;
  return Order::Next;
}

// Takes the specs out of it.
void WorkerCore::OnDispatch(Dispatch& dispatch, Instant now, WorkerEffects& effects) {
  const Order order = Count(dispatch.number);
  if (order == Order::Gap) SayHello(now, effects);  // One before it was lost.
  if (order != Order::Next) return;
  if (leaving_) return;  // The goodbye will not have them.
  for (AttemptSpec& spec : dispatch.specs) {
    const auto [it, added] = held_.try_emplace(spec.id);
    if (!added) continue;
    ++running_;
    if (!options_.work_dir.empty()) spec.run_dir = options_.work_dir;
    if (spec.kind == RunnerKind::Mock) {
      it->second.mock = true;
      const std::pair end{now + spec.mock.sleep, spec.id};
      mocks_.emplace(end, std::move(spec));
    } else {
      effects.start.push_back(std::move(spec));
    }
  }
}

// Always good: an attempt that is to be stopped never gets to be wanted again.
void WorkerCore::OnStop(const Stop& stop, Instant now, WorkerEffects& effects) {
  if (stop.session == session_ && session_ != 0 && Count(stop.number) == Order::Gap) {
    SayHello(now, effects);
  }
  for (const AttemptId& id : stop.ids) {
    const auto it = held_.find(id);
    if (it == held_.end()) continue;
    it->second.discard = it->second.discard || stop.discard;
    if (!it->second.outcome) {
      StopAttempt(id, it->second, now, effects);
    } else if (stop.discard) {
      Forget(id, effects);
    }
  }
}

void WorkerCore::StopAttempt(const AttemptId& id, Held& held, Instant now, WorkerEffects& effects) {
  if (!held.mock) {
    effects.stop.push_back(id);
    return;
  }
  const auto mock = std::find_if(mocks_.begin(), mocks_.end(),
                                 [&](const auto& entry) { return entry.first.second == id; });
  if (mock == mocks_.end()) return;
  AttemptOutcome outcome = MockOutcome(mock->second, now, now);
  outcome.failure = FailureClass::Cancelled;
  outcome.message = "stopped";
  mocks_.erase(mock);
  OnAttemptEnded(std::move(outcome), now);
}

// The coordinator has had its time to come back. Others may be at work on the same tasks by now.
void WorkerCore::Abandon(Instant now, WorkerEffects& effects) {
  abandoned_ = true;
  if (Mutant(Defect::LeaseCheckRemoved)) return;
  for (auto& [id, held] : held_) {
    if (held.outcome) continue;
    held.abandoned = true;
    StopAttempt(id, held, now, effects);
  }
}

void WorkerCore::Change(WorkerOptions options, Instant now, WorkerEffects& effects) {
  options_.slots = options.slots;
  options_.labels = std::move(options.labels);
  options_.providers = std::move(options.providers);
  SayHello(now, effects);
}

void WorkerCore::OnAttemptEnded(AttemptOutcome outcome, Instant) {
  const auto it = held_.find(outcome.id);
  if (it == held_.end() || it->second.outcome) return;
  FitIntoFrame(outcome);
  if (it->second.abandoned && outcome.failure == FailureClass::Cancelled) {
    outcome.failure = FailureClass::WorkerLost;
    outcome.message = "the worker had lost the coordinator for too long, and stopped it";
  }
  --running_;
  unsent_.insert(outcome.id);
  it->second.outcome = std::move(outcome);
}

void WorkerCore::Forget(const AttemptId& id, WorkerEffects& effects) {
  const auto it = held_.find(id);
  if (!it->second.mock) effects.forget.push_back(id);
  unsent_.erase(id);
  held_.erase(it);
}

void WorkerCore::EndMocks(Instant now, WorkerEffects& effects) {
  while (!mocks_.empty() && mocks_.begin()->first.first <= now) {
    const auto ended = mocks_.extract(mocks_.begin());
    AttemptSpec& spec = ended.mapped();
    if (!spec.mock.fail && !spec.output_path.empty()) {
      effects.mimic.push_back(std::move(spec));
    } else {
      OnAttemptEnded(MockOutcome(spec, now - spec.mock.sleep, now), now);
    }
  }
}

void WorkerCore::SendOutcomes(Instant now, WorkerEffects& effects) {
  if (now >= next_resend_) {
    next_resend_ = kNever;
    for (const auto& [id, held] : held_) {
      if (held.outcome) unsent_.insert(id);
    }
  }
  Finished finished;
  std::size_t bytes = 0;
  for (const AttemptId& id : unsent_) {
    const AttemptOutcome& outcome = *held_.at(id).outcome;
    finished.outcomes.push_back(outcome);
    bytes += 256 + outcome.output.size() + outcome.error_output.size() + outcome.result_json.size();
    if (bytes < kFinishedBytesMax) continue;
    effects.send.emplace_back(std::exchange(finished, {}));
    bytes = 0;
  }
  if (!finished.outcomes.empty()) effects.send.emplace_back(std::move(finished));
  if (!unsent_.empty() && next_resend_ == kNever) next_resend_ = now + kResend;
  if (Mutant(Defect::OutcomeForgotten)) {
    for (const AttemptId& id : std::set<AttemptId>(unsent_)) Forget(id, effects);
  }
  unsent_.clear();
}

void WorkerCore::EndTurn(Instant now, WorkerEffects& effects) {
  EndMocks(now, effects);
  std::vector<AttemptId> discarded;
  for (const AttemptId& id : unsent_) {
    if (held_.at(id).discard) discarded.push_back(id);
  }
  for (const AttemptId& id : discarded) Forget(id, effects);
  if (session_ != 0) SendOutcomes(now, effects);
  if (running_ > 0 && !abandoned_ && now >= heard_ + lease_ + window_) {
    Abandon(now, effects);
    if (session_ != 0) SendOutcomes(now, effects);
  }
  if (session_ != 0 && now >= heard_ + lease_) SayHello(now, effects);
  if (now >= next_word_) {
    if (session_ == 0) {
      SayHello(now, effects);
    } else {
      effects.send.emplace_back(Heartbeat{session_});
      next_word_ = now + heartbeat_;
    }
  }
  effects.wake_at = std::min(next_word_, next_resend_);
  if (running_ > 0 && !abandoned_) {
    effects.wake_at = std::min(effects.wake_at, heard_ + lease_ + window_);
  }
  if (!mocks_.empty()) effects.wake_at = std::min(effects.wake_at, mocks_.begin()->first.first);
}

void WorkerCore::Leave(WorkerEffects& effects) {
  if (session_ == 0) return;
  Goodbye goodbye;
  for (const auto& [id, held] : held_) {
    if (!held.discard && !held.mock) goodbye.holding.push_back(id);
  }
  effects.send.emplace_back(std::move(goodbye));
}

}  // namespace troupe
