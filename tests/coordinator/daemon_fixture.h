// A coordinator's shell with real sockets and a real store, and peers that talk to it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/coordinator_daemon.h"
#include "protocol/codec.h"
#include "storage/rocksdb_checkpoint_store.h"
#include "tests/storage/temporary_directory.h"

namespace troupe {

// A coordinator with an ipc and a tcp endpoint; tcp with CURVE.
class CoordinatorDaemonTest : public testing::Test {
 protected:
  CoordinatorDaemonTest() {
    auto router = RouterEndpoint::Bind(
        {.endpoints = {"ipc://" + (directory.path() / "s").string(), "tcp://127.0.0.1:*"},
         .key = server});
    CHECK(router.has_value());
    endpoints = router->endpoints();
    daemon = std::make_unique<CoordinatorDaemon>(*std::move(router), *store, CoordinatorOptions{},
                                                 RunId{1}, [](const RunEvent&) {});
    daemon->OnNote([this](const std::string& note) { notes.push_back(note); });
    Authorise("worker w1 " + w1.public_key + "\noperator ann " + ann.public_key + "\nviewer wall " +
              wall.public_key);
  }

  void Authorise(const std::string& lines) {
    Result<AccessList> list = AccessList::Parse(lines);
    CHECK(list.has_value());
    daemon->Admit(*std::move(list));
  }
  DealerEndpoint ConnectLocal(const std::string& peer) {
    auto dealer = DealerEndpoint::Connect(endpoints[0], peer);
    CHECK(dealer.has_value());
    return *std::move(dealer);
  }
  DealerEndpoint Connect(const KeyPair& key, const std::string& peer) {
    auto dealer = DealerEndpoint::Connect(
        {.endpoint = endpoints[1], .identity = peer, .key = key, .server_key = server.public_key});
    CHECK(dealer.has_value());
    return *std::move(dealer);
  }

  void Turn(DealerEndpoint& dealer) {
    std::vector<WaitFd> none;
    CHECK(daemon->Turn(none, std::chrono::milliseconds(2)).has_value());
    dealer.Wait(none, std::chrono::milliseconds(2));
  }
  void Say(DealerEndpoint& dealer, const ToCoordinator& message) {
    const std::string bytes = Encode(message);
    for (int tries = 0; tries < 1'000 && dealer.Send(bytes) != SendResult::Sent; ++tries) {
      Turn(dealer);
    }
  }
  // The next message that `wanted` takes, or nothing.
  std::optional<FromCoordinator> Await(DealerEndpoint& dealer,
                                       const std::function<bool(const FromCoordinator&)>& wanted) {
    for (int tries = 0; tries < 1'000; ++tries) {
      Turn(dealer);
      while (const std::optional<std::string> answer = dealer.Receive()) {
        auto decoded = DecodeFromCoordinator(*answer);
        CHECK(decoded.has_value());
        if (wanted(*decoded)) return *std::move(decoded);
      }
    }
    return std::nullopt;
  }
  template <class Message>
  std::optional<Message> Await(DealerEndpoint& dealer) {
    std::optional<FromCoordinator> message =
        Await(dealer, [](const FromCoordinator& m) { return std::holds_alternative<Message>(m); });
    if (!message) return std::nullopt;
    return std::get<Message>(*std::move(message));
  }
  // Says it; then the first answer, or nothing.
  std::optional<FromCoordinator> Ask(DealerEndpoint& dealer, const ToCoordinator& message) {
    Say(dealer, message);
    return Await(dealer, [](const FromCoordinator&) { return true; });
  }
  template <class Message>
  Message AskFor(DealerEndpoint& dealer, const ToCoordinator& message) {
    Say(dealer, message);
    std::optional<Message> answer = Await<Message>(dealer);
    EXPECT_TRUE(answer) << "no answer to message " << message.index();
    return answer.value_or(Message{});
  }
  std::string RefusalOf(const std::optional<FromCoordinator>& answer) {
    if (!answer) return "silence";
    if (const auto* refused = std::get_if<Refused>(&*answer)) return refused->message;
    if (const auto* reply = std::get_if<ClientReply>(&*answer)) return reply->error;
    return "obeyed";
  }
  // Each is a later one than those before.
  static Hello HelloOf(const std::string& worker) {
    static std::uint64_t hellos = 0;
    Hello hello;
    hello.worker = worker;
    hello.number = ++hellos;
    hello.slots = 2;
    return hello;
  }
  std::size_t WorkersKnown() const { return daemon->coordinator().pool().all().size(); }

  TemporaryDirectory directory;
  const KeyPair server = MakeKeyPair();
  const KeyPair w1 = MakeKeyPair();
  const KeyPair ann = MakeKeyPair();
  const KeyPair wall = MakeKeyPair();
  std::unique_ptr<RocksDbCheckpointStore> store = [this] {
    auto opened = RocksDbCheckpointStore::Open(directory.path() / "db");
    CHECK(opened.has_value());
    return *std::move(opened);
  }();
  std::vector<std::string> endpoints;
  std::vector<std::string> notes;
  std::unique_ptr<CoordinatorDaemon> daemon;
};

}  // namespace troupe
