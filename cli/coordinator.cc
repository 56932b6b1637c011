// `troupe coordinator`: the coordinator daemon.
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "cli/access_file.h"
#include "cli/commands.h"
#include "cli/commands_fleet.h"
#include "cli/config_file.h"
#include "cli/metrics_server.h"
#include "cli/print.h"
#include "cli/service.h"
#include "coordinator/background.h"
#include "coordinator/coordinator_daemon.h"
#include "coordinator/resume.h"
#include "protocol/key_files.h"
#include "storage/rocksdb_checkpoint_store.h"
#include "storage/state_lock.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr Duration kLook = std::chrono::seconds(1);
constexpr Duration kMeasure = std::chrono::seconds(30);
constexpr std::size_t kMeasuredAtOnce = 10'000;  // Runs.
constexpr Duration kFree = std::chrono::minutes(10);
constexpr std::string_view kIpc = "ipc://";
constexpr int kLargeBlock = 1 << 20;

std::uint64_t RandomSeed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

// Whoever may write in the directory of a socket can put another one in its place.
Status PreparePrivateDirectory(const fs::path& directory) {
  std::error_code error;
  if (!fs::exists(directory, error)) {
    fs::create_directories(directory, error);
    fs::permissions(directory, fs::perms::owner_all, error);
  }
  struct stat about {};
  if (stat(directory.c_str(), &about) != 0) {
    return Error{ErrorCode::Io, fmt::format("cannot use the directory {}: {}", directory.string(),
                                            std::strerror(errno))};
  }
  const bool ours = about.st_uid == geteuid() || about.st_uid == 0;
  if (ours && (about.st_mode & 022) == 0) return {};
  return Error{ErrorCode::Invalid,
               fmt::format("others may write in {}, so a socket is not safe there; give it a "
                           "directory of its own (mode 0700)",
                           directory.string())};
}

class CoordinatorServer {
 public:
  explicit CoordinatorServer(const CoordinatorConfig& config)
      : config_(config), signals_({SIGTERM, SIGINT, SIGHUP}) {}
  ~CoordinatorServer() { leave_ = true; }

  // The files that the configuration names.
  Status ReadKeys();
  Status Start();
  Status Loop();

 private:
  Status Listen();
  Status ListenForMetrics();
  void MakeDaemon(RouterEndpoint router, RunId next_run);
  Status ResumeRuns();
  void Look();
  void MeasureRuns();
  void FreeRuns();
  void TellStatus(bool ready);

  const CoordinatorConfig& config_;
  Signals signals_;
  Service service_;
  std::optional<StateLock> lock_;
  std::unique_ptr<RocksDbCheckpointStore> store_;
  Tally tally_{Clock().Now()};
  RouterOptions router_ = {};
  std::optional<AccessFile> access_;
  AccessList keys_;
  std::unique_ptr<CoordinatorDaemon> daemon_;
  std::unique_ptr<MetricsServer> metrics_;  // Null: off.
  Instant looked_{};
  Instant measured_{};
  RunId measure_from_{};
  std::optional<std::pair<RunId, RunId>> forgotten_ = {};  // From and to, not freed yet.
  Instant freed_{};
  bool hangup_ = false;
  std::atomic<bool> leave_ = false;
  Background housekeeper_{2};  // Last: its thread ends before what its jobs refer to.
};

Status CoordinatorServer::Start() {
  RaiseFileLimit();
  // Large blocks, as of the texts of workflows, go back to the system when they are freed: by
  // itself the allocator keeps ever larger ones. As it would, it keeps twice that at its end.
  mallopt(M_MMAP_THRESHOLD, kLargeBlock);
  mallopt(M_TRIM_THRESHOLD, 2 * kLargeBlock);
  Result<StateLock> lock = StateLock::Take(config_.state_dir);
  if (!lock) return lock.error();
  lock_ = *std::move(lock);
  auto store = RocksDbCheckpointStore::Open(fs::path(config_.state_dir) / "db");
  if (!store) return store.error();
  store_ = *std::move(store);
  if (Status listening = Listen(); !listening) return listening;
  if (Status listening = ListenForMetrics(); !listening) return listening;
  if (Status resumed = ResumeRuns(); !resumed) return resumed;
  TellStatus(true);
  Look();
  spdlog::info("ready");
  return {};
}

Status CoordinatorServer::ReadKeys() {
  router_.endpoints = EndpointsOf(config_);
  if (config_.key.empty()) return {};
  Result<KeyPair> key = ReadSecretKeyFile(config_.key);
  if (!key) return key.error();
  router_.key = *std::move(key);
  access_.emplace(config_.authorized_keys);
  Result<AccessList> keys = access_->Read();
  if (!keys) return keys.error();
  keys_ = *std::move(keys);
  return {};
}

Status CoordinatorServer::Listen() {
  for (const std::string& endpoint : router_.endpoints) {
    if (!endpoint.starts_with(kIpc)) continue;
    const fs::path path = endpoint.substr(kIpc.size());
    if (Status usable = PreparePrivateDirectory(path.parent_path()); !usable) return usable;
  }
  Result<RouterEndpoint> router = RouterEndpoint::Bind(router_);
  if (!router) return router.error();
  for (const std::string& endpoint : router->endpoints()) {
    spdlog::info("listening on {}{}", endpoint,
                 endpoint.starts_with(kIpc) ? ", for processes of this user"
                 : router_.key              ? ", with keys"
                                            : ", in plain text and for everybody who reaches it");
  }
  if (router_.key) {
    spdlog::info("public key {}; {} authorised keys in {}", router_.key->public_key,
                 keys_.Keys().size(), config_.authorized_keys);
  }
  std::ofstream(fs::path(config_.state_dir) / "endpoint") << router->endpoints()[0] << "\n";
  const Result<RunId> last = store_->LastRun();
  if (!last) return last.error();
  MakeDaemon(*std::move(router), RunId{last->value + 1});
  return {};
}

void CoordinatorServer::MakeDaemon(RouterEndpoint router, RunId next_run) {
  const auto tell = [this](const RunEvent& event) {
    tally_.OnEvent(event);
    if (event.kind == RunEvent::Kind::WorkerJoined) {
      spdlog::info("worker {} has joined", event.worker);
    } else if (event.kind == RunEvent::Kind::WorkerLost) {
      spdlog::warn("worker {} is lost", event.worker);
    } else if (event.kind == RunEvent::Kind::RunFinished) {
      spdlog::info("run {} {}", event.run.value, event.status);
    }
  };
  daemon_ = std::make_unique<CoordinatorDaemon>(
      std::move(router), *store_,
      CoordinatorOptions{.lease = config_.lease,
                         .heartbeat = config_.heartbeat,
                         .grace = config_.recovery_grace,
                         .window = config_.reconnect_window,
                         .retention = {.age = config_.keep,
                                       .runs = config_.keep_runs,
                                       .bytes = config_.keep_mib << 20},
                         .seed = RandomSeed()},
      next_run, tell);
  daemon_->OnNote([](const std::string& note) { spdlog::warn("{}", note); });
  daemon_->OnDispatch(
      [this](std::uint64_t attempts, Duration took) { tally_.OnDispatch(attempts, took); });
  daemon_->OnCommit([this](const Batch& batch, Duration took) {
    tally_.OnCommit(batch, took);
    for (const RunId run : batch.deleted_runs) {
      spdlog::info("run {} is forgotten", run.value);
      if (!forgotten_) forgotten_ = {run, run};
      forgotten_ = {std::min(forgotten_->first, run), std::max(forgotten_->second, run)};
    }
  });
  daemon_->Admit(keys_);
  daemon_->Serve(*store_, fs::path(config_.state_dir) / "db", RandomSeed());
}

// Nobody asked for the usual address: if it is taken, there are no metrics.
Status CoordinatorServer::ListenForMetrics() {
  if (config_.metrics_listen == kMetricsOff) return {};
  const bool asked = !config_.metrics_listen.empty();
  Result<std::unique_ptr<MetricsServer>> server =
      MetricsServer::Listen(asked ? config_.metrics_listen : std::string(kMetricsListen),
                            (fs::path(config_.state_dir) / "db").string());
  if (server) {
    metrics_ = *std::move(server);
    spdlog::info("metrics at http://{}/metrics", metrics_->address());
  } else if (asked) {
    return server.error();
  } else {
    spdlog::warn("{}", server.error().message);
  }
  return {};
}

Status CoordinatorServer::ResumeRuns() {
  const Result<std::vector<RunRecord>> runs = store_->Runs();
  if (!runs) return runs.error();
  for (const RunRecord& run : *runs) {
    if (!run.key.empty()) daemon_->KnowKey(run.key, run.id);
    if (IsFinal(run.state)) {
      daemon_->KnowEnded(run.id, run.ended);
      continue;
    }
    const Result<Resumable> saved = LoadRun(*store_, run.id);
    if (saved) {
      daemon_->Restore(*saved, false);
    } else {
      spdlog::error("run {} cannot go on: {}", run.id.value, saved.error().message);
    }
  }
  if (!runs->empty() && runs->front().id > RunId{1}) {  // What our predecessor did not come to.
    forgotten_ = {RunId{1}, RunId{runs->front().id.value - 1}};
  }
  spdlog::info("state {}: {} runs, {} of them go on", config_.state_dir, runs->size(),
               daemon_->coordinator().live());
  return {};
}

// Once a second: what may have changed around us.
void CoordinatorServer::Look() {
  looked_ = daemon_->Now();
  service_.Beat(looked_);
  TellStatus(false);
  if (metrics_ != nullptr) {
    metrics_->Publish({tally_, GaugesOf(daemon_->coordinator(), looked_)});
  }
  if (config_.keep_mib > 0 && looked_ >= measured_ + kMeasure) MeasureRuns();
  if (forgotten_ && looked_ >= freed_ + kFree) FreeRuns();
  if (!access_ || !(hangup_ || access_->HasChanged())) return;
  Result<AccessList> keys = access_->Read();
  if (!keys) {
    spdlog::error("the authorised keys stay as they were: {}", keys.error().message);
    return;
  }
  spdlog::info("{} authorised keys in {}", keys->Keys().size(), config_.authorized_keys);
  daemon_->Admit(*std::move(keys));
}

// What each run takes changes after its end as well: when the store compacts it.
void CoordinatorServer::MeasureRuns() {
  measured_ = looked_;
  std::vector<RunId> runs = daemon_->coordinator().retention().From(measure_from_, kMeasuredAtOnce);
  measure_from_ = runs.size() < kMeasuredAtOnce ? RunId{} : RunId{runs.back().value + 1};
  (void)housekeeper_.Post([this, runs = std::move(runs)]() -> Background::Done {
    return [this, runs, sizes = store_->SizesOf(runs)] {
      for (std::size_t i = 0; i < runs.size(); ++i) daemon_->KnowSize(runs[i], sizes[i]);
    };
  });
}

// Seldom: each time, what is only in memory yet is written to files. Ends early when we leave.
void CoordinatorServer::FreeRuns() {
  freed_ = looked_;
  const bool posted = housekeeper_.Post([this, runs = *forgotten_]() -> Background::Done {
    store_->Free(runs.first, runs.second, leave_);
    return {};
  });
  if (posted) forgotten_.reset();
}

void CoordinatorServer::TellStatus(bool ready) {
  const Coordinator& coordinator = daemon_->coordinator();
  const std::string status =
      fmt::format("{} runs, {} workers", coordinator.live(), coordinator.pool().all().size());
  if (ready) {
    service_.Ready(status);
  } else {
    service_.SetStatus(status);
  }
}

Status CoordinatorServer::Loop() {
  while (!leave_) {
    std::vector<WaitFd> fds = {{signals_.fd()}, {housekeeper_.fd()}};
    if (Status turned = daemon_->Turn(fds, kLook); !turned) return turned;
    housekeeper_.RunDone();
    for (const int signal : signals_.Take()) {
      hangup_ = hangup_ || signal == SIGHUP;
      leave_ = leave_ || signal != SIGHUP;
    }
    if (hangup_ || daemon_->Now() >= looked_ + kLook) Look();
    hangup_ = false;
  }
  if (Status landed = daemon_->Land(); !landed) return landed;
  service_.Stopping();
  spdlog::info("leaving; attempts go on, and are adopted when a coordinator starts here again");
  return {};
}

}  // namespace

int RunCoordinator(const CoordinatorCommand& command) {
  const std::string file = ConfigFileOf(command.config, kCoordinatorConfigFile);
  const Result<CoordinatorConfig> config = LoadCoordinatorConfig(file, command);
  if (!config) {
    Say(config.error().message);
    return kExitBadRequest;
  }
  CoordinatorServer server(*config);
  if (Status read = server.ReadKeys(); !read) {
    Say(fmt::format("troupe coordinator: {}\n", read.error().message));
    return kExitBadRequest;
  }
  if (command.check) {
    Print(fmt::format("{}: ok\n", file.empty() ? "troupe coordinator" : file));
    return kExitOk;
  }
  StartLog("coordinator", config->log);
  spdlog::info("configuration: {}", file.empty() ? "defaults and flags" : file);
  if (Status started = server.Start(); !started) {
    Say(fmt::format("troupe coordinator: {}\n", started.error().message));
    return kExitBadRequest;
  }
  if (Status ended = server.Loop(); !ended) {
    Say(fmt::format("troupe coordinator: {}\n", ended.error().message));
    return kExitRunFailed;
  }
  return kExitOk;
}

}  // namespace troupe
