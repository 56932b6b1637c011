#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>

#include "cli/commands.h"
#include "cli/commands_simulate.h"
#include "cli/past_run.h"
#include "cli/print.h"
#include "cli/read_file.h"
#include "simulation/world.h"
#include "workflow/compile.h"

namespace troupe {
namespace {

constexpr std::size_t kShownMax = 5;

std::string Clock(Duration d) {
  const std::int64_t tenths = d / std::chrono::milliseconds(100);
  return fmt::format("{}:{:02}:{:02}.{}", tenths / 36'000, tenths / 600 % 60, tenths / 10 % 60,
                     tenths % 10);
}

// Runs the seeds on some threads; each world is one thread's own.
class Simulation {
 public:
  Simulation(const SimulateOptions& options, const Rehearsal* rehearsal)
      : options_(options), rehearsal_(rehearsal) {}

  void Run() {
    const auto began = std::chrono::steady_clock::now();
    std::uint32_t jobs = options_.jobs;
    if (jobs == 0) jobs = std::max(1u, std::thread::hardware_concurrency());
    if (options_.trace) jobs = 1;
    std::vector<std::thread> threads;
    for (std::uint32_t i = 1; i < jobs; ++i) threads.emplace_back([this] { Work(); });
    Work();
    for (std::thread& thread : threads) thread.join();
    secs_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    std::sort(broken_.begin(), broken_.end(),
              [](const Report& a, const Report& b) { return a.seed < b.seed; });
  }

  int Summarize() const {
    for (std::size_t i = 0; i < std::min(broken_.size(), kShownMax); ++i) {
      const Report& report = broken_[i];
      Print(fmt::format(
          "seed {} breaks \"{}\": {}\n    replay: troupe simulate{} --seed {} --faults "
          "{} --trace\n",
          report.seed, report.violation->checker, report.violation->what,
          options_.file.empty() ? "" : " " + options_.file, report.seed, options_.faults));
    }
    if (broken_.size() > kShownMax) {
      Print(fmt::format("... and {} more\n", broken_.size() - kShownMax));
    }
    Print(fmt::format(
        "{} seed{}, {} broken promise{}; {:.0f} seeds a minute\n"
        "{} steps, {:.1f} virtual hours, {} runs, {} attempts, {} coordinator crashes, {} faults "
        "of "
        "machines; trace {:016x}\n",
        options_.seeds, options_.seeds == 1 ? "" : "s", broken_.size(),
        broken_.size() == 1 ? "" : "s", static_cast<double>(options_.seeds) / secs_ * 60,
        sum_.steps, ToSeconds(sum_.took) / 3'600, sum_.runs, sum_.attempts,
        sum_.coordinator_crashes, sum_.machine_faults, sum_.hash));
    return broken_.empty() ? kExitOk : kExitRunFailed;
  }

  const std::vector<Report>& rehearsed() const { return rehearsed_; }

 private:
  void Work() {
    for (;;) {
      const std::uint64_t n = next_++;
      if (n >= options_.seeds) return;
      World::Trace trace;
      if (options_.trace) trace = [](const std::string& line) { Print(line + "\n"); };
      Take(World(options_.seed + n, options_.faults, trace, rehearsal_).Run());
    }
  }

  void Take(Report report) {
    const std::lock_guard lock(mutex_);
    sum_.steps += report.steps;
    sum_.took += report.took;
    sum_.runs += report.runs;
    sum_.attempts += report.attempts;
    sum_.coordinator_crashes += report.coordinator_crashes;
    sum_.machine_faults += report.machine_faults;
    // In any order the same.
    sum_.hash += (report.hash ^ report.seed) * 0x9E3779B97F4A7C15u;
    if (report.violation) broken_.push_back(report);
    if (rehearsal_ != nullptr) rehearsed_.push_back(std::move(report));
  }

  const SimulateOptions& options_;
  const Rehearsal* rehearsal_;
  std::atomic<std::uint64_t> next_ = 0;
  std::mutex mutex_;
  Report sum_;
  std::vector<Report> broken_;
  std::vector<Report> rehearsed_;
  double secs_ = 0;
};

int Refuse(const std::string& why) {
  Say("troupe simulate: " + why + "\n");
  return kExitBadRequest;
}

// What tasks of the rehearsal take and cost, from a run that was. Says of which it knows.
bool TakeAfter(const SimulateOptions& options, Rehearsal& rehearsal, std::string& why) {
  StateOptions state{.state_dir = options.state_dir, .state_dir_given = options.state_dir_given};
  if (options.from != "newest") state.run = options.from;
  Result<PastRun> past = MeasureRun(state);
  if (!past) {
    why = past.error().message;
    return false;
  }
  std::size_t known = 0;
  std::size_t all = 0;
  for (const PlannedTask& task : rehearsal.plan->tasks) {
    if (task.kind == TaskKind::Parent) continue;
    ++all;
    const std::string name = task.extra->loop == nullptr ? task.id : task.id + "[]";
    known += past->tasks.contains(name) ? 1 : 0;
  }
  if (known == 0) {
    why = fmt::format("no task of {} has succeeded in run {}", options.file, past->run.value);
    return false;
  }
  rehearsal.measured = std::move(past->tasks);
  Print(fmt::format("{} of {} tasks take and cost what they did in run {}\n", known, all,
                    past->run.value));
  return true;
}

std::optional<Rehearsal> Prepare(const SimulateOptions& options, std::string& why) {
  Rehearsal rehearsal;
  const Result<std::string> text = ReadWorkflowFile(options.file);
  if (!text) {
    why = text.error().message;
    return std::nullopt;
  }
  rehearsal.text = *text;
  const Compiled compiled = CompileWorkflow(*text, {.workflow = options.workflow});
  if (compiled.plan == nullptr) {
    why = "the workflow is refused:\n" + FormatProblems(options.file, compiled.problems);
    return std::nullopt;
  }
  rehearsal.plan = compiled.plan;
  const BoundInputs inputs = BindInputs(*compiled.plan, options.inputs);
  if (!inputs.problems.empty()) {
    why = FormatProblems(options.file, inputs.problems);
    return std::nullopt;
  }
  rehearsal.inputs_json = inputs.json;
  rehearsal.failing = static_cast<std::uint32_t>(options.fail * 1'000'000);
  if (!options.classes.empty()) rehearsal.classes.clear();
  for (const std::string& name : options.classes) {
    const std::optional<FailureClass> c = FailureClassFromName(name);
    if (!c || !(Traits(*c).told || c == FailureClass::SpawnFailed)) {
      why = fmt::format("\"{}\" is no class that an attempt can fail with", name);
      return std::nullopt;
    }
    rehearsal.classes.push_back(*c);
  }
  rehearsal.fastest = Seconds(options.fastest_secs);
  rehearsal.slowest = std::max(rehearsal.fastest, Seconds(options.slowest_secs));
  rehearsal.workers = options.workers;
  rehearsal.slots = options.slots;
  if (!options.from.empty() && !TakeAfter(options, rehearsal, why)) return std::nullopt;
  return rehearsal;
}

std::string Timeline(const Report& report) {
  constexpr double kColumns = 40;
  std::string text;
  const double all = std::max(1.0, ToSeconds(report.makespan));
  for (const Played& p : report.timeline) {
    const Duration ended = p.how.empty() ? p.began : p.ended;
    const auto column = [&](Duration d) {
      return static_cast<std::size_t>(ToSeconds(d) / all * kColumns);
    };
    const std::size_t from = std::min(column(p.began), std::size_t{39});
    const std::size_t to = std::max(from + 1, std::min(column(ended), std::size_t{40}));
    text +=
        fmt::format("  {:>11} {}{}{} {} attempt {} on {}: {}\n", Clock(p.began),
                    std::string(from, '.'), std::string(to - from, '#'), std::string(40 - to, '.'),
                    p.task, p.attempt, p.worker, p.how.empty() ? "handed back" : p.how);
  }
  return text;
}

void ShowRehearsal(std::vector<Report> reports) {
  std::sort(reports.begin(), reports.end(), [](const Report& a, const Report& b) {
    return std::pair(b.makespan, a.seed) < std::pair(a.makespan, b.seed);
  });
  std::uint64_t good = 0;
  std::uint64_t attempts = 0;
  std::uint64_t retries = 0;
  for (const Report& report : reports) {
    good += report.end == "succeeded" ? 1 : 0;
    attempts += report.timeline.size();
    retries += report.retries;
  }
  const std::size_t count = reports.size();
  Print(
      fmt::format("{} of {} runs succeed; makespan {} to {}, median {}; {:.1f} attempts and {:.1f} "
                  "retries a run\n",
                  good, count, Clock(reports.back().makespan), Clock(reports.front().makespan),
                  Clock(reports[count / 2].makespan),
                  static_cast<double>(attempts) / static_cast<double>(count),
                  static_cast<double>(retries) / static_cast<double>(count)));
  std::vector<double> costs;
  for (const Report& report : reports) costs.push_back(report.cost_usd);
  std::sort(costs.begin(), costs.end());
  if (costs.back() > 0) {
    Print(fmt::format("cost {:.2f} to {:.2f} USD, median {:.2f}\n", costs.front(), costs.back(),
                      costs[count / 2]));
  }
  std::string worst;
  for (std::size_t i = 0; i < std::min(count, kShownMax); ++i) {
    worst += fmt::format("{}{} ({}, {})", i == 0 ? "" : ", ", reports[i].seed,
                         Clock(reports[i].makespan), reports[i].end);
  }
  Print("longest seeds: " + worst + "\n");
  Print(fmt::format("timeline of seed {}:\n{}", reports.front().seed, Timeline(reports.front())));
}

}  // namespace

int Simulate(const SimulateOptions& given) {
  SimulateOptions options = given;
  if (options.faults.empty()) options.faults = options.file.empty() ? "all" : "none";
  Dice any(0);
  if (const auto picked = PickFaults(DrawFaults(any), options.faults); !picked) {
    return Refuse(picked.error().message);
  }
  if (options.seeds == 0) return Refuse("--seeds must be at least 1");
  if (!options.from.empty() && options.file.empty()) {
    return Refuse("--from is about a workflow to rehearse; give its FILE");
  }
  std::optional<Rehearsal> rehearsal;
  if (!options.file.empty()) {
    std::string why;
    rehearsal = Prepare(options, why);
    if (!rehearsal) return Refuse(why);
  }
  Simulation simulation(options, rehearsal ? &*rehearsal : nullptr);
  simulation.Run();
  if (rehearsal) ShowRehearsal(simulation.rehearsed());
  return simulation.Summarize();
}

}  // namespace troupe
