// Records with every field set to something that is not its default.
#pragma once

#include "storage/records.h"

namespace troupe {

inline Instant At(int seconds) { return Instant{} + std::chrono::seconds(1'700'000'000 + seconds); }

inline RunRecord SampleRun(std::uint64_t id) {
  return {.id = RunId{id},
          .workflow_name = "flow",
          .workflow_version = "2.1",
          .file = "/w/flow.yaml",
          .chosen_workflow = "release",
          .run_dir = "/w",
          .inputs_json = R"({"city":"Łódź"})",
          .key = "k-1",
          .state = RunState::Failed,
          .phase = RunPhase::ErrorHooks,
          .round = 2,
          .aborting = true,
          .cancelling = true,
          .created = At(1),
          .started = At(2),
          .ended = At(3),
          .retries_used = 4,
          .failures = 5,
          .first_failure = "task \"a\": timeout: late",
          .first_failure_stage = "build",
          .tasks = 6,
          .settled = 7,
          .slots = {3, 1, 2},
          .outputs_json = "{}",
          .state_json = R"({"n":1})",
          .stages_done = {"build"}};
}

inline TaskRecord SampleTask(std::uint64_t run, std::uint32_t task) {
  return {.run = RunId{run},
          .task = TaskId{task},
          .state = TaskState::Waiting,
          .dead_letter = true,
          .joins = true,
          .attempts = 9,
          .step = 1,
          .first_iteration = 70'000,
          .iterations = 13,
          .attempts_by_step = {2, 7},
          .due = At(8),
          .ready_since = At(9),
          .worker = "w4",
          .first_started = At(10),
          .attempt_started = At(11),
          .ended = At(12),
          .failure = FailureClass::HookFailed,
          .fingerprint = 0xFFFF'FFFF'FFFF'FFFFull,
          .extra = RecordExtras{.step_failures = 3,
                                .losses = 4,
                                .lost_attempts = {5, 300},
                                .rate_limits = 6,
                                .rate_limit_waited = std::chrono::seconds(7),
                                .unfit_workers = {"w1"},
                                .failed_workers = {"w2", "w3"},
                                .message = std::string("bad \0 byte", 10),
                                .notice = "done"}};
}

inline AttemptRecord SampleAttempt(const AttemptId& id) {
  return {.outcome = {.id = id,
                      .failure = FailureClass::RateLimited,
                      .message = "429",
                      .output = "out",
                      .error_output = "err",
                      .result_json = "[1]",
                      .started = At(1),
                      .ended = At(2),
                      .exit_code = -7,
                      .signal = 9,
                      .retry_after = std::chrono::seconds(30),
                      .usage = {.input_tokens = 1, .output_tokens = 2, .cost_usd = 0.25},
                      .session = "s",
                      .denied_tools = {"Bash"},
                      .never_started = true,
                      .events = "{}\n"},
          .worker = "w1",
          .agent = "writer",
          .dispatched = At(0),
          .accepted = false};
}

inline HookRecord SampleHook(std::uint64_t run, std::uint32_t execution) {
  return {.run = RunId{run},
          .execution = execution,
          .list = 3,
          .index = 2,
          .stage = "build",
          .round = 1,
          .state = HookState::Cancelled,
          .attempts = 2,
          .losses = 1,
          .command = "true",
          .description = "d",
          .worker = "w1",
          .ready_since = At(1),
          .started = At(2),
          .ended = At(3),
          .exit_code = 4,
          .message = "m",
          .output = "o",
          .error_output = "e"};
}

inline AgentRecord SampleAgent(std::uint64_t run, const std::string& name) {
  return {.run = RunId{run},
          .agent = name,
          .shut_since = At(1),
          .shut_until = At(2),
          .rate_limits = 3,
          .failures = {At(4), At(5)},
          .breaker_open = true,
          .opens = At(6),
          .probe_task = 7,
          .probe_attempt = 8};
}

}  // namespace troupe
