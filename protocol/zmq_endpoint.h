// ROUTER and DEALER frames, in and out. The only user of ZeroMQ.
//
// A socket lives and dies on the thread that made it. Sending never blocks. Frames above
// kFrameBytesMax and messages of several frames are dropped with their sender's connection or
// ignored; they never reach the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace troupe {

// CURVE keys in Z85.
struct KeyPair {
  std::string public_key = "";
  std::string secret_key = "";
};
KeyPair MakeKeyPair();
Result<std::string> PublicKeyOf(const std::string& secret_key);

struct Incoming {
  std::string peer = "";  // Routing id; the address to answer to.
  std::string user = "";  // Who it has proved to be: a public key, or kLocalUser, kPlainUser.
  std::string bytes = "";
};

enum class SendResult : std::uint8_t { Sent, Full, Gone };

// A descriptor to wait for beside the socket; a negative one is left out.
struct WaitFd {
  int fd = -1;
  bool readable = false;  // Out.
};

// A handshake that was refused.
struct Rejection {
  std::string user = "";     // The key, or what it is without one.
  std::string address = "";  // Of the peer, if known.
};

struct RouterOptions {
  // "ipc:///path" (at most 107 bytes of path; the socket file gets mode 0600) or "tcp://host:port".
  std::vector<std::string> endpoints = {};
  // With it tcp speaks CURVE, and only keys that were admitted get in; without it tcp is plain.
  std::optional<KeyPair> key = {};
};

// The coordinator's side.
class RouterEndpoint {
 public:
  // Refuses an ipc path at which somebody answers already.
  static Result<RouterEndpoint> Bind(const RouterOptions& options);
  static Result<RouterEndpoint> Bind(const std::string& endpoint) {
    return Bind(RouterOptions{.endpoints = {endpoint}});
  }
  RouterEndpoint(RouterEndpoint&&) noexcept;
  RouterEndpoint& operator=(RouterEndpoint&&) noexcept;
  ~RouterEndpoint();

  // The public keys that may come in from now on. Connections that are open stay open.
  void Admit(std::set<std::string> keys);

  // Blocks until a message waits, a descriptor is readable, or `timeout` has passed (rounded up to
  // milliseconds; negative: no limit). Returns early on a signal. Handshakes are decided in here.
  void Wait(std::vector<WaitFd>& fds, Duration timeout);
  // The next waiting message; nothing if there is none.
  std::optional<Incoming> Receive();
  SendResult Send(const std::string& peer, const std::string& bytes);

  // As they were bound: with the number of a port that the system chose.
  const std::vector<std::string>& endpoints() const;
  // Refused since the last call; of many only the first few are kept, `count` counts all.
  std::vector<Rejection> TakeRejections(std::size_t& count);

 private:
  struct State;
  explicit RouterEndpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct DealerOptions {
  std::string endpoint = "";
  std::string identity = "";  // Routing id, unique per process start (access.h).
  // CURVE: our key and the coordinator's public key. Without: plain.
  std::optional<KeyPair> key = {};
  std::string server_key = "";
};

// How the connection stands, as far as is known.
enum class Link : std::uint8_t {
  Connecting,
  Up,
  NoAnswer,     // Nobody listens there, or what listens does not speak as it should.
  WrongServer,  // It broke off during the handshake: it has another key, or wants none or one.
  KeyRefused,   // Our key is not authorised there.
};

// The worker's and the client's side. Connects in the background and again after a loss.
class DealerEndpoint {
 public:
  static Result<DealerEndpoint> Connect(const DealerOptions& options);
  static Result<DealerEndpoint> Connect(const std::string& endpoint, const std::string& identity) {
    return Connect(DealerOptions{.endpoint = endpoint, .identity = identity});
  }
  DealerEndpoint(DealerEndpoint&&) noexcept;
  DealerEndpoint& operator=(DealerEndpoint&&) noexcept;
  ~DealerEndpoint();  // Waits up to 500 ms for what was sent to leave.

  // As the router's; also returns when the link changes.
  void Wait(std::vector<WaitFd>& fds, Duration timeout);
  std::optional<std::string> Receive();
  SendResult Send(const std::string& bytes);
  // As of the last Wait().
  Link link() const;

 private:
  struct State;
  explicit DealerEndpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What a link that is not up means and what to do, for people: "nobody answers at tcp://…".
std::string Describe(Link link, const std::string& endpoint);

}  // namespace troupe
