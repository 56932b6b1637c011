// `troupe logs`: what attempts and hooks printed; of running ones what their spool has so far.
#include <fmt/format.h>
#include <poll.h>

#include <cstdio>
#include <map>

#include "cli/checkpoint_view.h"
#include "cli/commands.h"
#include "cli/log_text.h"
#include "cli/print.h"
#include "cli/state.h"
#include "cli/text.h"

namespace troupe {
namespace {

constexpr int kPollMilliseconds = 250;

class LogReader {
 public:
  // `task`: kNone for all of them.
  LogReader(const StateOptions& options, std::uint32_t task) : options_(options), task_(task) {}

  void Print(const StoredRun& run) {
    if (options_.hooks) {
      for (const HookRecord& hook : run.checkpoint.hooks) ReadHook(run, hook);
    } else if (task_ != kNone) {
      ReadTask(run, task_);
    } else {
      for (const std::uint32_t i : run.live->InOrder()) ReadTask(run, i);
    }
    const std::string text = text_.Take();
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

 private:
  void ReadTask(const StoredRun& run, std::uint32_t index) {
    const TaskRecord& task = run.live->Record(index);
    const bool running = IsOnWorker(task);
    const std::uint32_t ended = task.attempts - (running ? 1 : 0);
    // By its number: an index is another task's when more iterations are known.
    const std::uint32_t id = task.task.value;
    if (const auto it = read_.find(id); ended > 0 && (it == read_.end() || it->second < ended)) {
      ReadEnded(run, index);
      read_[id] = ended;
    }
    if (!running) return;
    ReadRunning(run, {task.run, Subject::Task, task.task.value, task.attempts},
                Escaped(run.live->FullId(index)));
  }

  void ReadEnded(const StoredRun& run, std::uint32_t index) {
    const auto attempts = run.store->Attempts(run.checkpoint.run.id, Subject::Task,
                                              run.live->Record(index).task.value);
    if (!attempts) return;
    for (const AttemptRecord& attempt : *attempts) {
      const AttemptOutcome& o = attempt.outcome;
      const std::string how =
          o.failure ? fmt::format("{}: {}", Name(*o.failure), Escaped(o.message)) : "ok";
      const std::string who = attempt.agent.empty() ? "" : ", " + Escaped(attempt.agent);
      text_.Ended(
          o.id, Escaped(run.live->FullId(index)),
          fmt::format("attempt {}{} on {}: {}{}", o.id.number, who, Escaped(attempt.worker), how,
                      attempt.accepted ? "" : " (came too late, after worker_lost; not used)"),
          o.output, o.error_output, o.events);
    }
  }

  void ReadHook(const StoredRun& run, const HookRecord& hook) {
    const AttemptId id{hook.run, Subject::Hook, hook.execution, hook.attempts};
    std::string name = HookName(hook);
    if (!hook.stage.empty()) name += " of " + Escaped(hook.stage);
    if (hook.state == HookState::Running) {
      ReadRunning(run, id, name);
    } else if (hook.state != HookState::Ready) {
      std::string end(Name(hook.state));
      if (!hook.worker.empty()) end += " on " + Escaped(hook.worker);
      if (!hook.message.empty()) end += ": " + Escaped(hook.message);
      text_.Ended(id, name, end, hook.output, hook.error_output, "");
    }
  }

  void ReadRunning(const StoredRun& run, const AttemptId& id, const std::string& name) {
    const auto more = [&](LogText::Stream stream) {
      return run.source->ReadOutput(id, stream, text_.Known(id, stream));
    };
    text_.Running(id, name, more(LogText::Stream::Output), more(LogText::Stream::Error),
                  more(LogText::Stream::Events));
  }

  const StateOptions& options_;
  std::uint32_t task_;
  std::map<std::uint32_t, std::uint32_t> read_;  // TaskId → ended attempts that were read.
  LogText text_;
};

}  // namespace

int ShowLogs(const StateOptions& given) {
  const StateOptions options = WithTask(given);
  Result<StoredRun> run = OpenRun(options);
  if (!run) return Refuse(run.error());
  std::uint32_t task = kNone;
  if (!options.task.empty()) {
    const Result<std::uint32_t> found = run->FindTask(options.task);
    if (!found) return Refuse(found.error());
    task = *found;
  }
  LogReader reader(options, task);
  for (;;) {
    reader.Print(*run);
    if (!options.follow || IsFinal(run->checkpoint.run.state)) return kExitOk;
    if (!run->at_work) {
      Say(fmt::format("troupe: run {} is {}; {}\n", run->checkpoint.run.id.value, run->StateName(),
                      ResumeHint(run->checkpoint.run, options.state_dir)));
      return kExitOk;
    }
    poll(nullptr, 0, kPollMilliseconds);
    if (Status refreshed = run->Refresh(); !refreshed) {
      return Refuse(refreshed.error());
    }
  }
}

}  // namespace troupe
