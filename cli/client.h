// A client's connection to a coordinator: questions and their answers, and what comes unasked.
//
// One thread. A question is asked again when the connection was lost meanwhile. Nothing waits for
// ever: Unavailable says that nobody could be reached, and why.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/config.h"
#include "protocol/messages.h"
#include "protocol/zmq_endpoint.h"

namespace troupe {

class Client {
 public:
  // Reads the key files that `config` names. Whether anybody is there shows with the first
  // question.
  static Result<Client> Connect(const ConnectConfig& config);

  // Gives the question its number. Invalid, with the coordinator's own words, if it refuses.
  template <class Answer, class Question>
  Result<Answer> Ask(Question question) {
    question.request = NextRequest();
    return AskAgain<Answer>(question);
  }
  // With the number that it has: a further part of an answer.
  template <class Answer, class Question>
  Result<Answer> AskAgain(const Question& question) {
    Result<FromCoordinator> answer = AskAny(question, question.request);
    if (!answer) return answer.error();
    if (auto* wanted = std::get_if<Answer>(&*answer)) return std::move(*wanted);
    return Error{ErrorCode::Invalid, "the coordinator gave another answer than was asked for"};
  }
  // For questions that succeed without a word.
  template <class Question>
  Status Do(Question question) {
    const Result<ClientReply> reply = Ask<ClientReply>(std::move(question));
    return reply ? Status() : Status(reply.error());
  }

  // For streams: says it if it can be said now.
  bool Say(const ToCoordinator& message);
  // The next message that no question was waiting for; nothing when `timeout` has passed or one of
  // the descriptors is readable.
  std::optional<FromCoordinator> Receive(std::vector<WaitFd>& fds, Duration timeout);
  std::uint64_t NextRequest() { return ++requests_; }

  bool up() const { return dealer_.link() == Link::Up; }
  // Why it is not.
  std::string Trouble() const { return Describe(dealer_.link(), endpoint_); }
  const std::string& endpoint() const { return endpoint_; }
  Instant Now() const { return clock_.Now(); }

 private:
  Client(DealerEndpoint dealer, std::string endpoint)
      : dealer_(std::move(dealer)), endpoint_(std::move(endpoint)) {}
  Result<FromCoordinator> AskAny(const ToCoordinator& question, std::uint64_t request);
  std::optional<Result<FromCoordinator>> TakeAnswer(std::uint64_t request);

  DealerEndpoint dealer_;
  std::string endpoint_;
  Clock clock_;
  std::uint64_t requests_ = 0;
  std::deque<FromCoordinator> unasked_;
};

}  // namespace troupe
