// Who is at the other end, and what they may say: the one place where that is decided.
//
// Pure. A connection proves who it is (a CURVE key, or a socket that only we can open); the list of
// authorised keys says what that key may do; Refusal() judges each message by it. A message that is
// refused never reaches the coordinator's core.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/messages.h"

namespace troupe {

// A CURVE key as text: 40 characters of Z85.
bool IsKey(std::string_view text);

enum class Role : std::uint8_t {
  Worker,    // Carries out attempts, under the names of its line.
  Operator,  // Submits and changes runs, and reads them.
  Viewer,    // Reads.
};
std::string_view Name(Role role);  // "worker"

struct Caller {
  std::string name = "";  // As its line calls it, for messages and logs.
  std::set<Role> roles = {};
  // Names that a worker may bear; a `*` at the end stands for anything.
  std::vector<std::string> workers = {};
  bool operator==(const Caller&) const = default;
};

// Who a connection without a key is: a process of our own user, or anybody who reaches a plain tcp
// endpoint.
inline constexpr std::string_view kLocalUser = "local";
inline constexpr std::string_view kPlainUser = "plain";

// The file of authorised keys: a line `ROLE NAME KEY` for each; `#` begins a line of comment. A key
// may have several lines.
class AccessList {
 public:
  // Invalid names the first line that is wrong.
  static Result<AccessList> Parse(std::string_view text);

  // `user`: a public key, kLocalUser or kPlainUser. Nothing: not authorised (any more).
  std::optional<Caller> Find(const std::string& user) const;
  std::set<std::string> Keys() const;

 private:
  std::map<std::string, Caller> callers_;
};

// A line of that file.
std::string AccessLine(Role role, std::string_view name, std::string_view key);

// Worker names go into paths and logs: 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit.
bool IsWorkerName(std::string_view name);

// The routing id of a worker's or client's connection. It holds a number that nobody else knows:
// who bears it is sent what is meant for its owner.
std::string PeerOfWorker(std::string_view worker, std::uint64_t incarnation);
std::string PeerOfClient(std::uint64_t number);

// Can only this machine reach the endpoint? ipc, and tcp on a loopback address.
bool IsLoopback(std::string_view endpoint);

// Why this message from this connection is not to be obeyed, for people; "" if it is.
std::string Refusal(const Caller& caller, std::string_view peer, const ToCoordinator& message);

}  // namespace troupe
