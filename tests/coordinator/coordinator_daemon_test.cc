// The coordinator's shell over real sockets: who gets in, who may say what, and what hostile bytes
// cost.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>

#include "tests/coordinator/daemon_fixture.h"

namespace troupe {
namespace {

using testing::HasSubstr;

std::size_t ResidentBytes() {
  std::size_t pages = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

TEST_F(CoordinatorDaemonTest, WelcomesTheWorkerOfAKey) {
  DealerEndpoint dealer = Connect(w1, PeerOfWorker("w1", 1));

  const auto answer = Ask(dealer, HelloOf("w1"));

  ASSERT_TRUE(answer);
  EXPECT_TRUE(std::holds_alternative<Welcome>(*answer));
  EXPECT_EQ(WorkersKnown(), 1u);
}

TEST_F(CoordinatorDaemonTest, AWorkerCannotPoseAsAnother) {
  DealerEndpoint by_name = Connect(w1, PeerOfWorker("w1", 1));
  EXPECT_THAT(RefusalOf(Ask(by_name, HelloOf("w2"))), HasSubstr("another one"));
  DealerEndpoint by_connection = Connect(w1, PeerOfWorker("w2", 1));
  EXPECT_THAT(RefusalOf(Ask(by_connection, HelloOf("w2"))),
              HasSubstr("does not belong to the worker w2"));

  EXPECT_EQ(WorkersKnown(), 0u);
  ASSERT_FALSE(notes.empty());
  EXPECT_THAT(notes[0], HasSubstr("a message of \"w1\" was refused"));
}

// The connection of a worker that is gone, taken over by somebody who knew its number.
TEST_F(CoordinatorDaemonTest, AWorkerCannotSpeakOnAnothersConnection) {
  Authorise("worker w1 " + w1.public_key + "\nworker w2 " + ann.public_key);
  {
    DealerEndpoint victim = Connect(w1, PeerOfWorker("w1", 7));
    ASSERT_TRUE(Ask(victim, HelloOf("w1")));
  }
  DealerEndpoint thief = Connect(ann, PeerOfWorker("w1", 7));

  const auto answer = Ask(thief, Goodbye{});

  EXPECT_THAT(RefusalOf(answer), HasSubstr("does not belong to the worker w1"));
  EXPECT_EQ(daemon->coordinator().pool().all().at("w1").peer, PeerOfWorker("w1", 7));
}

TEST_F(CoordinatorDaemonTest, OnlyAnOperatorChangesRuns) {
  const ClientCommand command{.request = 5, .kind = CommandKind::Cancel, .run = RunId{3}};
  DealerEndpoint worker = Connect(w1, PeerOfClient(1));
  EXPECT_THAT(RefusalOf(Ask(worker, command)), HasSubstr("role worker; this needs operator"));
  DealerEndpoint viewer = Connect(wall, PeerOfClient(2));
  EXPECT_THAT(RefusalOf(Ask(viewer, command)), HasSubstr("role viewer; this needs operator"));
  DealerEndpoint ann_herself = Connect(ann, PeerOfClient(3));

  EXPECT_THAT(RefusalOf(Ask(ann_herself, command)), HasSubstr("run 3 is not running"));
}

TEST_F(CoordinatorDaemonTest, AKeyThatIsTakenFromTheListLosesItsOpenConnection) {
  DealerEndpoint dealer = Connect(ann, PeerOfClient(1));
  ASSERT_TRUE(Ask(dealer, ClientCommand{}));

  Authorise("worker w1 " + w1.public_key);

  EXPECT_THAT(RefusalOf(Ask(dealer, ClientCommand{})), HasSubstr("not authorised any more"));
}

TEST_F(CoordinatorDaemonTest, AnUnknownKeyIsNotedOnceAndNotTenTimesASecond) {
  const KeyPair stranger = MakeKeyPair();
  for (std::uint64_t n = 0; n < 20; ++n) {
    DealerEndpoint dealer = Connect(stranger, PeerOfClient(n));
    for (int tries = 0; tries < 1'000 && dealer.link() != Link::KeyRefused; ++tries) Turn(dealer);
    ASSERT_EQ(dealer.link(), Link::KeyRefused);
  }

  ASSERT_EQ(notes.size(), 1u);
  EXPECT_THAT(notes[0], HasSubstr("127.0.0.1 was refused: key " + stranger.public_key));
}

TEST_F(CoordinatorDaemonTest, APeerThatTakesNothingCostsABoundedQueueAndLosesIt) {
  DealerEndpoint dealer = ConnectLocal(PeerOfWorker("w1", 1));
  ASSERT_TRUE(Ask(dealer, HelloOf("w1")));
  Hello hello = HelloOf("w1");  // Its answer says that none of these is wanted.
  for (std::uint32_t i = 0; i < 50'000; ++i)
    hello.holding.push_back({RunId{9}, Subject::Task, i, 1});
  const std::string little = Encode(ToCoordinator(ClientCommand{}));
  std::vector<WaitFd> none;

  // Speaks on and on and never takes an answer.
  const std::size_t before = ResidentBytes();
  bool lost = false;
  for (int i = 0; i < 50'000 && !lost; ++i) {
    ++hello.number;
    (void)dealer.Send(i < 2'500 ? little : Encode(ToCoordinator(hello)));
    ASSERT_TRUE(daemon->Turn(none, {}));
    lost = daemon->coordinator().pool().all().at("w1").peer.empty();
  }

  EXPECT_TRUE(lost);
  EXPECT_LT(ResidentBytes(), before + (400u << 20));
}

// --- hostile bytes ---

class Hostile : public CoordinatorDaemonTest {
 protected:
  std::string Random(std::size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(dice());
    return bytes;
  }
  // A real message, damaged.
  std::string Mutated() {
    AttemptOutcome outcome{.id = {RunId{1}, Subject::Task, 2, 3}};
    outcome.output = "output";
    const ToCoordinator messages[] = {
        HelloOf("w1"),
        Heartbeat{1},
        Started{{{outcome.id, Instant{}}}},
        Finished{{outcome}},
        Goodbye{},
        ClientCommand{1, CommandKind::Pause, RunId{1}},
        Output{.ticket = 1},
        ClientSubmit{.request = 1, .text = "name:", .run_dir = "/"},
        ClientRetry{.request = 1, .tasks = {"a"}},
        ClientDrain{.request = 1, .worker = "w1"},
        ClientListWorkers{1},
        ClientRead{.request = 1},
        ClientWatch{.request = 1, .run = RunId{1}},
        ClientReadOutput{.request = 1, .id = outcome.id},
    };
    std::string bytes = Encode(messages[dice() % std::size(messages)]);
    for (std::uint32_t n = 1 + dice() % 4; n > 0; --n) {
      const std::size_t place = dice() % bytes.size();
      switch (dice() % 4) {
        case 0:
          bytes[place] = static_cast<char>(dice());
          break;
        case 1:
          bytes.insert(place, Random(1 + dice() % 8));
          break;
        case 2:
          bytes.erase(place, 1 + dice() % 8);
          break;
        default:
          bytes += bytes;
          break;
      }
      if (bytes.empty()) bytes = "x";
    }
    return bytes;
  }
  int ConnectRaw() const {
    const std::size_t colon = endpoints[1].rfind(':');
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(endpoints[1].substr(colon + 1))));
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return fd;
  }
  void ExpectService(const std::string& name = "w1") {
    DealerEndpoint worker = Connect(w1, PeerOfWorker(name, 1'000'000));
    const auto answer = Ask(worker, HelloOf(name));
    ASSERT_TRUE(answer);
    EXPECT_TRUE(std::holds_alternative<Welcome>(*answer));
  }

  std::mt19937 dice{7};
};

// TROUPE_HOSTILE_FRAMES: how many; 100,000 by default.
TEST_F(Hostile, AHundredThousandBadFramesCostNothing) {
  daemon->Serve(*store, directory.path() / "db", 1);
  const char* wanted = std::getenv("TROUPE_HOSTILE_FRAMES");
  const int frames = wanted == nullptr ? 100'000 : std::atoi(wanted);
  DealerEndpoint dealer = ConnectLocal(PeerOfWorker("w1", 1));
  ASSERT_TRUE(Ask(dealer, HelloOf("w1")));
  std::vector<WaitFd> none;
  std::size_t before = 0;
  for (int i = 0; i < frames; ++i) {
    const std::string bytes = i % 2 == 0 ? Mutated() : Random(dice() % 200);
    while (dealer.Send(bytes) == SendResult::Full) ASSERT_TRUE(daemon->Turn(none, {}));
    if (i % 100 == 0) {
      ASSERT_TRUE(daemon->Turn(none, {}));
    }
    while (dealer.Receive()) {
    }
    if (i == 10'000) before = ResidentBytes();
  }
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(ResidentBytes(), before + (16u << 20));
#endif
  // By another worker: some frame may have been a hello of w1's with a number far ahead.
  Authorise("worker w2 " + w1.public_key);
  ExpectService("w2");
}

TEST_F(Hostile, GarbageOverRawTcpCostsNothing) {
  ExpectService();
  std::vector<WaitFd> none;
  const std::string http = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  // A greeting of ZMTP 3.1 with the mechanism NULL, or CURVE, and what follows it.
  std::string greeting = "\xff" + std::string(8, '\0') + "\x7f\x03\x01";
  std::size_t before = 0;
  for (int i = 0; i < 2'000; ++i) {
    const int fd = ConnectRaw();
    std::string bytes;
    switch (i % 5) {
      case 0:
        bytes = http;
        break;
      case 1:
        bytes = Random(1 + dice() % 2'000);
        break;
      case 2:  // Claims a command of 2^62 bytes.
        bytes = greeting + "CURVE" + std::string(47, '\0') + "\x06\x40" + std::string(7, '\0');
        break;
      case 3:
        bytes = greeting + "NULL" + std::string(48, '\0') + Random(500);
        break;
      default:
        break;  // Says nothing.
    }
    ASSERT_GE(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    ASSERT_TRUE(daemon->Turn(none, {}));
    close(fd);
    if (i == 500) before = ResidentBytes();
  }

#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(ResidentBytes(), before + (16u << 20));
#endif
  ExpectService();
  EXPECT_EQ(WorkersKnown(), 1u);
}

}  // namespace
}  // namespace troupe
