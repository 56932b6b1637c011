#include "protocol/zmq_endpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "protocol/access.h"
#include "protocol/codec.h"
#include "tests/storage/temporary_directory.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Tries again until it holds; the endpoints' own Wait() is what takes the time.
bool Eventually(RouterEndpoint& router, DealerEndpoint& dealer,
                const std::function<bool()>& holds) {
  std::vector<WaitFd> none;
  for (int tries = 0; tries < 1'000; ++tries) {
    if (holds()) return true;
    router.Wait(none, milliseconds(5));
    dealer.Wait(none, milliseconds(5));
  }
  return false;
}

class Endpoints : public testing::TestWithParam<const char*> {
 protected:
  std::string Address() const {
    const std::string kind = GetParam();
    return kind == "ipc" ? "ipc://" + (directory_.path() / "s").string()
                         : "tcp://127.0.0.1:" + std::to_string(20'000 + getpid() % 20'000);
  }
  RouterEndpoint Bind() const {
    auto router = RouterEndpoint::Bind(Address());
    CHECK(router.has_value());
    return *std::move(router);
  }
  DealerEndpoint Connect(const std::string& name) const {
    auto dealer = DealerEndpoint::Connect(Address(), name);
    CHECK(dealer.has_value());
    return *std::move(dealer);
  }

 private:
  TemporaryDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(Kinds, Endpoints, testing::Values("ipc", "tcp"));

TEST_P(Endpoints, CarryMessagesBothWays) {
  RouterEndpoint router = Bind();
  DealerEndpoint dealer = Connect("w1/1");
  ASSERT_TRUE(Eventually(router, dealer, [&] { return dealer.Send("hello") == SendResult::Sent; }));
  std::optional<Incoming> incoming;
  ASSERT_TRUE(
      Eventually(router, dealer, [&] { return (incoming = router.Receive()).has_value(); }));
  EXPECT_EQ(incoming->peer, "w1/1");
  EXPECT_EQ(incoming->user, std::string(GetParam()) == "ipc" ? kLocalUser : kPlainUser);
  EXPECT_EQ(incoming->bytes, "hello");

  EXPECT_EQ(router.Send("w1/1", std::string(3'000'000, 'x')), SendResult::Sent);
  std::optional<std::string> bytes;
  ASSERT_TRUE(Eventually(router, dealer, [&] { return (bytes = dealer.Receive()).has_value(); }));
  EXPECT_EQ(bytes->size(), 3'000'000u);
}

TEST_P(Endpoints, KnowThatAPeerIsNotThere) {
  RouterEndpoint router = Bind();
  EXPECT_EQ(router.Send("nobody", "x"), SendResult::Gone);
}

TEST_P(Endpoints, FindEachOtherAgainAfterARestart) {
  std::optional<RouterEndpoint> router = Bind();
  DealerEndpoint dealer = Connect("w1/1");
  ASSERT_TRUE(Eventually(*router, dealer, [&] { return dealer.Send("one") == SendResult::Sent; }));
  ASSERT_TRUE(Eventually(*router, dealer, [&] { return router->Receive().has_value(); }));
  router.reset();
  router = Bind();

  ASSERT_TRUE(Eventually(*router, dealer, [&] {
    (void)dealer.Send("two");
    const auto incoming = router->Receive();
    return incoming && incoming->bytes == "two";
  }));
}

TEST_P(Endpoints, NeverBlockWhenAPeerTakesNothing) {
  RouterEndpoint router = Bind();
  DealerEndpoint dealer = Connect("w1/1");
  ASSERT_TRUE(Eventually(router, dealer, [&] { return dealer.Send("hello") == SendResult::Sent; }));
  ASSERT_TRUE(Eventually(router, dealer, [&] { return router.Receive().has_value(); }));

  SendResult result = SendResult::Sent;
  for (int i = 0; i < 100'000 && result == SendResult::Sent; ++i) {
    result = router.Send("w1/1", std::string(1'000, 'x'));
  }
  EXPECT_EQ(result, SendResult::Full);
}

TEST(RouterEndpoint, MakesASocketOfItsOwnersOnly) {
  TemporaryDirectory directory;
  const std::string path = directory.path() / "s";
  const auto router = RouterEndpoint::Bind("ipc://" + path);
  ASSERT_TRUE(router);
  struct stat about {};
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
}

TEST(RouterEndpoint, RefusesWhatItCannotBind) {
  EXPECT_FALSE(RouterEndpoint::Bind("ipc:///nonexistent/directory/s"));
  EXPECT_FALSE(RouterEndpoint::Bind("nonsense"));
  const auto long_path = RouterEndpoint::Bind("ipc:///" + std::string(200, 'x'));
  ASSERT_FALSE(long_path);
  EXPECT_NE(long_path.error().message.find("107"), std::string::npos);
}

TEST(RouterEndpoint, RefusesASocketAtWhichSomebodyAnswers) {
  TemporaryDirectory directory;
  const std::string endpoint = "ipc://" + (directory.path() / "s").string();
  {
    const auto first = RouterEndpoint::Bind(endpoint);
    ASSERT_TRUE(first);

    const auto second = RouterEndpoint::Bind(endpoint);

    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("another process answers there"), std::string::npos);
  }
  EXPECT_TRUE(RouterEndpoint::Bind(endpoint));  // What a dead process has left does not matter.
}

// An ipc and a tcp endpoint of one router, tcp with CURVE.
class CurveTest : public testing::Test {
 protected:
  DealerEndpoint Connect(const std::string& endpoint, std::optional<KeyPair> key,
                         const std::string& server_key, const std::string& name = "w/w1/1") {
    auto dealer = DealerEndpoint::Connect(
        {.endpoint = endpoint, .identity = name, .key = std::move(key), .server_key = server_key});
    CHECK(dealer.has_value());
    return *std::move(dealer);
  }
  bool ComesTo(DealerEndpoint& dealer, Link link) {
    return Eventually(router, dealer, [&] { return dealer.link() == link; });
  }
  std::optional<Incoming> Hear(DealerEndpoint& dealer, const std::string& bytes) {
    std::optional<Incoming> incoming;
    (void)Eventually(router, dealer, [&] {
      (void)dealer.Send(bytes);
      return (incoming = router.Receive()).has_value();
    });
    return incoming;
  }
  const std::string& tcp() const { return router.endpoints()[1]; }

  TemporaryDirectory directory;
  const KeyPair server = MakeKeyPair();
  const KeyPair known = MakeKeyPair();
  const KeyPair stranger = MakeKeyPair();
  RouterEndpoint router = [this] {
    auto bound = RouterEndpoint::Bind(
        {.endpoints = {"ipc://" + (directory.path() / "s").string(), "tcp://127.0.0.1:*"},
         .key = server});
    CHECK(bound.has_value());
    bound->Admit({known.public_key});
    return *std::move(bound);
  }();
};

TEST_F(CurveTest, AMessageSaysWhichKeySentIt) {
  DealerEndpoint dealer = Connect(tcp(), known, server.public_key);

  const std::optional<Incoming> incoming = Hear(dealer, "hello");

  ASSERT_TRUE(incoming);
  EXPECT_EQ(incoming->user, known.public_key);
  EXPECT_EQ(incoming->peer, "w/w1/1");
  EXPECT_EQ(dealer.link(), Link::Up);
  EXPECT_EQ(router.Send("w/w1/1", "welcome"), SendResult::Sent);
}

TEST_F(CurveTest, TheSocketOfOurOwnUserNeedsNoKey) {
  DealerEndpoint dealer = Connect(router.endpoints()[0], std::nullopt, "");

  const std::optional<Incoming> incoming = Hear(dealer, "hello");

  ASSERT_TRUE(incoming);
  EXPECT_EQ(incoming->user, kLocalUser);
}

TEST_F(CurveTest, AnUnknownKeyIsToldAndReportedAndDeliversNothing) {
  DealerEndpoint dealer = Connect(tcp(), stranger, server.public_key);

  ASSERT_TRUE(ComesTo(dealer, Link::KeyRefused));

  EXPECT_NE(dealer.Send("let me in"), SendResult::Sent);
  EXPECT_FALSE(router.Receive());
  std::size_t count = 0;
  const std::vector<Rejection> rejections = router.TakeRejections(count);
  ASSERT_FALSE(rejections.empty());
  EXPECT_EQ(rejections[0].user, stranger.public_key);
  EXPECT_EQ(rejections[0].address, "127.0.0.1");
  EXPECT_EQ(count, rejections.size());
}

TEST_F(CurveTest, AKeyThatIsAdmittedLaterGetsIn) {
  DealerEndpoint dealer = Connect(tcp(), stranger, server.public_key);
  ASSERT_TRUE(ComesTo(dealer, Link::KeyRefused));

  router.Admit({stranger.public_key});

  EXPECT_TRUE(Hear(dealer, "hello"));
}

TEST_F(CurveTest, ARefusedKeyDoesNotKnockTenTimesASecond) {
  DealerEndpoint dealer = Connect(tcp(), stranger, server.public_key);
  ASSERT_TRUE(ComesTo(dealer, Link::KeyRefused));
  std::size_t count = 0;
  (void)router.TakeRejections(count);

  int waits = 0;
  (void)Eventually(router, dealer, [&] { return ++waits > 50; });  // Half a second.

  (void)router.TakeRejections(count);
  EXPECT_EQ(count, 0u);
}

TEST_F(CurveTest, ADealerNoticesThatTheServerHasAnotherKey) {
  DealerEndpoint dealer = Connect(tcp(), known, MakeKeyPair().public_key);

  EXPECT_TRUE(ComesTo(dealer, Link::WrongServer));
}

TEST_F(CurveTest, APeerWithoutAKeyGetsNowhere) {
  DealerEndpoint dealer = Connect(tcp(), std::nullopt, "");

  EXPECT_TRUE(ComesTo(dealer, Link::WrongServer));

  EXPECT_NE(dealer.Send("let me in"), SendResult::Sent);
}

TEST(DealerEndpoint, NoticesThatNobodyListens) {
  auto router = RouterEndpoint::Bind("tcp://127.0.0.1:*");
  ASSERT_TRUE(router);
  const std::string endpoint = router->endpoints()[0];
  auto other = RouterEndpoint::Bind("tcp://127.0.0.1:*");
  ASSERT_TRUE(other);
  router = Error{};  // Its port is free again.
  auto dealer = DealerEndpoint::Connect(endpoint, "c/1");
  ASSERT_TRUE(dealer);

  EXPECT_TRUE(Eventually(*other, *dealer, [&] { return dealer->link() == Link::NoAnswer; }));
  EXPECT_NE(Describe(dealer->link(), endpoint).find(endpoint), std::string::npos);
}

}  // namespace
}  // namespace troupe
