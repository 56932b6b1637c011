#include "coordinator/coordinator_daemon.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

#include "base/check.h"
#include "protocol/codec.h"
#include "protocol/limits.h"

namespace troupe {
namespace {

constexpr Duration kWaitMax = std::chrono::minutes(1);
constexpr Duration kFullAgain = std::chrono::milliseconds(10);
constexpr std::size_t kDrainMax = 4'096;    // Messages in one turn.
constexpr std::size_t kCommittedHere = 32;  // Records: less work than to wake a thread.
// With more the turn ends if it may: what is on its way to the disk, to the workers and back is
// best in several parts, so that all of them are at work.
constexpr std::size_t kOutcomesInTurn = 256;
constexpr std::size_t kWaitingBytesMax = 64u << 20;  // For one peer.
constexpr Duration kNoteEvery = std::chrono::seconds(10);

bool OnlyReads(const ToCoordinator& message) {
  return std::holds_alternative<ClientRead>(message) ||
         std::holds_alternative<ClientReadOutput>(message) ||
         std::holds_alternative<ClientListWorkers>(message);
}

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
  if (Status landed = Land(); !landed) return landed;
  turn_began_ = clock_.Now();
  coordinator_.Step(event, clock_.Now(), effects_);
  if (Status done = Finish(); !done) return done;
  return Land();
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
  if (Status landed = Land(); !landed) return landed;
  const Instant began = clock_.Now();
  if (Status committed = store_.Commit(run.save); !committed) return committed;
  if (committed_) committed_(run.save, clock_.Now() - began);
  coordinator_.Restore(run.run, false, clock_.Now(), effects_);
  coordinator_.Step(ResumeRun{run.run.checkpoint.run.id}, clock_.Now(), effects_);
  return {};
}

// For messages, the caller's descriptors, our own, and the time that the core or a full peer wants.
void CoordinatorDaemon::Wait(std::vector<WaitFd>& fds, Duration timeout) {
  const Duration until_wake =
      Full() ? kWaitMax : std::clamp(wake_at_ - clock_.Now(), Duration{}, kWaitMax);
  const std::size_t theirs = fds.size();
  fds.push_back({committer_.fd()});
  if (service_ != nullptr) {
    for (const int fd : service_->fds()) fds.push_back({fd});
  }
  endpoint_.Wait(fds, std::min({timeout, until_wake, waiting_.empty() ? kWaitMax : kFullAgain,
                                gone_.empty() ? kWaitMax : Duration{}}));
  fds.resize(theirs);
}

Status CoordinatorDaemon::Turn(std::vector<WaitFd>& fds, Duration timeout) {
  Wait(fds, timeout);
  committer_.RunDone();
  if (Full() && heard_ >= kDrainMax) {  // It must not grow any more.
    if (Status landed = Land(); !landed) return landed;
  }
  if (heard_ == 0) turn_began_ = clock_.Now();
  for (; heard_ < kDrainMax; ++heard_) {
    std::optional<Incoming> incoming = endpoint_.Receive();
    if (!incoming) break;
    if (Status heard = Hear(*std::move(incoming)); !heard) return heard;
    if (!Full() && effects_.save.attempts.size() >= kOutcomesInTurn) break;
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
  if (!Full() && wake_at_ <= clock_.Now()) coordinator_.Step(Tick{}, clock_.Now(), effects_);
  return Finish();
}

void CoordinatorDaemon::Admit(AccessList access) {
  access_ = std::move(access);
  endpoint_.Admit(access_.Keys());
}

// One message; it reaches the core only if its sender may say it.
Status CoordinatorDaemon::Hear(Incoming incoming) {
  const std::optional<Caller> caller = access_.Find(incoming.user);
  Result<ToCoordinator> message = DecodeToCoordinator(incoming.bytes);
  if (!message) {
    Note(fmt::format("a message of \"{}\" was refused: {}", caller ? caller->name : incoming.user,
                     message.error().message));
    Refuse(incoming.peer, Goodbye{}, message.error().message);
    return {};
  }
  if (!caller) {
    Refuse(incoming.peer, *message, "this key is not authorised any more");
    return {};
  }
  std::string why = Refusal(*caller, incoming.peer, *message);
  if (why.empty()) why = WrongWith(*message);
  if (!why.empty()) {
    Note(fmt::format("a message of \"{}\" was refused: {}", caller->name, why));
    Refuse(incoming.peer, *message, why);
    return {};
  }
  if (RequestOf(*message) && !OnlyReads(*message)) {  // It is answered by what has landed.
    if (Status landed = Land(); !landed) return landed;
  }
  if (service_ != nullptr && service_->Hear(incoming.peer, *message, clock_.Now())) return {};
  if (RequestOf(*message) && !std::holds_alternative<ClientCommand>(*message) &&
      !std::holds_alternative<ClientDrain>(*message)) {
    Refuse(incoming.peer, *message,
           "this coordinator belongs to a `troupe run`: it has only that run");
    return {};
  }
  coordinator_.Step(PeerSpoke{std::move(incoming.peer), *std::move(message)}, clock_.Now(),
                    effects_);
  return {};
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

bool CoordinatorDaemon::Full() const { return landing_.size() >= kLandingMax; }

// The turn at hand ends, unless so many have to land before it that it may as well grow.
Status CoordinatorDaemon::Finish() {
  Flush();
  if (!landed_) return landed_;
  if (Full()) return {};
  std::unique_ptr<Ended> turn = std::make_unique<Ended>();
  if (!spare_.empty()) {
    turn = std::move(spare_.back());
    spare_.pop_back();
  }
  std::swap(turn->effects, effects_);
  turn->began = turn_began_;
  heard_ = 0;
  coordinator_.EndTurn(clock_.Now(), turn->effects);
  wake_at_ = turn->effects.wake_at;
  const bool here = landing_.empty() && turn->effects.save.records() <= kCommittedHere;
  landing_.push_back(std::move(turn));
  Ended& ended = *landing_.back();
  if (here) {
    Commit(ended);
    OnLanded();
  } else {
    CHECK(committer_.Post([this, &ended]() -> Background::Done {
      Commit(ended);
      return [this] { OnLanded(); };
    }));
  }
  return landed_;
}

// Here or on the committing thread. Behind a turn that failed to land no other one may.
void CoordinatorDaemon::Commit(Ended& turn) {
  if (turn.effects.save.empty()) return;
  if (commit_failed_) {
    turn.committed = Error{ErrorCode::Io, "a commit before it failed"};
    return;
  }
  const Instant began = clock_.Now();
  turn.committed = store_.Commit(turn.effects.save);
  turn.commit_took = clock_.Now() - began;
  commit_failed_ = !turn.committed;
}

Status CoordinatorDaemon::Land() {
  while (!landing_.empty()) {
    pollfd wait{.fd = committer_.fd(), .events = POLLIN, .revents = 0};
    (void)poll(&wait, 1, -1);
    committer_.RunDone();
  }
  return landed_;
}

// The oldest turn was committed, or failed to.
void CoordinatorDaemon::OnLanded() {
  std::unique_ptr<Ended> turn = std::move(landing_.front());
  landing_.pop_front();
  if (landed_) landed_ = turn->committed;
  if (!landed_) return;
  Release(*turn);
  turn->effects.Clear();
  spare_.push_back(std::move(turn));
}

// What the turn has to say may leave.
void CoordinatorDaemon::Release(Ended& turn) {
  Effects& effects = turn.effects;
  if (!effects.save.empty() && committed_) committed_(effects.save, turn.commit_took);
  // What one peer gets leaves together: the I/O thread makes one write of it, and wakes it once.
  std::stable_sort(effects.send.begin(), effects.send.end(),
                   [](const Outgoing& a, const Outgoing& b) { return a.peer < b.peer; });
  for (const Outgoing& outgoing : effects.send) Send(outgoing);
  const std::uint64_t sent = std::exchange(attempts_sent_, 0);
  if (sent > 0 && dispatched_) dispatched_(sent, clock_.Now() - turn.began);
  for (const SubmitReply& reply : effects.replies) last_submitted_ = reply.run;
  for (const RunEvent& event : effects.tell) tell_(event);
  if (service_ == nullptr) return;
  for (const SubmitReply& reply : effects.replies) service_->On(reply);
  for (const RunEvent& event : effects.tell) service_->On(event);
  service_->EndTurn(clock_.Now());
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
