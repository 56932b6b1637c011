// `troupe logs`: what attempts and hooks printed; of running ones what their spool has so far.
#include <fmt/format.h>
#include <poll.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "cli/commands.h"
#include "cli/state.h"
#include "cli/text.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

void PrintOutput(const std::string& heading, const std::string& output, const std::string& error) {
  fmt::print("=== {}\n", heading);
  for (const std::string* text : {&output, &error}) {
    if (text->empty()) continue;
    if (text == &error) fmt::print("--- stderr\n");
    std::fwrite(text->data(), 1, text->size(), stdout);
    if (text->back() != '\n') fmt::print("\n");
  }
}

// The spool directory of an attempt that a local worker holds; empty if there is none.
fs::path SpoolOf(const fs::path& state_dir, const AttemptId& id) {
  std::error_code error;
  for (const auto& worker : fs::directory_iterator(state_dir / "workers", error)) {
    fs::path spool = worker.path() / "spool" / ToString(id);
    if (fs::exists(spool, error)) return spool;
  }
  return {};
}

std::string ReadFrom(const fs::path& path, std::size_t offset) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  return {std::istreambuf_iterator<char>(file), {}};
}

// Prints what is new since the last call.
class LogPrinter {
 public:
  LogPrinter(const StateOptions& options, std::uint32_t task) : options_(options), task_(task) {}

  void Print(const StoredRun& run) {
    for (std::uint32_t i = 0; i < run.plan->tasks.size(); ++i) {
      if (task_ == kNone || task_ == i) PrintTask(run, i);
    }
  }

 private:
  void PrintTask(const StoredRun& run, std::uint32_t task) {
    const TaskRecord& record = run.live->Record(task);
    if (record.attempts == 0) return;
    const std::string name = Escaped(run.plan->tasks[task].id);
    const auto attempts =
        run.store->Attempts(run.checkpoint.run.id, Subject::Task, record.task.value);
    if (!attempts) return;
    for (const AttemptRecord& attempt : *attempts) {
      const AttemptOutcome& o = attempt.outcome;
      if (!ended_.insert(o.id).second) continue;
      const std::string how =
          o.failure ? fmt::format("{}: {}", Name(*o.failure), Escaped(o.message)) : "ok";
      const std::string who = attempt.agent.empty() ? "" : ", " + Escaped(attempt.agent);
      const std::string heading = fmt::format("{}, attempt {}{} on {}: {}", name, o.id.number, who,
                                              Escaped(attempt.worker), how);
      if (seen_.contains(o.id)) {
        PrintOutput(heading, "", "");  // Its output was shown as it came.
      } else {
        PrintOutput(heading, o.output, o.error_output);
      }
    }
    if (record.state == TaskState::Running) {
      PrintRunning({record.run, Subject::Task, record.task.value, record.attempts}, name);
    }
  }

  void PrintRunning(const AttemptId& id, const std::string& name) {
    const fs::path spool = SpoolOf(options_.state_dir, id);
    if (spool.empty()) return;
    Seen& seen = seen_[id];
    const std::string output = ReadFrom(spool / "stdout", seen.output);
    const std::string error = ReadFrom(spool / "stderr", seen.error);
    if (seen.told && output.empty() && error.empty()) return;
    seen.told = true;
    seen.output += output.size();
    seen.error += error.size();
    PrintOutput(fmt::format("{}, attempt {}: running", name, id.number), output, error);
  }

  struct Seen {
    std::size_t output = 0;
    std::size_t error = 0;
    bool told = false;
  };
  const StateOptions& options_;
  std::uint32_t task_;
  std::set<AttemptId> ended_;
  std::map<AttemptId, Seen> seen_;
};

void PrintHooks(const StoredRun& run) {
  for (const HookRecord& hook : run.checkpoint.hooks) {
    PrintOutput(
        fmt::format("{}[{}]{}: {}{}", Name(static_cast<HookList>(hook.list)), hook.index,
                    hook.stage.empty() ? "" : " of " + Escaped(hook.stage), Name(hook.state),
                    hook.message.empty() ? "" : ", " + Escaped(hook.message)),
        hook.output, hook.error_output);
  }
}

}  // namespace

int ShowLogs(const StateOptions& options) {
  Result<StoredRun> run = OpenRun(options);
  if (!run) return Refuse(run.error().message);
  if (options.hooks) {
    PrintHooks(*run);
    return kExitOk;
  }
  std::uint32_t task = kNone;
  if (!options.task.empty()) {
    const Result<std::uint32_t> found = run->FindTask(options.task);
    if (!found) return Refuse(found.error().message);
    task = *found;
  }
  StateOptions same = options;
  same.run = fmt::format("{}", run->checkpoint.run.id.value);
  LogPrinter printer(options, task);
  for (;;) {
    printer.Print(*run);
    std::fflush(stdout);
    if (!options.follow || IsFinal(run->checkpoint.run.state) || !run->at_work) return kExitOk;
    poll(nullptr, 0, 250);
    run = OpenRun(same);
    if (!run) return Refuse(run.error().message);
  }
}

}  // namespace troupe
