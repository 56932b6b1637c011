// Attempts and their results: numbers, order, what is saved before what, and what stays.
#include <fmt/format.h>

#include <algorithm>

#include "simulation/checkers.h"

namespace troupe {

void Checkers::OnLanded(const Batch& batch, const std::vector<RunEvent>& tell, Instant now) {
  (void)tell;
  (void)now;
  for (const AttemptRecord& attempt : batch.attempts) CheckAttempt(attempt);
  for (const TaskRecord& task : batch.tasks) {
    const LedgerRun* run = ledger_.Find(task.run);
    if (run == nullptr || redriving_ == task.run) continue;
    const auto before = run->tasks.find(task.task.value);
    if (before != run->tasks.end()) CheckResult(before->second, task);
  }
  ledger_.Take(batch);
  redriving_ = {};
}

void Checkers::CheckResult(const TaskRecord&, const TaskRecord&) {}
void Checkers::CheckAttempt(const AttemptRecord&) {}
void Checkers::OnSend(const Outgoing&, Instant) {}
void Checkers::OnAccepted(const std::string&, RunId) {}
void Checkers::OnBegan(const Machine&, const AttemptSpec&, Instant) { ++begun_; }
void Checkers::OnEnded(const Machine&, const AttemptOutcome&) {}
void Checkers::OnForgot(const Machine&, const AttemptId&) {}
void Checkers::OnTime(Instant, const std::deque<Machine>&) {}
void Checkers::AtTheEnd() {}

}  // namespace troupe
