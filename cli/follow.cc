#include "cli/follow.h"

#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "cli/checkpoint_view.h"
#include "cli/event_stream.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/remote_store.h"
#include "cli/service.h"
#include "cli/state.h"
#include "cli/summary.h"
#include "coordinator/resume.h"

namespace troupe {
namespace {

constexpr Duration kRedraw = std::chrono::milliseconds(100);
constexpr Duration kRenewEvery = std::chrono::seconds(5);
constexpr Duration kNoticeAfter = std::chrono::seconds(3);
constexpr Duration kGiveUpAfter = std::chrono::minutes(5);

RunEvent EndOf(const RunRecord& run) {
  RunEvent event;
  event.kind = RunEvent::Kind::RunFinished;
  event.at = run.ended;
  event.run = run.id;
  event.duration = run.ended - run.started;
  event.message = run.first_failure;
  event.status = Name(run.state);
  return event;
}

class Follower {
 public:
  Follower(Client& client, const FollowOptions& options)
      : client_(client),
        options_(options),
        signals_({SIGINT, SIGTERM}),
        request_(options.submitted != 0 ? options.submitted : client.NextRequest()) {}

  int Run();

 private:
  Status Begin();
  Status LoadSnapshot();
  Status KeepWatch();
  void Hear(Duration timeout);
  void Show();
  int Report();
  int Leave();

  Client& client_;
  const FollowOptions& options_;
  Signals signals_;
  const std::uint64_t request_;
  EventStream stream_;
  std::unique_ptr<Progress> progress_;
  std::string refused_ = "";
  Instant renewed_{};
  Instant up_{};       // When the connection was last there.
  bool down_ = false;  // It was lost since the watch was renewed.
  bool noticed_ = false;
  bool ended_ = false;
};

// The events from now on first, then a snapshot of what was before.
Status Follower::Begin() {
  if (options_.submitted != 0) {
    up_ = renewed_ = client_.Now();
    stream_.BeginWhole();
    progress_ = MakeProgress(options_.json ? ProgressStyle::Json : DetectStyle());
    progress_->Begin(*options_.plan, options_.run);
    return {};
  }
  Result<ClientEvents> first =
      client_.AskAgain<ClientEvents>(ClientWatch{.request = request_, .run = options_.run});
  if (!first) return first.error();
  up_ = renewed_ = client_.Now();
  stream_.On(*std::move(first));
  return LoadSnapshot();
}

Status Follower::LoadSnapshot() {
  const RemoteStore store(client_);
  const Result<Resumable> loaded = LoadRunToView(store, options_.run);
  if (!loaded) return loaded.error();
  if (progress_ != nullptr) progress_->Close();
  progress_ = MakeProgress(options_.json ? ProgressStyle::Json : DetectStyle());
  progress_->Resume(*loaded->plan, loaded->checkpoint);
  ended_ = IsFinal(loaded->checkpoint.run.state);
  if (ended_) progress_->On(EndOf(loaded->checkpoint.run));  // Missed, and waited for.
  stream_.Snapshot(LastTime(loaded->checkpoint));
  return {};
}

void Follower::Hear(Duration timeout) {
  std::vector<WaitFd> fds = {{signals_.fd()}};
  std::optional<FromCoordinator> message = client_.Receive(fds, timeout);
  for (; message; message = client_.Receive(fds, Duration{})) {
    if (auto* events = std::get_if<ClientEvents>(&*message)) {
      if (events->request == request_) stream_.On(std::move(*events));
    } else if (auto* reply = std::get_if<ClientReply>(&*message)) {
      if (reply->request == request_) refused_ = reply->error;
    } else if (auto* refused = std::get_if<Refused>(&*message)) {
      refused_ = refused->message;
    }
  }
}

void Follower::Show() {
  for (const RunEvent& event : stream_.Take()) {
    if (stream_.tasks() > 0) progress_->Count(stream_.tasks(), stream_.settled());
    progress_->On(event);
    ended_ = ended_ || event.kind == RunEvent::Kind::RunFinished;
  }
  progress_->Tick(client_.Now());
}

// The watch is renewed every few seconds, and as soon as a lost connection is back.
Status Follower::KeepWatch() {
  const Instant now = client_.Now();
  if (!client_.up()) {
    down_ = true;
    if (!noticed_ && now >= up_ + kNoticeAfter) {
      noticed_ = true;
      progress_->Note(fmt::format("{}; waiting for it, the run goes on", client_.Trouble()));
    }
    if (now >= up_ + kGiveUpAfter) return Error{ErrorCode::Unavailable, client_.Trouble()};
    return {};
  }
  up_ = now;
  if (noticed_) progress_->Note("the coordinator is there again");
  noticed_ = false;
  if (!down_ && now < renewed_ + kRenewEvery) return {};
  if (!client_.Say(ClientWatch{.request = request_, .run = options_.run})) return {};
  renewed_ = now;
  down_ = false;
  return {};
}

int Follower::Leave() {
  progress_->Note(
      fmt::format("run {0} goes on; see it again with: troupe watch {0}", options_.run.value));
  progress_->Close();
  return kExitInterrupted;
}

int Follower::Report() {
  progress_->Close();
  const RemoteStore store(client_);
  const Result<Resumable> end = LoadRunToView(store, options_.run);
  if (!end) return Refuse(end.error());
  const RunRecord& run = end->checkpoint.run;
  if (!options_.json) {
    Say(FormatSummary(*end->plan, end->checkpoint, run.file, StateOptions{}.state_dir));
    if (!run.outputs_json.empty()) Print(fmt::format("{}\n", run.outputs_json));
  }
  return run.state == RunState::Succeeded ? kExitOk : kExitRunFailed;
}

int Follower::Run() {
  if (Status begun = Begin(); !begun) return Refuse(begun.error());
  while (!ended_) {
    Hear(kRedraw);
    if (!signals_.Take().empty()) return Leave();
    Status well = refused_.empty() ? KeepWatch() : Status(Error{ErrorCode::Invalid, refused_});
    if (well && stream_.needs_snapshot() && !stream_.empty()) well = LoadSnapshot();
    if (!well) {
      progress_->Close();
      return Refuse(well.error());
    }
    Show();
  }
  Show();
  return Report();
}

}  // namespace

int FollowRun(Client& client, const FollowOptions& options) {
  return Follower(client, options).Run();
}

}  // namespace troupe
