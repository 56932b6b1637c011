#include "cli/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "cli/bench_fleet.h"
#include "cli/bench_scale.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/state.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

constexpr std::uint32_t kWrittenMin = 20'000;  // Tasks in a file: fewer would not be seen.
constexpr std::uint32_t kWrittenMax = 100'000;
constexpr std::uint32_t kFirstTasks = 20'000;  // Of a run before: then memory and caches are there.
constexpr std::uint32_t kManyWorkers = 1'000;
constexpr std::uint32_t kSlotsOfMany = 4;
constexpr std::uint32_t kTasksOfMany = 20'000;  // At least: processor time comes in 10 ms.

struct Measured {
  std::string name = "";
  std::string unit = "";
  std::vector<double> values = {};
  double Median() const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

class Bench {
 public:
  explicit Bench(const BenchOptions& options) : options_(options) {}
  int Run();

 private:
  bool Wanted(const std::string& name) const {
    return options_.what.empty() ||
           std::find(options_.what.begin(), options_.what.end(), name) != options_.what.end();
  }
  void Add(const std::string& name, const std::string& unit, double value);
  Status Once(const fs::path& directory);
  Status Throughput(const fs::path& directory);
  Status Chain(const fs::path& directory);
  Status Fan(const fs::path& directory);
  Status Process(const fs::path& directory);
  Status Xargs();
  Status Restart(const fs::path& directory);
  Status Memory(const fs::path& directory);
  Status Idle(const fs::path& directory);
  Status Fleet(const fs::path& directory);
  void Print() const;
  std::optional<double> MedianOf(const std::string& name) const;

  BenchOptions options_;
  std::vector<Measured> measured_;
};

void Bench::Add(const std::string& name, const std::string& unit, double value) {
  auto it = std::find_if(measured_.begin(), measured_.end(),
                         [&](const Measured& m) { return m.name == name; });
  if (it == measured_.end()) it = measured_.insert(measured_.end(), {name, unit});
  it->values.push_back(value);
}

double Took(const RunRecord& run) { return ToSeconds(run.ended - run.started); }

Status Bench::Throughput(const fs::path& directory) {
  BenchFleet fleet(directory, options_.workers, 1'024);
  const std::string work = "agent: none\n    description: x";
  if (const auto first = fleet.Run(LoopOf(kFirstTasks, work)); !first) return first.error();
  const auto done = fleet.Run(LoopOf(options_.tasks, work));
  if (!done) return done.error();
  Add("throughput", "tasks/s", options_.tasks / Took(*done));
  return {};
}

// One task at a time; a step is from one completion to the next.
Status Bench::Chain(const fs::path& directory) {
  const std::uint32_t length = std::max(options_.tasks / 100, 10u);
  std::string text = "name: bench\nagents: {none: {mock: {output: ok}}}\ntasks:\n";
  for (std::uint32_t i = 0; i < length; ++i) {
    text += fmt::format("  t{}: {{agent: none, description: x{}}}\n", i,
                        i == 0 ? "" : fmt::format(", depends_on: [t{}]", i - 1));
  }
  BenchFleet fleet(directory, options_.workers, 1);
  std::vector<TaskRecord> tasks;
  const auto done = fleet.Run(text, &tasks);
  if (!done) return done.error();
  std::vector<double> steps;
  std::vector<Instant> ends;
  for (const TaskRecord& task : tasks) ends.push_back(task.ended);
  std::sort(ends.begin(), ends.end());
  for (std::size_t i = 1; i < ends.size(); ++i) {
    steps.push_back(ToSeconds(ends[i] - ends[i - 1]) * 1e3);
  }
  std::sort(steps.begin(), steps.end());
  Add("chain", "ms/step", Took(*done) * 1e3 / length);
  Add("round trip p50", "ms", steps[steps.size() / 2]);
  Add("round trip p99", "ms", steps[steps.size() * 99 / 100]);
  return {};
}

Status Bench::Fan(const fs::path& directory) {
  const std::uint32_t width = std::max(options_.tasks / 100, 10u);
  std::string text =
      "name: bench\nagents: {none: {mock: {output: ok}}}\ntasks:\n  first: {agent: none, "
      "description: x}\n";
  std::string all;
  for (std::uint32_t i = 0; i < width; ++i) {
    text += fmt::format("  t{}: {{agent: none, description: x, depends_on: [first]}}\n", i);
    all += fmt::format("{}t{}", i == 0 ? "" : ", ", i);
  }
  text += fmt::format("  last: {{agent: none, description: x, depends_on: [{}]}}\n", all);
  BenchFleet fleet(directory, options_.workers, 1'024);
  const auto done = fleet.Run(text);
  if (!done) return done.error();
  Add(fmt::format("1 to {} to 1", width), "ms", Took(*done) * 1e3);
  return {};
}

Status Bench::Process(const fs::path& directory) {
  const std::uint32_t count = std::max(options_.tasks / 50, 10u);
  BenchFleet fleet(directory, options_.workers, 4 * std::thread::hardware_concurrency());
  const auto done = fleet.Run(LoopOf(count, "command: [/bin/true]"));
  if (!done) return done.error();
  Add("process", "tasks/s", count / Took(*done));
  return {};
}

Status Bench::Xargs() {
  const std::uint32_t count = std::max(options_.tasks / 50, 10u);
  const auto begin = Clock::now();
  Child child({"sh", "-c",
               fmt::format("seq {} | xargs -P{} -n1 /bin/true", count,
                           std::thread::hardware_concurrency())});
  if (child.Wait() != 0) return Error{ErrorCode::Io, "xargs cannot be run"};
  Add("xargs", "tasks/s", count / SecondsSince(begin));
  return {};
}

Status Bench::Restart(const fs::path& directory) {
  const Result<double> seconds = RestartSeconds(directory, options_.tasks);
  if (!seconds) return seconds.error();
  Add("restart", "s", *seconds);
  return {};
}

Status Bench::Memory(const fs::path& directory) {
  for (const bool loop : {true, false}) {
    const fs::path own = directory / (loop ? "loop" : "written");
    fs::create_directory(own);
    const Result<double> bytes = BytesPerTask(
        own, loop ? options_.tasks : std::clamp(options_.tasks, kWrittenMin, kWrittenMax), loop);
    if (!bytes) return bytes.error();
    Add(loop ? "loop task" : "written task", "bytes", *bytes);
  }
  return {};
}

Status Bench::Idle(const fs::path& directory) {
  const Result<double> cost = IdleWorkersCost(directory, kManyWorkers);
  if (!cost) return cost.error();
  Add(fmt::format("{} idle workers", kManyWorkers), "% core", *cost);
  return {};
}

Status Bench::Fleet(const fs::path& directory) {
  const Result<LargeFleet> fleet = MeasureLargeFleet(directory, kManyWorkers, kSlotsOfMany,
                                                     std::max(options_.tasks, kTasksOfMany));
  if (!fleet) return fleet.error();
  Add(fmt::format("{} workers", kManyWorkers), "tasks/s", fleet->tasks_per_second);
  Add(fmt::format("{} workers, cost", kManyWorkers), "us/task", fleet->cpu_per_task * 1e6);
  return {};
}

Status Bench::Once(const fs::path& directory) {
  if (Wanted("bare")) {
    const auto bare = BarePipeline(directory, options_.tasks);
    if (!bare) return bare.error();
    Add("bare", "tasks/s", *bare);
  }
  const std::pair<const char*, Status (Bench::*)(const fs::path&)> parts[] = {
      {"throughput", &Bench::Throughput},
      {"chain", &Bench::Chain},
      {"fan", &Bench::Fan},
      {"process", &Bench::Process},
      {"restart", &Bench::Restart},
      {"memory", &Bench::Memory},
      {"idle", &Bench::Idle},
      {"fleet", &Bench::Fleet}};
  for (const auto& [name, part] : parts) {
    if (!Wanted(name)) continue;
    const fs::path own = directory / name;
    fs::create_directory(own);
    if (Status done = (this->*part)(own); !done) {
      return Error{done.error().code, fmt::format("{}: {}", name, done.error().message)};
    }
  }
  if (Wanted("xargs")) return Xargs();
  return {};
}

std::optional<double> Bench::MedianOf(const std::string& name) const {
  for (const Measured& m : measured_) {
    if (m.name == name) return m.Median();
  }
  return std::nullopt;
}

void Bench::Print() const {
  if (options_.json) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const Measured& m : measured_) {
      all.push_back(
          {{"name", m.name}, {"unit", m.unit}, {"median", m.Median()}, {"values", m.values}});
    }
    troupe::Print(all.dump(2) + "\n");
    return;
  }
  for (const Measured& m : measured_) {
    const auto [least, most] = std::minmax_element(m.values.begin(), m.values.end());
    troupe::Print(fmt::format("{:16} {:>12.6g} {:8} [{:.6g} to {:.6g}]\n", m.name, m.Median(),
                              m.unit, *least, *most));
  }
  const auto ratio = [&](const std::string& ours, const std::string& theirs) {
    const auto a = MedianOf(ours);
    const auto b = MedianOf(theirs);
    if (a && b) troupe::Print(fmt::format("{} / {}: {:.2f}\n", ours, theirs, *a / *b));
  };
  ratio("throughput", "bare");
  ratio("process", "xargs");
}

int Bench::Run() {
  std::string directory = options_.directory;
  if (directory.empty()) {
    const char* temporary = getenv("TMPDIR");
    directory = std::string(temporary == nullptr ? "/tmp" : temporary) + "/troupe-bench-XXXXXX";
    if (mkdtemp(directory.data()) == nullptr)
      return Refuse("cannot make a directory: " + directory);
  }
  if (!options_.json) {
    Say(fmt::format(
        "{} workers; every completion is synced to {} before it counts; medians of {}\n",
        options_.workers, directory, options_.repeat));
  }
  for (std::uint32_t n = 0; n < options_.repeat; ++n) {
    const fs::path once = fs::path(directory) / fmt::format("{}", n);
    std::error_code error;
    fs::create_directories(once, error);
    const Status done = Once(once);
    fs::remove_all(once, error);
    if (!done) return Refuse(done.error());
  }
  if (options_.directory.empty()) {
    std::error_code error;
    fs::remove_all(directory, error);
  }
  Print();
  return kExitOk;
}

}  // namespace

int RunBench(const BenchOptions& options) {
  if (!options.answer.empty()) return AnswerBarePipeline(options.answer);
  return Bench(options).Run();
}

}  // namespace troupe
