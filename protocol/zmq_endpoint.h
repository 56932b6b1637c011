// ROUTER and DEALER frames, in and out. The only user of ZeroMQ.
//
// A socket lives and dies on the thread that made it. Sending never blocks. Frames above
// kFrameBytesMax and messages of several frames are dropped with their sender's connection or
// ignored; they never reach the caller.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace troupe {

struct Incoming {
  std::string peer = "";  // Routing id; the address to answer to. Router only.
  std::string bytes = "";
};

enum class SendResult : std::uint8_t { Sent, Full, Gone };

// A descriptor to wait for beside the socket; a negative one is left out.
struct WaitFd {
  int fd = -1;
  bool readable = false;  // Out.
};

// The coordinator's side.
class RouterEndpoint {
 public:
  // `endpoint`: "ipc:///path" (at most 107 bytes of path; the socket file gets mode 0600) or
  // "tcp://host:port".
  static Result<RouterEndpoint> Bind(const std::string& endpoint);
  RouterEndpoint(RouterEndpoint&&) noexcept;
  RouterEndpoint& operator=(RouterEndpoint&&) noexcept;
  ~RouterEndpoint();

  // Blocks until a message waits, a descriptor is readable, or `timeout` has passed (rounded up to
  // milliseconds; negative: no limit). Returns early on a signal.
  void Wait(std::vector<WaitFd>& fds, Duration timeout);
  // The next waiting message; nothing if there is none.
  std::optional<Incoming> Receive();
  SendResult Send(const std::string& peer, const std::string& bytes);

 private:
  struct State;
  explicit RouterEndpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The worker's and the client's side. Connects in the background and again after a loss.
class DealerEndpoint {
 public:
  // `identity`: unique per process start.
  static Result<DealerEndpoint> Connect(const std::string& endpoint, const std::string& identity);
  DealerEndpoint(DealerEndpoint&&) noexcept;
  DealerEndpoint& operator=(DealerEndpoint&&) noexcept;
  ~DealerEndpoint();  // Waits up to 500 ms for what was sent to leave.

  void Wait(std::vector<WaitFd>& fds, Duration timeout);
  std::optional<std::string> Receive();
  SendResult Send(const std::string& bytes);

 private:
  struct State;
  explicit DealerEndpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace troupe
