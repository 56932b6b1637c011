#include "protocol/zmq_endpoint.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>
#include <zmq.hpp>

#include "base/clock.h"
#include "protocol/access.h"
#include "protocol/codec.h"

namespace troupe {
namespace {

constexpr int kMessagesMax = 1'000;  // Queued per peer; our own credit keeps far below.
constexpr int kHandshakeMs = 3'000;
constexpr int kHeartbeatMs = 1'000;
constexpr int kDeadAfterMs = 5'000;
constexpr int kKeepAliveSeconds = 20;
constexpr int kReconnectMs = 100;
constexpr int kReconnectMsMax = 5'000;
constexpr int kConnectionsWaiting = 1'024;  // To be accepted.
constexpr std::size_t kIpcPathMax = 107;
constexpr std::string_view kIpc = "ipc://";
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kKeyTextBytes = 41;      // Z85 and a zero.
constexpr std::size_t kHandshakesMax = 1'000;  // Decided in one Wait().
constexpr std::size_t kRejectionsKept = 100;
// A refused key is tried again, but not as fast as a lost connection.
constexpr Duration kRefusedAgain = std::chrono::seconds(1);
constexpr Duration kRefusedAgainMax = std::chrono::seconds(30);

void SetCommon(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::sndhwm, kMessagesMax);
  socket.set(zmq::sockopt::rcvhwm, kMessagesMax);
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(kFrameBytesMax));
  socket.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
}

// The dealer asks for signs of life, and with that says how long the other side is to wait for the
// next one. A router that asked each of a thousand peers as well would be at nothing else: libzmq
// walks through all its timers to end one.
void SetHeartbeat(zmq::socket_t& dealer) {
  dealer.set(zmq::sockopt::heartbeat_ivl, kHeartbeatMs);
  dealer.set(zmq::sockopt::heartbeat_timeout, kDeadAfterMs);
  dealer.set(zmq::sockopt::heartbeat_ttl, kDeadAfterMs);
}

// For peers that vanish and had not asked.
void SetKeepAlive(zmq::socket_t& router) {
  router.set(zmq::sockopt::tcp_keepalive, 1);
  router.set(zmq::sockopt::tcp_keepalive_idle, kKeepAliveSeconds);
  router.set(zmq::sockopt::tcp_keepalive_intvl, kKeepAliveSeconds);
  router.set(zmq::sockopt::tcp_keepalive_cnt, 3);
}

// Waits for one of the two sockets and the descriptors; see the header.
void WaitFor(zmq::socket_t& socket, zmq::socket_t& aside, std::vector<WaitFd>& fds,
             Duration timeout) {
  std::vector<zmq::pollitem_t> items = {{socket.handle(), 0, ZMQ_POLLIN, 0},
                                        {aside.handle(), 0, ZMQ_POLLIN, 0}};
  std::size_t next = items.size();
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

// The user id of a message, as our own answer to its connection's handshake had it.
std::string UserOf(zmq::message_t& body) {
  const char* user = zmq_msg_gets(body.handle(), "User-Id");
  return user == nullptr ? "" : user;
}

// A second process could bind the same path and take the first one's callers from it, silently.
bool SomebodyAnswersAt(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool answered =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN;
  close(fd);
  return answered;
}

}  // namespace

KeyPair MakeKeyPair() {
  char public_key[kKeyTextBytes] = {};
  char secret_key[kKeyTextBytes] = {};
  CHECK(zmq_curve_keypair(public_key, secret_key) == 0);
  return {public_key, secret_key};
}

Result<std::string> PublicKeyOf(const std::string& secret_key) {
  char public_key[kKeyTextBytes] = {};
  if (!IsKey(secret_key) || zmq_curve_public(public_key, secret_key.c_str()) != 0) {
    return Error{ErrorCode::Invalid, "it is not a key of 40 characters of Z85"};
  }
  return std::string(public_key);
}

struct RouterEndpoint::State {
  zmq::context_t context{1};
  // Decides handshakes (ZAP, RFC 27): the I/O thread asks, and waits for the answer.
  zmq::socket_t gate{context, zmq::socket_type::rep};
  zmq::socket_t socket{context, zmq::socket_type::router};
  std::vector<std::string> endpoints;
  std::set<std::string> admitted;
  std::vector<Rejection> rejections;
  std::size_t rejected = 0;

  void Bind(const std::string& endpoint, bool curve);
  void DecideHandshakes();
  bool DecideOne();
};

// What is set on a socket counts for what is bound after it.
void RouterEndpoint::State::Bind(const std::string& endpoint, bool curve) {
  const bool ipc = endpoint.starts_with(kIpc);
  socket.set(zmq::sockopt::curve_server, curve && !ipc);
  socket.set(zmq::sockopt::zap_domain, std::string(ipc ? kLocalUser : kPlainUser));
  const mode_t before = umask(0177);  // The socket file is ours alone.
  try {
    socket.bind(endpoint);
    umask(before);
  } catch (const zmq::error_t&) {
    umask(before);
    throw;
  }
  endpoints.push_back(socket.get(zmq::sockopt::last_endpoint));
}

// A request: version, number, domain, address, our own id, mechanism, credentials. The answer:
// version, number, status, text, user id, metadata.
bool RouterEndpoint::State::DecideOne() {
  std::array<zmq::message_t, 7> request;
  if (!ReceiveFrame(gate, request[0])) return false;
  std::size_t frames = 1;
  while (request[frames - 1].more() && frames < request.size()) {
    if (!ReceiveFrame(gate, request[frames])) break;
    ++frames;
  }
  DropRest(gate, request[frames - 1]);
  std::string user;
  bool admit = false;
  const std::string mechanism = request[5].to_string();
  if (mechanism == "CURVE" && request[6].size() == kKeyBytes) {
    char key[kKeyTextBytes] = {};
    zmq_z85_encode(key, static_cast<const std::uint8_t*>(request[6].data()), kKeyBytes);
    user = key;
    admit = admitted.contains(user);
  } else if (mechanism == "NULL") {
    user = request[2].to_string();
    admit = true;
  }
  if (!admit) {
    ++rejected;
    if (rejections.size() < kRejectionsKept) {
      rejections.push_back({user.empty() ? mechanism : user, request[3].to_string()});
    }
  }
  const auto more = zmq::send_flags::sndmore;
  gate.send(zmq::str_buffer("1.0"), more);
  gate.send(request[1], more);
  gate.send(admit ? zmq::str_buffer("200") : zmq::str_buffer("400"), more);
  gate.send(zmq::const_buffer(), more);
  gate.send(zmq::buffer(user), more);
  gate.send(zmq::const_buffer(), zmq::send_flags::none);
  return true;
}

void RouterEndpoint::State::DecideHandshakes() {
  try {
    for (std::size_t n = 0; n < kHandshakesMax && DecideOne(); ++n) {
    }
  } catch (const zmq::error_t&) {
    // The handshake runs out of its time; the peer tries again.
  }
}

RouterEndpoint::RouterEndpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
RouterEndpoint::RouterEndpoint(RouterEndpoint&&) noexcept = default;
RouterEndpoint& RouterEndpoint::operator=(RouterEndpoint&&) noexcept = default;
RouterEndpoint::~RouterEndpoint() = default;

Result<RouterEndpoint> RouterEndpoint::Bind(const RouterOptions& options) {
  auto state = std::make_unique<State>();
  try {
    state->gate.set(zmq::sockopt::linger, 0);
    state->gate.bind("inproc://zeromq.zap.01");
    SetCommon(state->socket);
    SetKeepAlive(state->socket);
    state->socket.set(zmq::sockopt::linger, 0);
    state->socket.set(zmq::sockopt::backlog, kConnectionsWaiting);
    state->socket.set(zmq::sockopt::router_mandatory, true);
    if (options.key) {
      state->socket.set(zmq::sockopt::curve_secretkey, options.key->secret_key);
    }
  } catch (const zmq::error_t& error) {
    return Error{ErrorCode::Io, fmt::format("cannot make a socket: {}", error.what())};
  }
  for (const std::string& endpoint : options.endpoints) {
    if (endpoint.starts_with(kIpc)) {
      const std::string path = endpoint.substr(kIpc.size());
      if (path.size() > kIpcPathMax) {
        return BadEndpoint(endpoint, "the path of a socket may have at most 107 bytes");
      }
      if (SomebodyAnswersAt(path)) return BadEndpoint(endpoint, "another process answers there");
    }
    try {
      state->Bind(endpoint, options.key.has_value());
    } catch (const zmq::error_t& error) {
      return BadEndpoint(endpoint, error.what());
    }
  }
  return RouterEndpoint(std::move(state));
}

void RouterEndpoint::Admit(std::set<std::string> keys) { state_->admitted = std::move(keys); }

void RouterEndpoint::Wait(std::vector<WaitFd>& fds, Duration timeout) {
  WaitFor(state_->socket, state_->gate, fds, timeout);
  state_->DecideHandshakes();
}

std::optional<Incoming> RouterEndpoint::Receive() {
  zmq::message_t peer;
  zmq::message_t body;
  while (ReceiveFrame(state_->socket, peer)) {
    if (!peer.more() || !ReceiveFrame(state_->socket, body)) continue;
    if (DropRest(state_->socket, body)) continue;
    std::string user = UserOf(body);
    if (user.empty()) continue;
    return Incoming{peer.to_string(), std::move(user), body.to_string()};
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

const std::vector<std::string>& RouterEndpoint::endpoints() const { return state_->endpoints; }

std::vector<Rejection> RouterEndpoint::TakeRejections(std::size_t& count) {
  count = std::exchange(state_->rejected, 0);
  return std::exchange(state_->rejections, {});
}

struct DealerEndpoint::State {
  zmq::context_t context{1};
  zmq::socket_t socket{context, zmq::socket_type::dealer};
  zmq::socket_t events{context, zmq::socket_type::pair};  // What becomes of the connection.
  std::string endpoint;
  Clock clock;
  Link link = Link::Connecting;
  Instant connect_at = kNever;  // Set while we are disconnected on purpose.
  Duration refused_again = kRefusedAgain;

  void ReadEvents();
  void On(int event);
};

DealerEndpoint::DealerEndpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
DealerEndpoint::DealerEndpoint(DealerEndpoint&&) noexcept = default;
DealerEndpoint& DealerEndpoint::operator=(DealerEndpoint&&) noexcept = default;
DealerEndpoint::~DealerEndpoint() {
  if (state_ != nullptr) zmq_socket_monitor(state_->socket.handle(), nullptr, 0);
}

Result<DealerEndpoint> DealerEndpoint::Connect(const DealerOptions& options) {
  try {
    auto state = std::make_unique<State>();
    state->endpoint = options.endpoint;
    SetCommon(state->socket);
    SetHeartbeat(state->socket);
    state->socket.set(zmq::sockopt::linger, 500);
    state->socket.set(zmq::sockopt::immediate, true);
    state->socket.set(zmq::sockopt::reconnect_ivl, kReconnectMs);
    state->socket.set(zmq::sockopt::reconnect_ivl_max, kReconnectMsMax);
    state->socket.set(zmq::sockopt::routing_id, options.identity);
    if (options.key && !options.endpoint.starts_with(kIpc)) {
      state->socket.set(zmq::sockopt::curve_publickey, options.key->public_key);
      state->socket.set(zmq::sockopt::curve_secretkey, options.key->secret_key);
      state->socket.set(zmq::sockopt::curve_serverkey, options.server_key);
    }
    constexpr int kEvents = ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED |
                            ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                            ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    if (zmq_socket_monitor(state->socket.handle(), "inproc://events", kEvents) != 0) {
      throw zmq::error_t();
    }
    state->events.set(zmq::sockopt::linger, 0);
    state->events.connect("inproc://events");
    state->socket.connect(options.endpoint);
    return DealerEndpoint(std::move(state));
  } catch (const zmq::error_t& error) {
    return BadEndpoint(options.endpoint, error.what());
  }
}

// An event is a frame of its number (16 bits) and a value (32 bits), and a frame of the address.
void DealerEndpoint::State::ReadEvents() {
  zmq::message_t frame;
  while (ReceiveFrame(events, frame)) {
    std::uint16_t number = 0;
    if (frame.size() >= sizeof number) std::memcpy(&number, frame.data(), sizeof number);
    DropRest(events, frame);
    On(number);
  }
}

void DealerEndpoint::State::On(int event) {
  switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
      link = Link::Up;
      refused_again = kRefusedAgain;
      return;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      link = Link::KeyRefused;
      break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
      link = Link::WrongServer;
      break;
    case ZMQ_EVENT_DISCONNECTED:
      if (link == Link::Up) link = Link::Connecting;
      return;
    default:
      if (link == Link::Connecting) link = Link::NoAnswer;
      return;
  }
  // The library would try again ten times a second, for ever.
  if (connect_at != kNever) return;
  try {
    socket.disconnect(endpoint);
  } catch (const zmq::error_t&) {
    return;
  }
  connect_at = clock.Now() + refused_again;
  refused_again = std::min(2 * refused_again, kRefusedAgainMax);
}

void DealerEndpoint::Wait(std::vector<WaitFd>& fds, Duration timeout) {
  const Duration until = std::max(Duration{}, state_->connect_at - state_->clock.Now());
  if (state_->connect_at != kNever && (timeout < Duration{} || until < timeout)) timeout = until;
  WaitFor(state_->socket, state_->events, fds, timeout);
  state_->ReadEvents();
  if (state_->clock.Now() < state_->connect_at) return;
  state_->connect_at = kNever;
  try {
    state_->socket.connect(state_->endpoint);
  } catch (const zmq::error_t&) {
    state_->connect_at = state_->clock.Now() + state_->refused_again;
  }
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

Link DealerEndpoint::link() const { return state_->link; }

std::string Describe(Link link, const std::string& endpoint) {
  switch (link) {
    case Link::Up:
      return fmt::format("the coordinator at {} does not answer", endpoint);
    case Link::KeyRefused:
      return fmt::format(
          "the coordinator at {} refuses our key; add the line that `troupe keygen` printed to its "
          "file of authorised keys",
          endpoint);
    case Link::WrongServer:
      return fmt::format(
          "{} broke off the handshake: it is no coordinator, or its key is not the one in our "
          "server_key file, or only one side uses keys",
          endpoint);
    case Link::Connecting:
    case Link::NoAnswer:
      break;
  }
  return fmt::format("nobody answers at {}; is the coordinator running there?", endpoint);
}

}  // namespace troupe
