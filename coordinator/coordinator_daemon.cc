#include "coordinator/coordinator_daemon.h"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/advance.h"
#include "protocol/codec.h"
#include "protocol/limits.h"

namespace troupe {
namespace {

constexpr Duration kWaitMax = std::chrono::minutes(1);
constexpr Duration kFullAgain = std::chrono::milliseconds(10);
constexpr std::size_t kDrainMax = 4'096;             // Messages in one turn.
constexpr std::size_t kWaitingBytesMax = 64u << 20;  // For one peer.
constexpr Duration kNoteEvery = std::chrono::seconds(10);

}  // namespace

CoordinatorDaemon::CoordinatorDaemon(RouterEndpoint endpoint, CheckpointStore& store,
                                     CoordinatorOptions options, RunId next_run,
                                     std::function<void(const RunEvent&)> tell)
    : endpoint_(std::move(endpoint)),
      store_(store),
      coordinator_(options, next_run),
      tell_(std::move(tell)) {}

void CoordinatorDaemon::Restore(const Resumable& saved, bool dormant) {
  coordinator_.Restore(saved, dormant, clock_.Now(), effects_);
}

Status CoordinatorDaemon::Do(const Event& event) {
  turn_began_ = clock_.Now();
  coordinator_.Step(event, clock_.Now(), effects_);
  return Finish();
}

void CoordinatorDaemon::Serve(const RocksDbCheckpointStore& store, const std::filesystem::path& db,
                              std::uint64_t seed) {
  service_ = std::make_unique<ClientService>(
      store, db, coordinator_, seed,
      ClientLoop{
          .send = [this](const std::string& peer,
                         const FromCoordinator& message) { Push(peer, Encode(message)); },
          .step = [this](const Event& event) { coordinator_.Step(event, clock_.Now(), effects_); },
          .rework = [this](const Reworked& run) { return Rework(run); }});
}

Status CoordinatorDaemon::Rework(const Reworked& run) {
  if (Status committed = store_.Commit(run.save); !committed) return committed;
  coordinator_.Restore(run.run, false, clock_.Now(), effects_);
  coordinator_.Step(ResumeRun{run.run.checkpoint.run.id}, clock_.Now(), effects_);
  return {};
}

// For messages, the caller's descriptors, our own, and the time that the core or a full peer wants.
void CoordinatorDaemon::Wait(std::vector<WaitFd>& fds, Duration timeout) {
  const Duration until_wake = std::clamp(wake_at_ - clock_.Now(), Duration{}, kWaitMax);
  const std::size_t theirs = fds.size();
  if (service_ != nullptr) {
    for (const int fd : service_->fds()) fds.push_back({fd});
  }
  endpoint_.Wait(fds, std::min({timeout, until_wake, waiting_.empty() ? kWaitMax : kFullAgain,
                                gone_.empty() ? kWaitMax : Duration{}}));
  fds.resize(theirs);
}

Status CoordinatorDaemon::Turn(std::vector<WaitFd>& fds, Duration timeout) {
  Wait(fds, timeout);
  turn_began_ = clock_.Now();
  for (std::size_t n = 0; n < kDrainMax; ++n) {
    std::optional<Incoming> incoming = endpoint_.Receive();
    if (!incoming) break;
    Hear(*std::move(incoming));
  }
  if (service_ != nullptr) {
    if (Status done = service_->TakeFinished(clock_.Now()); !done) return done;
  }
  for (std::string& peer : gone_) {
    if (service_ != nullptr) service_->OnGone(peer);
    coordinator_.Step(PeerGone{std::move(peer)}, clock_.Now(), effects_);
  }
  gone_.clear();
  NoteRejections();
  if (wake_at_ <= clock_.Now()) coordinator_.Step(Tick{}, clock_.Now(), effects_);
  return Finish();
}

void CoordinatorDaemon::Admit(AccessList access) {
  access_ = std::move(access);
  endpoint_.Admit(access_.Keys());
}

// One message; it reaches the core only if its sender may say it.
void CoordinatorDaemon::Hear(Incoming incoming) {
  const std::optional<Caller> caller = access_.Find(incoming.user);
  Result<ToCoordinator> message = DecodeToCoordinator(incoming.bytes);
  if (!message) {
    Note(fmt::format("a message of \"{}\" was refused: {}", caller ? caller->name : incoming.user,
                     message.error().message));
    Refuse(incoming.peer, Goodbye{}, message.error().message);
    return;
  }
  if (!caller) {
    Refuse(incoming.peer, *message, "this key is not authorised any more");
    return;
  }
  std::string why = Refusal(*caller, incoming.peer, *message);
  if (why.empty()) why = WrongWith(*message);
  if (!why.empty()) {
    Note(fmt::format("a message of \"{}\" was refused: {}", caller->name, why));
    Refuse(incoming.peer, *message, why);
    return;
  }
  if (service_ != nullptr && service_->Hear(incoming.peer, *message, clock_.Now())) return;
  if (RequestOf(*message) && !std::holds_alternative<ClientCommand>(*message) &&
      !std::holds_alternative<ClientDrain>(*message)) {
    Refuse(incoming.peer, *message,
           "this coordinator belongs to a `troupe run`: it has only that run");
    return;
  }
  coordinator_.Step(PeerSpoke{std::move(incoming.peer), *std::move(message)}, clock_.Now(),
                    effects_);
}

// Whoever cannot take the answer now does without: nothing is kept for strangers.
void CoordinatorDaemon::Refuse(const std::string& peer, const ToCoordinator& message,
                               const std::string& why) {
  FromCoordinator answer = Refused{why};
  if (const auto request = RequestOf(message)) answer = ClientReply{*request, why};
  (void)endpoint_.Send(peer, Encode(answer));
}

void CoordinatorDaemon::NoteRejections() {
  std::size_t count = 0;
  const std::vector<Rejection> rejections = endpoint_.TakeRejections(count);
  for (const Rejection& rejection : rejections) {
    Note(fmt::format("a connection from {} was refused: key {} is not authorised",
                     rejection.address, rejection.user));
  }
  unnoted_ += count - rejections.size();
}

void CoordinatorDaemon::Note(const std::string& text) {
  if (!note_) return;
  const Instant now = clock_.Now();
  if (now < noted_at_ + kNoteEvery) {
    ++unnoted_;
    return;
  }
  noted_at_ = now;
  const std::size_t more = std::exchange(unnoted_, 0);
  note_(more == 0 ? text : fmt::format("{} (and {} more like it before)", text, more));
}

Status CoordinatorDaemon::Finish() {
  Flush();
  done_.Clear();
  std::swap(effects_, done_);
  Effects& effects = done_;
  Status done = Advance(coordinator_, store_, clock_.Now(), effects,
                        [this](const Outgoing& outgoing) { Send(outgoing); });
  if (!done) return done;
  const std::uint64_t sent = std::exchange(attempts_sent_, 0);
  if (sent > 0 && dispatched_) dispatched_(sent, clock_.Now() - turn_began_);
  for (const SubmitReply& reply : effects.replies) last_submitted_ = reply.run;
  for (const RunEvent& event : effects.tell) tell_(event);
  if (service_ != nullptr) {
    for (const SubmitReply& reply : effects.replies) service_->On(reply);
    for (const RunEvent& event : effects.tell) service_->On(event);
    service_->EndTurn(clock_.Now());
  }
  wake_at_ = effects.wake_at;
  return {};
}

// A peer that takes nothing now gets it in a later turn.
void CoordinatorDaemon::Send(const Outgoing& outgoing) {
  if (const auto* dispatch = std::get_if<Dispatch>(&outgoing.message)) {
    attempts_sent_ += dispatch->specs.size();
  }
  Push(outgoing.peer, Encode(outgoing.message));
}

void CoordinatorDaemon::Push(const std::string& peer, std::string bytes) {
  Queue& queue = waiting_[peer];
  queue.bytes += bytes.size();
  queue.messages.push_back(std::move(bytes));
  FlushPeer(peer, queue);
  if (queue.messages.empty()) waiting_.erase(peer);
}

void CoordinatorDaemon::FlushPeer(const std::string& peer, Queue& queue) {
  SendResult result = SendResult::Sent;
  while (!queue.messages.empty() && result == SendResult::Sent) {
    result = endpoint_.Send(peer, queue.messages.front());
    if (result != SendResult::Sent) break;
    queue.bytes -= queue.messages.front().size();
    queue.messages.pop_front();
  }
  if (result == SendResult::Gone || queue.bytes > kWaitingBytesMax) {
    gone_.push_back(peer);
    queue = {};
  }
}

void CoordinatorDaemon::Flush() {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    FlushPeer(it->first, it->second);
    it = it->second.messages.empty() ? waiting_.erase(it) : std::next(it);
  }
}

}  // namespace troupe
