#include "protocol/zmq_endpoint.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>
#include <zmq.hpp>

#include "protocol/codec.h"

namespace troupe {
namespace {

constexpr int kMessagesMax = 10'000;  // Queued per peer; our own credit keeps far below.
constexpr int kHandshakeMs = 3'000;
constexpr int kHeartbeatMs = 1'000;
constexpr int kDeadAfterMs = 5'000;
constexpr std::size_t kIpcPathMax = 107;

void SetCommon(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::sndhwm, kMessagesMax);
  socket.set(zmq::sockopt::rcvhwm, kMessagesMax);
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(kFrameBytesMax));
  socket.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
  socket.set(zmq::sockopt::heartbeat_ivl, kHeartbeatMs);
  socket.set(zmq::sockopt::heartbeat_timeout, kDeadAfterMs);
  socket.set(zmq::sockopt::heartbeat_ttl, kDeadAfterMs);
}

// Waits for the socket and the descriptors; see the header.
void WaitFor(zmq::socket_t& socket, std::vector<WaitFd>& fds, Duration timeout) {
  std::vector<zmq::pollitem_t> items = {{socket.handle(), 0, ZMQ_POLLIN, 0}};
  for (const WaitFd& fd : fds) {
    if (fd.fd >= 0) items.push_back({nullptr, fd.fd, ZMQ_POLLIN, 0});
  }
  auto wait = std::chrono::ceil<std::chrono::milliseconds>(timeout);
  if (timeout < Duration{}) wait = std::chrono::milliseconds(-1);
  wait = std::min(wait, std::chrono::milliseconds(std::numeric_limits<int>::max()));
  try {
    zmq::poll(items, wait);
  } catch (const zmq::error_t&) {
    // A signal came: nothing is ready.
  }
  std::size_t next = 1;
  for (WaitFd& fd : fds) fd.readable = fd.fd >= 0 && items[next++].revents != 0;
}

// The next frame of a message; false: none waits.
bool ReceiveFrame(zmq::socket_t& socket, zmq::message_t& frame) {
  for (;;) {
    try {
      return socket.recv(frame, zmq::recv_flags::dontwait).has_value();
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) return false;
    }
  }
}

// Takes the frames off that follow `frame`; true if there were any.
bool DropRest(zmq::socket_t& socket, const zmq::message_t& frame) {
  if (!frame.more()) return false;
  zmq::message_t rest;
  do {
    if (!ReceiveFrame(socket, rest)) break;
  } while (rest.more());
  return true;
}

template <class SendFrames>
SendResult TrySend(SendFrames&& send) {
  for (;;) {
    try {
      return send() ? SendResult::Sent : SendResult::Full;
    } catch (const zmq::error_t& error) {
      if (error.num() == EINTR) continue;
      return SendResult::Gone;
    }
  }
}

Error BadEndpoint(const std::string& endpoint, const char* why) {
  return {ErrorCode::Io, fmt::format("cannot use the endpoint {}: {}", endpoint, why)};
}

}  // namespace

struct RouterEndpoint::State {
  zmq::context_t context{1};
  zmq::socket_t socket{context, zmq::socket_type::router};
};

RouterEndpoint::RouterEndpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
RouterEndpoint::RouterEndpoint(RouterEndpoint&&) noexcept = default;
RouterEndpoint& RouterEndpoint::operator=(RouterEndpoint&&) noexcept = default;
RouterEndpoint::~RouterEndpoint() = default;

Result<RouterEndpoint> RouterEndpoint::Bind(const std::string& endpoint) {
  const std::string ipc = "ipc://";
  if (endpoint.starts_with(ipc) && endpoint.size() - ipc.size() > kIpcPathMax) {
    return BadEndpoint(endpoint, "the path of a socket may have at most 107 bytes");
  }
  const mode_t before = umask(0177);  // The socket file is ours alone.
  try {
    auto state = std::make_unique<State>();
    SetCommon(state->socket);
    state->socket.set(zmq::sockopt::linger, 0);
    state->socket.set(zmq::sockopt::router_mandatory, true);
    state->socket.bind(endpoint);
    umask(before);
    return RouterEndpoint(std::move(state));
  } catch (const zmq::error_t& error) {
    umask(before);
    return BadEndpoint(endpoint, error.what());
  }
}

void RouterEndpoint::Wait(std::vector<WaitFd>& fds, Duration timeout) {
  WaitFor(state_->socket, fds, timeout);
}

std::optional<Incoming> RouterEndpoint::Receive() {
  zmq::message_t peer;
  zmq::message_t body;
  while (ReceiveFrame(state_->socket, peer)) {
    if (!peer.more() || !ReceiveFrame(state_->socket, body)) continue;
    if (DropRest(state_->socket, body)) continue;
    return Incoming{peer.to_string(), body.to_string()};
  }
  return std::nullopt;
}

SendResult RouterEndpoint::Send(const std::string& peer, const std::string& bytes) {
  return TrySend([&] {
    const auto more = zmq::send_flags::sndmore | zmq::send_flags::dontwait;
    if (!state_->socket.send(zmq::buffer(peer), more)) return false;
    return state_->socket.send(zmq::buffer(bytes), zmq::send_flags::dontwait).has_value();
  });
}

struct DealerEndpoint::State {
  zmq::context_t context{1};
  zmq::socket_t socket{context, zmq::socket_type::dealer};
};

DealerEndpoint::DealerEndpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
DealerEndpoint::DealerEndpoint(DealerEndpoint&&) noexcept = default;
DealerEndpoint& DealerEndpoint::operator=(DealerEndpoint&&) noexcept = default;
DealerEndpoint::~DealerEndpoint() = default;

Result<DealerEndpoint> DealerEndpoint::Connect(const std::string& endpoint,
                                               const std::string& identity) {
  try {
    auto state = std::make_unique<State>();
    SetCommon(state->socket);
    state->socket.set(zmq::sockopt::linger, 500);
    state->socket.set(zmq::sockopt::immediate, true);
    state->socket.set(zmq::sockopt::reconnect_ivl, 100);
    state->socket.set(zmq::sockopt::reconnect_ivl_max, 5'000);
    state->socket.set(zmq::sockopt::routing_id, identity);
    state->socket.connect(endpoint);
    return DealerEndpoint(std::move(state));
  } catch (const zmq::error_t& error) {
    return BadEndpoint(endpoint, error.what());
  }
}

void DealerEndpoint::Wait(std::vector<WaitFd>& fds, Duration timeout) {
  WaitFor(state_->socket, fds, timeout);
}

std::optional<std::string> DealerEndpoint::Receive() {
  zmq::message_t body;
  while (ReceiveFrame(state_->socket, body)) {
    if (DropRest(state_->socket, body)) continue;
    return body.to_string();
  }
  return std::nullopt;
}

SendResult DealerEndpoint::Send(const std::string& bytes) {
  return TrySend([&] {
    return state_->socket.send(zmq::buffer(bytes), zmq::send_flags::dontwait).has_value();
  });
}

}  // namespace troupe
