#include "protocol/zmq_endpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "protocol/codec.h"
#include "tests/storage/temporary_directory.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Tries again until it holds; the endpoints' own Wait() is what takes the time.
template <class Endpoint>
bool Eventually(Endpoint& endpoint, const std::function<bool()>& holds) {
  std::vector<WaitFd> none;
  for (int tries = 0; tries < 500; ++tries) {
    if (holds()) return true;
    endpoint.Wait(none, milliseconds(20));
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
  ASSERT_TRUE(Eventually(dealer, [&] { return dealer.Send("hello") == SendResult::Sent; }));
  std::optional<Incoming> incoming;
  ASSERT_TRUE(Eventually(router, [&] { return (incoming = router.Receive()).has_value(); }));
  EXPECT_EQ(incoming->peer, "w1/1");
  EXPECT_EQ(incoming->bytes, "hello");

  EXPECT_EQ(router.Send("w1/1", std::string(3'000'000, 'x')), SendResult::Sent);
  std::optional<std::string> bytes;
  ASSERT_TRUE(Eventually(dealer, [&] { return (bytes = dealer.Receive()).has_value(); }));
  EXPECT_EQ(bytes->size(), 3'000'000u);
}

TEST_P(Endpoints, KnowThatAPeerIsNotThere) {
  RouterEndpoint router = Bind();
  EXPECT_EQ(router.Send("nobody", "x"), SendResult::Gone);
}

TEST_P(Endpoints, FindEachOtherAgainAfterARestart) {
  std::optional<RouterEndpoint> router = Bind();
  DealerEndpoint dealer = Connect("w1/1");
  ASSERT_TRUE(Eventually(dealer, [&] { return dealer.Send("one") == SendResult::Sent; }));
  ASSERT_TRUE(Eventually(*router, [&] { return router->Receive().has_value(); }));
  router.reset();
  router = Bind();

  ASSERT_TRUE(Eventually(*router, [&] {
    (void)dealer.Send("two");
    const auto incoming = router->Receive();
    return incoming && incoming->bytes == "two";
  }));
}

TEST_P(Endpoints, NeverBlockWhenAPeerTakesNothing) {
  RouterEndpoint router = Bind();
  DealerEndpoint dealer = Connect("w1/1");
  ASSERT_TRUE(Eventually(dealer, [&] { return dealer.Send("hello") == SendResult::Sent; }));
  ASSERT_TRUE(Eventually(router, [&] { return router.Receive().has_value(); }));

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

}  // namespace
}  // namespace troupe
