// What people and programs are told as a run goes on: progress, plain lines, `--json`.
//
// Told only after the commit of the step it belongs to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/failure.h"
#include "base/ids.h"
#include "base/time.h"

namespace troupe {

struct RunEvent {
  enum class Kind : std::uint8_t {
    RunStarted,
    RunResumed,
    HookStarted,
    HookFinished,
    StageCompleted,
    TaskStarted,
    TaskRetrying,
    TaskFallback,
    TaskCompleted,
    TaskFailed,
    TaskSkipped,
    TaskBlocked,
    TaskCancelled,
    TaskDeadLettered,
    WorkerJoined,
    WorkerLost,
    RunPaused,
    RunFinished,
    AgentShut,  // Its rate limit or its breaker: nothing starts with it for `delay`.
  };
  Kind kind = Kind::RunStarted;
  Instant at{};
  RunId run{};
  std::string task = "";  // Full id; for hooks "pre_workflow[0]".
  std::uint32_t attempt = 0;
  std::string agent = "";  // TaskFallback: the one that takes over.
  std::string worker = "";
  std::string stage = "";
  std::optional<Duration> duration = {};
  std::optional<FailureClass> failure = {};
  std::string message = "";            // Why; a hook's description or command.
  std::optional<Duration> delay = {};  // TaskRetrying: until the next attempt.
  std::uint32_t retry = 0;             // TaskRetrying: this is retry n …
  std::uint32_t retries = 0;           // … of so many.
  std::string status = "";             // RunFinished, HookFinished: "succeeded".
  bool operator==(const RunEvent&) const = default;
};
inline constexpr int kRunEventKindCount = 19;

std::string_view Name(RunEvent::Kind kind);  // "task_started"

}  // namespace troupe
