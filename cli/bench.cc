#include "cli/bench.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/remote_store.h"
#include "cli/state.h"

extern char** environ;

namespace troupe {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// A child of ours; killed at the end.
class Child {
 public:
  explicit Child(std::vector<std::string> words, const std::string& log = "/dev/null") {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (posix_spawnp(&pid_, argv[0], &files, nullptr, argv.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&files);
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  int Wait() {
    int status = -1;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

// A fresh coordinator and its workers.
class BenchFleet {
 public:
  BenchFleet(const fs::path& directory, std::uint32_t workers, std::uint32_t slots)
      : endpoint_("ipc://" + (directory / "s").string()) {
    const std::string self = fs::read_symlink("/proc/self/exe").string();
    const std::string log = (directory / "log").string();
    coordinator_.emplace(
        std::vector<std::string>{self, "coordinator", "--state-dir", (directory / "state").string(),
                                 "--listen", endpoint_, "--metrics", "off"},
        log);
    for (std::uint32_t n = 1; n <= workers; ++n) {
      const std::string name = fmt::format("w{}", n);
      workers_.emplace_back(
          std::vector<std::string>{self, "worker", "--connect", endpoint_, "--name", name,
                                   "--slots", fmt::format("{}", slots), "--spool-dir",
                                   (directory / name).string()},
          log);
    }
  }

  // The record of the run, once it has succeeded; with `tasks` those of its tasks as well.
  Result<RunRecord> Run(const std::string& text, std::vector<TaskRecord>* tasks = nullptr) {
    Result<Client> client = Client::Connect({.endpoint = endpoint_});
    if (!client) return client.error();
    for (int tries = 0; tries < 500; ++tries) {  // Both have come up.
      const auto workers = client->Ask<ClientWorkers>(ClientListWorkers{});
      if (workers && workers->workers.size() == workers_.size()) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const auto submitted = client->Ask<ClientSubmitted>(
        ClientSubmit{.text = text, .file = "/bench.yaml", .run_dir = "/tmp"});
    if (!submitted) return submitted.error();
    if (submitted->run == RunId{}) return Error{ErrorCode::Invalid, submitted->problems};
    const RemoteStore store(*client);
    for (;;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      const Result<std::vector<RunRecord>> runs = store.Runs();
      if (!runs) return runs.error();
      const auto run = std::find_if(runs->begin(), runs->end(), [&](const RunRecord& record) {
        return record.id == submitted->run;
      });
      if (run == runs->end() || !IsFinal(run->state)) continue;
      if (run->state != RunState::Succeeded) {
        return Error{ErrorCode::Invalid, "the run failed: " + run->first_failure};
      }
      if (tasks == nullptr) return *run;
      Result<Checkpoint> loaded = store.Load(submitted->run);
      if (!loaded) return loaded.error();
      *tasks = std::move(loaded->tasks);
      return *run;
    }
  }

 private:
  std::string endpoint_;
  std::optional<Child> coordinator_;
  std::vector<Child> workers_;
};

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

std::string LoopOf(std::uint32_t tasks, const std::string& work) {
  return fmt::format(
      "name: bench\nagents: {{none: {{mock: {{output: ok}}}}}}\ntasks:\n  t:\n    {}\n    loop: "
      "{{type: for_each, iterator: i, parallel: true, collection: {{source: range, start: 0, end: "
      "{}}}}}\n",
      work, tasks);
}

double Took(const RunRecord& run) { return ToSeconds(run.ended - run.started); }

Status Bench::Throughput(const fs::path& directory) {
  BenchFleet fleet(directory, options_.workers, 1'024);
  const auto done = fleet.Run(LoopOf(options_.tasks, "agent: none\n    description: x"));
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
  BenchFleet fleet(directory, options_.workers, std::thread::hardware_concurrency());
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
      {"process", &Bench::Process}};
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
