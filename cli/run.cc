// `troupe run`: an embedded coordinator and its local workers around one run.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <thread>

#include "cli/commands.h"
#include "cli/commands_fleet.h"
#include "cli/local_workers.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/read_file.h"
#include "cli/state.h"
#include "cli/summary.h"
#include "cli/text.h"
#include "coordinator/coordinator_daemon.h"
#include "coordinator/resume.h"
#include "storage/rocksdb_checkpoint_store.h"
#include "storage/state_lock.h"
#include "workflow/compile.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr Duration kRedraw = std::chrono::milliseconds(100);
constexpr std::size_t kSocketPathMax = 100;

std::uint64_t RandomSeed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

// What the user asked for, read and checked; nothing has happened yet.
struct Request {
  std::string text = "";
  std::shared_ptr<const Plan> plan = {};
  std::string inputs_json = "{}";
};

class LocalRun {
 public:
  LocalRun(const RunOptions& options, Request request)
      : options_(options), request_(std::move(request)), file_(options.file) {}
  // A new round of a run that is in the store.
  explicit LocalRun(const RunOptions& options) : options_(options), retry_(true) {}
  ~LocalRun();

  int Execute();

 private:
  void TakeSignals();
  Status OpenState();
  Status ChooseRun();
  Status ResumeThis(const RunRecord& record);
  Status RetryThis();
  Status Begin();
  Status Loop();
  void Interrupted();
  Result<std::string> MakeEndpoint();
  void On(const RunEvent& event);
  int Report(const Status& status);

  const RunOptions& options_;
  Request request_;
  std::string file_;  // For hints.
  bool retry_ = false;
  fs::path state_dir_;
  std::optional<StateLock> lock_;
  std::unique_ptr<RocksDbCheckpointStore> store_;
  std::vector<RunRecord> known_;
  std::optional<Resumable> resumed_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<CoordinatorDaemon> daemon_;
  std::optional<LocalWorkers> workers_;
  fs::path socket_directory_;  // Made because the state directory's path is too long.
  int signals_ = -1;
  RunId run_{};
  bool finished_ = false;
  int interrupts_ = 0;
  Instant stop_at_ = kNever;
};

LocalRun::~LocalRun() {
  workers_.reset();
  daemon_.reset();
  if (signals_ >= 0) close(signals_);
  std::error_code error;
  if (!socket_directory_.empty()) fs::remove_all(socket_directory_, error);
}

Status LocalRun::OpenState() {
  state_dir_ = fs::absolute(options_.state_dir);
  Result<StateLock> lock = StateLock::Take(state_dir_);
  if (!lock) return lock.error();
  lock_ = *std::move(lock);
  auto store = RocksDbCheckpointStore::Open(state_dir_ / "db");
  if (!store) return store.error();
  store_ = *std::move(store);
  Result<std::vector<RunRecord>> runs = store_->Runs();
  if (!runs) return runs.error();
  known_ = *std::move(runs);
  return {};
}

// Finds the unfinished run that --resume or --clean mean.
Status LocalRun::ChooseRun() {
  if (retry_) return RetryThis();
  std::vector<const RunRecord*> unfinished;
  for (const RunRecord& run : known_) {
    if (!IsFinal(run.state) && run.workflow_name == request_.plan->name) unfinished.push_back(&run);
  }
  if (options_.resume) {
    if (unfinished.empty()) {
      return Error{ErrorCode::NotFound,
                   fmt::format("there is no unfinished run of \"{}\" in {}; start it without "
                               "--resume",
                               request_.plan->name, options_.state_dir)};
    }
    return ResumeThis(*unfinished.back());
  }
  if (options_.clean) {
    Batch batch;
    for (const RunRecord* run : unfinished) {
      batch.deleted_runs.push_back(run->id);
      progress_->Note(
          fmt::format("run {} is removed; what still runs of it is stopped", run->id.value));
    }
    if (!batch.empty()) {
      if (Status committed = store_->Commit(batch); !committed) return committed;
    }
    std::erase_if(known_, [&](const RunRecord& run) {
      return std::find(batch.deleted_runs.begin(), batch.deleted_runs.end(), run.id) !=
             batch.deleted_runs.end();
    });
  } else if (!unfinished.empty()) {
    progress_->Note(
        fmt::format("run {} of this workflow has not finished; this starts a new one "
                    "(--resume goes on with it, --clean removes it)",
                    unfinished.back()->id.value));
  }
  return {};
}

Status LocalRun::ResumeThis(const RunRecord& record) {
  if (!options_.inputs.empty()) {
    return Error{ErrorCode::Invalid,
                 fmt::format("run {} goes on with the inputs it began with; leave --input out, or "
                             "start a new run without --resume",
                             record.id.value)};
  }
  Result<Resumable> saved = LoadRun(*store_, record.id);
  if (!saved) return saved.error();
  run_ = record.id;
  if (saved->checkpoint.workflow_text == request_.text) {
    request_.plan = saved->plan;
    resumed_ = *std::move(saved);
    return {};
  }
  if (!options_.accept_changes) {
    return Error{ErrorCode::Invalid,
                 fmt::format("{} has changed since run {} began. --accept-changes goes on with the "
                             "new text and keeps the results of tasks whose definition is "
                             "unchanged; without --resume a new run begins",
                             options_.file, record.id.value)};
  }
  Result<Reworked> accepted = AcceptChanges(*store_, *saved, request_.plan, request_.text);
  if (!accepted) return accepted.error();
  if (Status committed = store_->Commit(accepted->save); !committed) return committed;
  progress_->Note(fmt::format("the workflow has changed: {} settled tasks are kept, {} run again",
                              accepted->kept.size(), accepted->again.size()));
  resumed_ = std::move(accepted->run);
  return {};
}

Status LocalRun::RetryThis() {
  const Result<RunId> id =
      ChooseRunOf({.state_dir = options_.state_dir, .run = options_.run}, known_);
  if (!id) return id.error();
  Result<Resumable> saved = LoadRun(*store_, *id);
  if (!saved) return saved.error();
  Result<Reworked> redriven = Redrive(*store_, *saved, options_.tasks);
  if (!redriven) return redriven.error();
  if (Status committed = store_->Commit(redriven->save); !committed) return committed;
  run_ = *id;
  file_ = saved->checkpoint.run.file;
  request_.plan = saved->plan;
  resumed_ = std::move(redriven->run);
  return {};
}

// A socket's path is limited to about a hundred bytes.
Result<std::string> LocalRun::MakeEndpoint() {
  fs::path path = state_dir_ / "coordinator.sock";
  if (path.string().size() > kSocketPathMax) {
    std::string pattern = "/tmp/troupe-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) {
      return Error{ErrorCode::Io, fmt::format("cannot make a directory for the socket in /tmp: {}",
                                              std::strerror(errno))};
    }
    socket_directory_ = pattern;
    path = socket_directory_ / "coordinator.sock";
  }
  const std::string endpoint = "ipc://" + path.string();
  std::ofstream(state_dir_ / "endpoint") << endpoint << "\n";  // For `troupe delete`.
  return endpoint;
}

void LocalRun::On(const RunEvent& event) {
  if (event.run != RunId{} && event.run != run_) {
    if (event.kind != RunEvent::Kind::RunStarted) return;  // Of a dormant run.
    run_ = event.run;
    progress_->Begin(*request_.plan, run_);
  }
  if (const LiveRun* live = daemon_->coordinator().Find(run_)) {
    progress_->Count(live->record().tasks, live->record().settled);
  }
  if (event.kind == RunEvent::Kind::RunFinished) finished_ = true;
  if (event.kind == RunEvent::Kind::WorkerJoined && workers_) workers_->Joined(event.worker);
  progress_->On(event);
}

Status LocalRun::Begin() {
  Result<std::string> endpoint = MakeEndpoint();
  if (!endpoint) return endpoint.error();
  Result<RouterEndpoint> router = RouterEndpoint::Bind(*endpoint);
  if (!router) return router.error();
  const Result<RunId> last = store_->LastRun();
  if (!last) return last.error();
  daemon_ = std::make_unique<CoordinatorDaemon>(
      *std::move(router), *store_, CoordinatorOptions{.seed = RandomSeed()}, RunId{last->value + 1},
      [this](const RunEvent& event) { On(event); });
  for (const RunRecord& run : known_) {
    if (IsFinal(run.state) || run.id == run_) continue;
    if (Result<Resumable> other = LoadRun(*store_, run.id)) daemon_->Restore(*other, true);
  }

  const std::uint32_t cores = std::max(1u, std::thread::hardware_concurrency());
  Result<LocalWorkers> workers =
      LocalWorkers::Start({.directory = state_dir_ / "workers",
                           .endpoint = *endpoint,
                           .count = options_.workers,
                           .slots = options_.slots == 0 ? cores : options_.slots});
  if (!workers) return workers.error();
  workers_.emplace(*std::move(workers));

  if (resumed_) {
    progress_->Resume(*request_.plan, resumed_->checkpoint);
    daemon_->Restore(*resumed_, false);
    return daemon_->Do(ResumeRun{run_});
  }
  SubmitRun submit;
  submit.plan = request_.plan;
  submit.text = request_.text;
  submit.draft.workflow_name = request_.plan->name;
  submit.draft.workflow_version = request_.plan->version;
  submit.draft.file = fs::absolute(options_.file).string();
  submit.draft.chosen_workflow = options_.workflow;
  submit.draft.run_dir = fs::current_path().string();
  submit.draft.inputs_json = request_.inputs_json;
  return daemon_->Do(submit);
}

// Ctrl-C: first nothing new starts, then what runs is stopped, then we leave.
void LocalRun::Interrupted() {
  signalfd_siginfo info;
  while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) ++interrupts_;
  const LiveRun* run = daemon_->coordinator().Find(run_);
  const std::uint32_t running = run == nullptr ? 0 : run->Busy();
  if (interrupts_ == 1 && running > 0) {
    stop_at_ = daemon_->Now() + Seconds(options_.grace_secs);
    progress_->Note(
        fmt::format("pausing: {} running attempt{} may take {} to end; Ctrl-C again "
                    "stops {} now",
                    running, running == 1 ? "" : "s", FormatDuration(Seconds(options_.grace_secs)),
                    running == 1 ? "it" : "them"));
  } else {
    stop_at_ = daemon_->Now();
  }
}

Status LocalRun::Loop() {
  bool stopping = false;
  while (!finished_) {
    std::vector<WaitFd> fds = {{signals_}};
    workers_->AddTo(fds);
    const Instant now = daemon_->Now();
    const Duration until_check = std::max(Duration{}, workers_->next_check() - now);
    if (Status turned = daemon_->Turn(fds, std::min(kRedraw, until_check)); !turned) return turned;
    if (Status alive = workers_->Check(daemon_->Now()); !alive) return alive;
    progress_->Tick(daemon_->Now());
    if (fds[0].readable) {
      Interrupted();
      if (Status paused = daemon_->Do(PauseRun{run_, false}); !paused) return paused;
    }
    if (interrupts_ == 0) continue;
    const LiveRun* run = daemon_->coordinator().Find(run_);
    if (run == nullptr) continue;  // It ended after all.
    if (run->Busy() == 0 || interrupts_ > 2) return {};
    if (!stopping && daemon_->Now() >= stop_at_) {
      stopping = true;
      if (Status stopped = daemon_->Do(PauseRun{run_, true}); !stopped) return stopped;
    }
  }
  return {};
}

int LocalRun::Report(const Status& status) {
  progress_->Close();
  if (!status) {
    Say(fmt::format("troupe: {}\n", status.error().message));
    if (run_ != RunId{}) {
      Say(fmt::format("Nothing that was recorded is lost; go on with: troupe run {} --resume{}\n",
                      Quoted(file_), StateDirFlag(options_.state_dir)));
    }
    return kExitRunFailed;
  }
  workers_.reset();  // They hear that their outcomes are safe, and clean up.
  Result<Checkpoint> checkpoint = store_->Load(run_);
  if (!checkpoint) return Refuse(checkpoint.error().message);
  if (!options_.json) {
    Say(FormatSummary(*request_.plan, *checkpoint, file_, options_.state_dir));
    if (!checkpoint->run.outputs_json.empty())
      Print(fmt::format("{}\n", checkpoint->run.outputs_json));
  }
  if (!finished_) return kExitInterrupted;
  return checkpoint->run.state == RunState::Succeeded ? kExitOk : kExitRunFailed;
}

// Before any thread is there: a thread that does not block them would be ended by them.
void LocalRun::TakeSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signals_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

int LocalRun::Execute() {
  TakeSignals();
  progress_ = MakeProgress(options_.json ? ProgressStyle::Json : DetectStyle());
  if (Status opened = OpenState(); !opened) return Refuse(opened.error().message);
  if (Status chosen = ChooseRun(); !chosen) return Refuse(chosen.error().message);
  if (Status begun = Begin(); !begun) return Report(begun);
  return Report(Loop());
}

// `--connect`: what is for a run on this machine has no meaning there.
int RunByCoordinator(const RunOptions& options) {
  if (options.resume || options.clean || options.dry_run) {
    return Refuse(
        "--resume, --clean and --dry-run are for runs on this machine; a coordinator's runs go on "
        "by themselves");
  }
  return SubmitWorkflow({.connect = options.connect,
                         .file = options.file,
                         .workflow = options.workflow,
                         .inputs = options.inputs,
                         .lenient = options.lenient,
                         .wait = true,
                         .json = options.json});
}

}  // namespace

int RetryRun(const RunOptions& options) { return LocalRun(options).Execute(); }

int RunWorkflow(const RunOptions& options) {
  if (!options.connect.endpoint.empty()) return RunByCoordinator(options);
  Request request;
  Result<std::string> text = ReadWorkflowFile(options.file);
  if (!text) return Refuse(text.error().message);
  request.text = *std::move(text);
  const Compiled compiled =
      CompileWorkflow(request.text, {.workflow = options.workflow, .lenient = options.lenient});
  Say(FormatProblems(options.file, compiled.problems));
  if (compiled.plan == nullptr) return kExitBadRequest;
  if (compiled.unsupported_work && !options.lenient) {
    return Refuse(
        fmt::format("{}:{}:{}: {}; with --lenient the run starts, and the task fails when "
                    "its turn comes",
                    options.file, compiled.unsupported_work->line,
                    compiled.unsupported_work->column, compiled.unsupported_work->message));
  }
  request.plan = compiled.plan;
  if (options.dry_run) {
    Print(FormatPlan(*request.plan));
    return kExitOk;
  }
  if (!options.resume) {
    BoundInputs inputs = BindInputs(*request.plan, options.inputs);
    if (!inputs.problems.empty()) {
      Say(FormatProblems(options.file, inputs.problems));
      return kExitBadRequest;
    }
    request.inputs_json = std::move(inputs.json);
  }
  return LocalRun(options, std::move(request)).Execute();
}

}  // namespace troupe
