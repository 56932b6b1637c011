#include "coordinator/coordinator_daemon.h"

#include <algorithm>

#include "coordinator/advance.h"
#include "protocol/codec.h"

namespace troupe {
namespace {

constexpr Duration kWaitMax = std::chrono::minutes(1);
constexpr Duration kFullAgain = std::chrono::milliseconds(10);
constexpr std::size_t kDrainMax = 4'096;             // Messages in one turn.
constexpr std::size_t kDispatchBytesMax = 8u << 20;  // A message of dispatches is about so large.

std::size_t RoughSize(const AttemptSpec& spec) {
  std::size_t bytes = 512 + spec.prompt.size() + spec.script_content.size() +
                      spec.inputs_json.size() + spec.mock.output.size();
  for (const std::string& argument : spec.argv) bytes += argument.size();
  for (const auto& [name, value] : spec.env) bytes += name.size() + value.size();
  return bytes;
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
  coordinator_.Step(event, clock_.Now(), effects_);
  return Finish();
}

Status CoordinatorDaemon::Turn(std::vector<WaitFd>& fds, Duration timeout) {
  const Duration until_wake = std::clamp(wake_at_ - clock_.Now(), Duration{}, kWaitMax);
  endpoint_.Wait(fds, std::min({timeout, until_wake, waiting_.empty() ? kWaitMax : kFullAgain,
                                gone_.empty() ? kWaitMax : Duration{}}));
  for (std::size_t n = 0; n < kDrainMax; ++n) {
    std::optional<Incoming> incoming = endpoint_.Receive();
    if (!incoming) break;
    Result<ToCoordinator> message = DecodeToCoordinator(incoming->bytes);
    if (!message) {
      Send({incoming->peer, Refused{message.error().message}});
      continue;
    }
    coordinator_.Step(PeerSpoke{std::move(incoming->peer), *std::move(message)}, clock_.Now(),
                      effects_);
  }
  for (std::string& peer : gone_) {
    coordinator_.Step(PeerGone{std::move(peer)}, clock_.Now(), effects_);
  }
  gone_.clear();
  if (wake_at_ <= clock_.Now()) coordinator_.Step(Tick{}, clock_.Now(), effects_);
  return Finish();
}

Status CoordinatorDaemon::Finish() {
  Flush();
  Effects effects = std::exchange(effects_, {});
  Status done = Advance(coordinator_, store_, clock_.Now(), effects,
                        [this](const Outgoing& outgoing) { Send(outgoing); });
  if (!done) return done;
  for (const SubmitReply& reply : effects.replies) last_submitted_ = reply.run;
  for (const RunEvent& event : effects.tell) tell_(event);
  wake_at_ = effects.wake_at;
  return {};
}

// A large dispatch goes out in parts; a peer that takes nothing now gets it in a later turn.
void CoordinatorDaemon::Send(const Outgoing& outgoing) {
  std::deque<std::string>& queue = waiting_[outgoing.peer];
  if (const auto* dispatch = std::get_if<Dispatch>(&outgoing.message)) {
    struct Dispatch part {
      dispatch->session, {}
    };
    std::size_t bytes = 0;
    for (const AttemptSpec& spec : dispatch->specs) {
      bytes += RoughSize(spec);
      part.specs.push_back(spec);
      if (bytes < kDispatchBytesMax) continue;
      queue.push_back(Encode(FromCoordinator(std::move(part))));
      part = {dispatch->session, {}};
      bytes = 0;
    }
    if (!part.specs.empty()) queue.push_back(Encode(FromCoordinator(std::move(part))));
  } else {
    queue.push_back(Encode(outgoing.message));
  }
  Flush();
}

void CoordinatorDaemon::Flush() {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    std::deque<std::string>& queue = it->second;
    SendResult result = SendResult::Sent;
    while (!queue.empty() && result == SendResult::Sent) {
      result = endpoint_.Send(it->first, queue.front());
      if (result == SendResult::Sent) queue.pop_front();
    }
    if (result == SendResult::Gone) {
      gone_.push_back(it->first);
      queue.clear();
    }
    it = queue.empty() ? waiting_.erase(it) : std::next(it);
  }
}

}  // namespace troupe
