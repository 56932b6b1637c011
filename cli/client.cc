#include "cli/client.h"

#include <chrono>
#include <random>

#include "protocol/access.h"
#include "protocol/codec.h"
#include "protocol/key_files.h"

namespace troupe {
namespace {

constexpr Duration kReachWithin = std::chrono::seconds(10);
constexpr Duration kAnswerWithin = std::chrono::minutes(2);  // A large workflow takes its time.
constexpr Duration kLook = std::chrono::milliseconds(100);
constexpr std::size_t kUnaskedMax = 100'000;

std::uint64_t RandomNumber() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

// The number of the question that it answers.
std::optional<std::uint64_t> AnsweredBy(const FromCoordinator& message) {
  return std::visit(
      [](const auto& m) -> std::optional<std::uint64_t> {
        if constexpr (requires { m.request; }) {
          return m.request;
        } else {
          return std::nullopt;
        }
      },
      message);
}

}  // namespace

Result<Client> Client::Connect(const ConnectConfig& config) {
  DealerOptions options{.endpoint = EndpointOf(config), .identity = PeerOfClient(RandomNumber())};
  if (!config.key.empty()) {
    Result<KeyPair> key = ReadSecretKeyFile(config.key);
    if (!key) return key.error();
    Result<std::string> server_key = ReadPublicKeyFile(config.server_key);
    if (!server_key) return server_key.error();
    options.key = *std::move(key);
    options.server_key = *std::move(server_key);
  }
  Result<DealerEndpoint> dealer = DealerEndpoint::Connect(options);
  if (!dealer) return dealer.error();
  return Client(*std::move(dealer), options.endpoint);
}

bool Client::Say(const ToCoordinator& message) {
  return dealer_.Send(Encode(message)) == SendResult::Sent;
}

// What is there for this question; other messages are kept for Receive().
std::optional<Result<FromCoordinator>> Client::TakeAnswer(std::uint64_t request) {
  while (const std::optional<std::string> bytes = dealer_.Receive()) {
    Result<FromCoordinator> message = DecodeFromCoordinator(*bytes);
    if (!message) return Error{ErrorCode::Invalid, message.error().message};
    if (const auto* refused = std::get_if<Refused>(&*message)) {
      return Error{ErrorCode::Invalid, refused->message};
    }
    if (AnsweredBy(*message) != request) {
      if (unasked_.size() < kUnaskedMax) unasked_.push_back(*std::move(message));
      continue;
    }
    const auto* reply = std::get_if<ClientReply>(&*message);
    if (reply != nullptr && !reply->error.empty()) return Error{ErrorCode::Invalid, reply->error};
    return message;
  }
  return std::nullopt;
}

Result<FromCoordinator> Client::AskAny(const ToCoordinator& question, std::uint64_t request) {
  const std::string bytes = Encode(question);
  const Instant began = clock_.Now();
  Instant was_up = began;
  bool asked = false;
  for (;;) {
    if (!asked) asked = dealer_.Send(bytes) == SendResult::Sent;
    std::vector<WaitFd> none;
    dealer_.Wait(none, kLook);
    if (std::optional<Result<FromCoordinator>> answer = TakeAnswer(request)) return *answer;
    const Instant now = clock_.Now();
    if (up()) {
      was_up = now;
    } else {
      asked = false;  // Whatever was on its way may be lost.
    }
    const bool refused = dealer_.link() == Link::KeyRefused;
    if (refused || now >= was_up + kReachWithin || now >= began + kAnswerWithin) {
      return Error{ErrorCode::Unavailable, Trouble()};
    }
  }
}

std::optional<FromCoordinator> Client::Receive(std::vector<WaitFd>& fds, Duration timeout) {
  if (unasked_.empty()) {
    dealer_.Wait(fds, timeout);
    while (const std::optional<std::string> bytes = dealer_.Receive()) {
      Result<FromCoordinator> message = DecodeFromCoordinator(*bytes);
      if (message) unasked_.push_back(*std::move(message));
    }
  }
  if (unasked_.empty()) return std::nullopt;
  FromCoordinator message = std::move(unasked_.front());
  unasked_.pop_front();
  return message;
}

}  // namespace troupe
