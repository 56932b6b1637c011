#include "protocol/access.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/limits.h"

namespace troupe {
namespace {

constexpr std::size_t kKeyCharacters = 40;
constexpr std::string_view kZ85 =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
constexpr std::string_view kWorkerPeer = "w/";
constexpr std::string_view kClientPeer = "c/";
constexpr std::size_t kNameBytesMax = 128;

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool MayBear(const Caller& caller, std::string_view worker) {
  return std::any_of(caller.workers.begin(), caller.workers.end(), [&](std::string_view name) {
    if (!name.ends_with('*')) return name == worker;
    return worker.starts_with(name.substr(0, name.size() - 1));
  });
}

// "gpu-1" of "w/gpu-1/7f"; "" of any other.
std::string_view WorkerOf(std::string_view peer) {
  const std::size_t end = peer.rfind('/');
  if (!peer.starts_with(kWorkerPeer) || end < kWorkerPeer.size()) return "";
  return peer.substr(kWorkerPeer.size(), end - kWorkerPeer.size());
}

// The role a message asks for.
Role Needed(const ToCoordinator& message) {
  struct Visitor {
    Role operator()(const Hello&) const { return Role::Worker; }
    Role operator()(const Heartbeat&) const { return Role::Worker; }
    Role operator()(const Started&) const { return Role::Worker; }
    Role operator()(const Finished&) const { return Role::Worker; }
    Role operator()(const Goodbye&) const { return Role::Worker; }
    Role operator()(const Output&) const { return Role::Worker; }
    Role operator()(const ClientCommand&) const { return Role::Operator; }
    Role operator()(const ClientSubmit&) const { return Role::Operator; }
    Role operator()(const ClientRetry&) const { return Role::Operator; }
    Role operator()(const ClientDrain&) const { return Role::Operator; }
    Role operator()(const ClientListWorkers&) const { return Role::Viewer; }
    Role operator()(const ClientRead&) const { return Role::Viewer; }
    Role operator()(const ClientWatch&) const { return Role::Viewer; }
    Role operator()(const ClientReadOutput&) const { return Role::Viewer; }
  };
  return std::visit(Visitor{}, message);
}

bool Has(const Caller& caller, Role needed) {
  if (caller.roles.contains(needed)) return true;
  return needed == Role::Viewer && caller.roles.contains(Role::Operator);
}

// The words of a line.
std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) break;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

std::optional<Role> RoleFrom(std::string_view word) {
  for (const Role role : {Role::Worker, Role::Operator, Role::Viewer}) {
    if (Name(role) == word) return role;
  }
  return std::nullopt;
}

// A name of a line: a worker's may end in `*`.
bool IsName(Role role, std::string_view name) {
  if (role != Role::Worker) return name.size() <= kNameBytesMax;
  if (!name.ends_with('*')) return IsWorkerName(name);
  return name == "*" || IsWorkerName(name.substr(0, name.size() - 1));
}

// What is wrong with the words of a line; "" if nothing is.
std::string WrongWithLine(const std::vector<std::string_view>& words) {
  if (words.size() != 3) return "it must be ROLE NAME KEY";
  const std::optional<Role> role = RoleFrom(words[0]);
  if (!role) return fmt::format("\"{}\" is not worker, operator or viewer", words[0]);
  if (!IsName(*role, words[1])) {
    return fmt::format("\"{}\" cannot be the name of a worker", words[1]);
  }
  if (!IsKey(words[2])) {
    return "the key is not 40 characters of Z85, as `troupe keygen` prints it";
  }
  return "";
}

}  // namespace

bool IsKey(std::string_view text) {
  return text.size() == kKeyCharacters && std::all_of(text.begin(), text.end(), [](char c) {
           return kZ85.find(c) != std::string_view::npos;
         });
}

std::string_view Name(Role role) {
  switch (role) {
    case Role::Worker:
      return "worker";
    case Role::Operator:
      return "operator";
    case Role::Viewer:
      return "viewer";
  }
  return "";
}

Result<AccessList> AccessList::Parse(std::string_view text) {
  AccessList list;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::vector<std::string_view> words = Words(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty() || words[0].starts_with('#')) continue;
    if (const std::string wrong = WrongWithLine(words); !wrong.empty()) {
      return Error{ErrorCode::Invalid, fmt::format("line {}: {}", number, wrong)};
    }
    const Role role = *RoleFrom(words[0]);
    Caller& caller = list.callers_[std::string(words[2])];
    if (caller.name.empty()) caller.name = words[1];
    caller.roles.insert(role);
    if (role == Role::Worker) caller.workers.emplace_back(words[1]);
  }
  return list;
}

std::optional<Caller> AccessList::Find(const std::string& user) const {
  if (user == kLocalUser || user == kPlainUser) {
    return Caller{.name = user, .roles = {Role::Worker, Role::Operator}, .workers = {"*"}};
  }
  const auto it = callers_.find(user);
  if (it == callers_.end()) return std::nullopt;
  return it->second;
}

std::set<std::string> AccessList::Keys() const {
  std::set<std::string> keys;
  for (const auto& [key, caller] : callers_) keys.insert(key);
  return keys;
}

std::string AccessLine(Role role, std::string_view name, std::string_view key) {
  return fmt::format("{} {} {}", Name(role), name, key);
}

bool IsWorkerName(std::string_view name) {
  return !name.empty() && name.size() <= kWorkerNameBytesMax && IsAlphanumeric(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

std::string PeerOfWorker(std::string_view worker, std::uint64_t incarnation) {
  return fmt::format("{}{}/{:x}", kWorkerPeer, worker, incarnation);
}

std::string PeerOfClient(std::uint64_t number) {
  return fmt::format("{}{:x}", kClientPeer, number);
}

bool IsLoopback(std::string_view endpoint) {
  if (endpoint.starts_with("ipc://")) return true;
  const std::string_view tcp = "tcp://";
  const std::size_t port = endpoint.rfind(':');
  if (!endpoint.starts_with(tcp) || port < tcp.size()) return false;
  const std::string_view host = endpoint.substr(tcp.size(), port - tcp.size());
  return host == "localhost" || host == "lo" || host == "[::1]" ||
         (host.starts_with("127.") &&
          host.find_first_not_of("0123456789.") == std::string_view::npos);
}

std::string Refusal(const Caller& caller, std::string_view peer, const ToCoordinator& message) {
  const Role needed = Needed(message);
  if (!Has(caller, needed)) {
    std::string roles;
    for (const Role role : caller.roles) {
      roles += fmt::format("{}{}", roles.empty() ? "" : " and ", Name(role));
    }
    return fmt::format("the key of \"{}\" has the role {}; this needs {}", caller.name, roles,
                       Name(needed));
  }
  if (needed != Role::Worker) return "";
  const std::string_view worker = WorkerOf(peer);
  if (worker.empty()) return "only a worker's connection may say this";
  if (!MayBear(caller, worker)) {
    return fmt::format("the key of \"{}\" does not belong to the worker {}", caller.name, worker);
  }
  const auto* hello = std::get_if<Hello>(&message);
  if (hello != nullptr && hello->worker != worker) {
    return fmt::format("the connection of worker {} says that it is another one", worker);
  }
  return "";
}

}  // namespace troupe
