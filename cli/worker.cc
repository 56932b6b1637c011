// `troupe worker`: the worker daemon, and the worker processes of `troupe run`.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "cli/commands.h"
#include "cli/commands_fleet.h"
#include "cli/config_file.h"
#include "cli/host_name.h"
#include "cli/print.h"
#include "cli/providers.h"
#include "cli/service.h"
#include "protocol/key_files.h"
#include "worker/worker_daemon.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr Duration kTroubleEvery = std::chrono::seconds(30);
constexpr Duration kTroubleAfter = std::chrono::seconds(3);  // A connection takes a moment,
constexpr Duration kLostAfter = std::chrono::seconds(1);     // … and so does another hello.

// Beside the program in a build, in ../lib/troupe where it is installed.
fs::path AttendantProgram() {
  constexpr const char* kName = "troupe-attendant";
  std::error_code error;
  const fs::path directory = fs::read_symlink("/proc/self/exe", error).parent_path();
  if (fs::exists(directory / kName, error)) return directory / kName;
  return directory.parent_path() / "lib" / "troupe" / kName;
}

// Where attempts are kept if nothing else is said. systemd names the directory that it made for us,
// or several.
fs::path UsualSpool(const std::string& worker) {
  const char* given = std::getenv("STATE_DIRECTORY");
  if (given == nullptr || *given == '\0') {
    return fs::path(kDaemonStateDir) / "workers" / worker / "spool";
  }
  const std::string directories = given;
  return fs::path(directories.substr(0, directories.find(':'))) / "spool";
}

int Fail(const std::string& message) {
  Say(fmt::format("troupe worker: {}\n", message));
  return kExitBadRequest;
}

// A worker process of `troupe run`.
int RunLocalWorker(const WorkerCommand& command, const fs::path& attendant) {
  WorkerDaemonOptions options;
  options.worker.name = command.name;
  options.worker.slots = command.slots;
  options.endpoint = command.connect.endpoint;
  options.spool = command.spool_dir;
  options.attendant = attendant;
  options.lifeline = command.lifeline;
  const Status left = RunWorkerDaemon(options);
  return left ? kExitOk : Fail(left.error().message);
}

// What the configuration makes of the worker, as the coordinator is to see it. Says in the log what
// is offered and what cannot be.
WorkerOptions Offer(const WorkerConfig& config) {
  WorkerOptions worker;
  worker.name = config.name.empty() ? HostName() : config.name;
  worker.slots = config.slots;
  if (worker.slots == 0) worker.slots = std::max(1u, std::thread::hardware_concurrency());
  worker.labels = config.labels;
  worker.work_dir = config.work_dir;
  const char* path = std::getenv("PATH");
  const OfferedProviders offered = FindProviders(config, path == nullptr ? "" : path);
  worker.providers = offered.names;
  // The attendants find it there.
  if (!offered.claude.empty()) setenv("TROUPE_CLAUDE", offered.claude.c_str(), 1);

  spdlog::info("worker {}: {} slots{}{}; attempts run in {}", worker.name, worker.slots,
               worker.labels.empty() ? "" : ", labels ", fmt::join(worker.labels, ", "),
               worker.work_dir.empty() ? "the directory of their run" : worker.work_dir);
  for (const std::string& line : offered.lines) spdlog::info("{}", line);
  const auto level = config.all_providers ? spdlog::level::info : spdlog::level::warn;
  for (const std::string& line : offered.missing) spdlog::log(level, "{}", line);
  return worker;
}

// Tells the log and the service manager what becomes of the connection.
class Reporter {
 public:
  explicit Reporter(std::string endpoint) : endpoint_(std::move(endpoint)) {}

  void On(const WorkerStatus& status) {
    if (since_ == Instant{}) {
      since_ = status.now;
      service_.Ready("waiting for the coordinator");
    }
    service_.Beat(status.now);
    if (status.joined) {
      since_ = status.now;
      if (!joined_) spdlog::info("joined the coordinator at {}", endpoint_);
      joined_ = true;
    } else if (joined_ && status.now >= since_ + kLostAfter) {
      joined_ = false;
      spdlog::warn("lost the coordinator at {}; {} attempts go on meanwhile", endpoint_,
                   status.running);
    }
    if (status.draining != draining_) {
      draining_ = status.draining;
      spdlog::info(draining_ ? "draining: nothing new is taken" : "not draining any more");
    }
    if (!joined_) ReportTrouble(status);
    service_.SetStatus(joined_ ? fmt::format("{}{} attempts running", draining_ ? "draining; " : "",
                                             status.running)
                               : Trouble(status));
  }
  void Stopping() { service_.Stopping(); }

 private:
  std::string Trouble(const WorkerStatus& status) const {
    return status.refused.empty() ? Describe(status.link, endpoint_) : status.refused;
  }
  // Another trouble at once, the same one seldom.
  void ReportTrouble(const WorkerStatus& status) {
    const std::string trouble = Trouble(status);
    if (status.now < since_ + kTroubleAfter) return;
    if (trouble == told_ && status.now < told_at_ + kTroubleEvery) return;
    told_ = trouble;
    told_at_ = status.now;
    spdlog::warn("{}", trouble);
  }

  std::string endpoint_;
  Service service_;
  bool joined_ = false;
  bool draining_ = false;
  Instant since_{};
  std::string told_ = "";
  Instant told_at_{};
};

// The keys that the configuration names.
Status ReadKeys(const ConnectConfig& connect, WorkerDaemonOptions& options) {
  if (connect.key.empty()) return {};
  Result<KeyPair> key = ReadSecretKeyFile(connect.key);
  if (!key) return key.error();
  Result<std::string> server_key = ReadPublicKeyFile(connect.server_key);
  if (!server_key) return server_key.error();
  options.key = *std::move(key);
  options.server_key = *std::move(server_key);
  return {};
}

int RunDaemon(const WorkerCommand& command, const std::string& file, const WorkerConfig& config,
              WorkerDaemonOptions options) {
  options.worker = Offer(config);
  options.endpoint = EndpointOf(config.connect);
  options.spool =
      config.spool_dir.empty() ? UsualSpool(options.worker.name) : fs::path(config.spool_dir);
  Reporter reporter(options.endpoint);
  options.on_turn = [&](const WorkerStatus& status) { reporter.On(status); };
  options.on_hangup = [&]() -> std::optional<WorkerOptions> {
    Result<WorkerConfig> changed = LoadWorkerConfig(file, command);
    if (!changed) {
      spdlog::error("the configuration stays as it was: {}", changed.error().message);
      return std::nullopt;
    }
    spdlog::info("read the configuration again: slots, labels and providers");
    return Offer(*changed);
  };
  spdlog::info("spool {}", options.spool.string());
  spdlog::info("coordinator {}{}", options.endpoint,
               options.key                  ? ", with keys"
               : options.endpoint[0] == 'i' ? ""
                                            : ", in plain text");
  const Status left = RunWorkerDaemon(options);
  reporter.Stopping();
  return left ? kExitOk : Fail(left.error().message);
}

}  // namespace

int RunWorker(const WorkerCommand& command) {
  StartLog("worker", {});
  const fs::path attendant = AttendantProgram();
  std::error_code error;
  if (!fs::exists(attendant, error)) {
    return Fail(fmt::format("{} is missing; install troupe again", attendant.string()));
  }
  if (command.lifeline >= 0) return RunLocalWorker(command, attendant);
  const std::string file = ConfigFileOf(command.config, kWorkerConfigFile);
  const Result<WorkerConfig> config = LoadWorkerConfig(file, command);
  if (!config) {
    Say(config.error().message);
    return kExitBadRequest;
  }
  StartLog("worker", config->log);
  WorkerDaemonOptions options;
  options.attendant = attendant;
  if (Status read = ReadKeys(config->connect, options); !read) return Fail(read.error().message);
  if (command.check) {
    Print(fmt::format("{}: ok\n", file.empty() ? "troupe worker" : file));
    return kExitOk;
  }
  spdlog::info("configuration: {}", file.empty() ? "defaults and flags" : file);
  return RunDaemon(command, file, *config, std::move(options));
}

}  // namespace troupe
