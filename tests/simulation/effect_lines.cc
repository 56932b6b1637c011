#include "tests/simulation/effect_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace troupe {
namespace {

std::string Secs(Duration d) { return fmt::format("{:.9g}s", ToSeconds(d)); }

std::string NameOf(const HookRecord& hook) {
  return fmt::format("{}[{}]", Name(static_cast<HookList>(hook.list)), hook.index);
}

// What no record says.
bool SaysMore(RunEvent::Kind kind) {
  using Kind = RunEvent::Kind;
  return kind == Kind::StageCompleted || kind == Kind::TaskRetrying || kind == Kind::TaskFallback ||
         kind == Kind::AgentShut || kind == Kind::WorkerLost;
}

}  // namespace

std::string EffectLines::Since(Instant at) const { return Secs(at - start_); }

std::string EffectLines::NameOf(const AttemptId& id) const {
  const LedgerRun* run = ledger_.Find(id.run);
  if (run == nullptr) return ToString(id);
  const std::string name =
      id.subject == Subject::Task ? run->FullId(id.index) : troupe::NameOf(run->hooks.at(id.index));
  return fmt::format("{}#{}", name, id.number);
}

void EffectLines::Show(const std::string& line) {
  if (shown_at_ != now_) lines_.push_back(fmt::format("at {}:", Since(now_)));
  shown_at_ = now_;
  lines_.push_back(line);
}

void EffectLines::Landed(const Batch& batch) {
  for (const AttemptRecord& r : batch.attempts) {
    const auto& failure = r.outcome.failure;
    Show(fmt::format("record {}: {}{} ({}{}, since {})", NameOf(r.outcome.id),
                     r.outcome.never_started ? "it never began"
                     : failure               ? Name(*failure)
                                             : "ok",
                     r.accepted ? "" : ", too late", r.worker,
                     r.agent.empty() ? "" : " with " + r.agent, Since(r.dispatched)));
  }
  for (const TaskRecord& r : batch.tasks) ShowTask(r);
  for (const HookRecord& r : batch.hooks) ShowHook(r);
  for (const AgentRecord& r : batch.agents) ShowAgent(r);
  for (const RunRecord& r : batch.runs) ShowRun(r);
}

void EffectLines::ShowTask(const TaskRecord& r) {
  const std::string name = ledger_.Find(r.run)->FullId(r.task.value);
  std::string text = fmt::format("{} {}", name, Name(r.state));
  if (r.state == TaskState::Waiting) text += " until " + Since(r.due);
  if (r.dead_letter) text += ", a dead letter";
  said_.insert(name);
  ShowChange(fmt::format("{} task {}", r.run.value, r.task.value), text,
             r.state != TaskState::Running || r.joins);
}

void EffectLines::ShowHook(const HookRecord& r) {
  const std::string name = troupe::NameOf(r);
  said_.insert(name);
  ShowChange(fmt::format("{} hook {}", r.run.value, r.execution),
             fmt::format("{}{} {}", name, r.stage.empty() ? "" : " of " + r.stage, Name(r.state)));
}

void EffectLines::ShowAgent(const AgentRecord& r) {
  std::string text = fmt::format("agent {} ", r.agent);
  if (r.breaker_open && r.probe_attempt != 0) {
    text +=
        "half open, tried with " + NameOf({r.run, Subject::Task, r.probe_task, r.probe_attempt});
  } else if (r.breaker_open) {
    text += "shut by its breaker until " + Since(r.opens);
  } else if (r.shut_until > now_) {
    text += "shut until " + Since(r.shut_until);
  } else {
    text += fmt::format("not shut, failures: {}", r.failures.size());
  }
  ShowChange(fmt::format("{} agent {}", r.run.value, r.agent), text);
}

void EffectLines::ShowRun(const RunRecord& r) {
  std::string text = fmt::format("run {} {}", r.id.value, Name(r.state));
  if (r.round > 0) text += fmt::format(", round {}", r.round + 1);
  if (r.aborting) text += ", aborting";
  if (r.cancelling) text += ", cancelling";
  if (IsFinal(r.state) && !r.first_failure.empty()) text += ": " + r.first_failure;
  said_.insert("");
  ShowChange(fmt::format("{}", r.id.value), text);
}

void EffectLines::ShowChange(const std::string& key, const std::string& text, bool show) {
  if (std::exchange(last_[key], text) != text && show) Show(text);
}

void EffectLines::Sent(const std::string& worker, const FromCoordinator& message, bool lost) {
  const std::string end = lost ? ", but it is lost" : "";
  const auto to = [&](const std::string& what) {
    Show(fmt::format("-> {} {}{}", worker, what, end));
  };
  if (const auto* dispatch = std::get_if<Dispatch>(&message)) {
    for (const AttemptSpec& spec : dispatch->specs) {
      to(fmt::format("runs {}{}", NameOf(spec.id),
                     spec.agent.empty() ? "" : " with " + spec.agent));
    }
  } else if (const auto* stop = std::get_if<Stop>(&message)) {
    for (const AttemptId& id : stop->ids) to((stop->discard ? "drops " : "stops ") + NameOf(id));
  } else if (const auto* committed = std::get_if<Committed>(&message)) {
    for (const AttemptId& id : committed->ids) to("forgets " + NameOf(id));
  } else if (const auto* refused = std::get_if<Refused>(&message)) {
    to("is refused: " + refused->message);
  } else if (const auto* reply = std::get_if<ClientReply>(&message)) {
    if (!reply->error.empty()) Show("refused: " + reply->error);
  } else if (std::holds_alternative<Welcome>(message)) {
    to("is welcome");
  } else if (std::holds_alternative<UnknownWorker>(message)) {
    to("is to say hello again");
  }
}

void EffectLines::Told(const RunEvent& event) {
  using Kind = RunEvent::Kind;
  const bool said = event.kind == Kind::WorkerJoined || said_.contains(event.task);
  if (said && !SaysMore(event.kind)) return;
  std::string text = fmt::format("told {}", Name(event.kind));
  const bool lost = event.kind == Kind::WorkerLost;
  for (const std::string& word : {event.task, event.stage, event.agent, lost ? event.worker : ""}) {
    if (!word.empty()) text += " " + word;
  }
  if (event.retries > 0) text += fmt::format(", retry {} of {}", event.retry, event.retries);
  if (event.delay) text += " in " + Secs(*event.delay);
  Show(text);
}

void EffectLines::WakesFor(const Coordinator& coordinator) {
  Instant wake = kNever;
  for (const auto& [id, run] : coordinator.runs()) wake = std::min(wake, run.NextTime(now_));
  if (std::exchange(wake_, wake) != wake && wake != kNever) Show("wakes at " + Since(wake));
}

}  // namespace troupe
