// Metrics as a scraper gets them, over real HTTP.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/metrics_server.h"
#include "cli/service.h"
#include "tests/storage/temporary_directory.h"

namespace troupe {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

int ConnectTo(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  addrinfo* found = nullptr;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(), &hints,
                  &found) != 0) {
    return -1;
  }
  const int fd = socket(found->ai_family, SOCK_STREAM, 0);
  const int connected = connect(fd, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  if (connected == 0) return fd;
  close(fd);
  return -1;
}

// The whole answer to a request.
std::string Ask(const std::string& address, const std::string& request) {
  const int fd = ConnectTo(address);
  if (fd < 0) return "nobody";
  send(fd, request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  char chunk[4096];
  for (ssize_t n = 0; (n = read(fd, chunk, sizeof chunk)) > 0;) {
    answer.append(chunk, static_cast<std::size_t>(n));
  }
  close(fd);
  return answer;
}

std::string Get(const std::string& address, const std::string& path) {
  return Ask(address, "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

MetricsSnapshot Empty() { return {Tally(Instant{}), Gauges{}}; }

class MetricsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto listening = MetricsServer::Listen("127.0.0.1:0", directory.path().string());
    ASSERT_TRUE(listening) << listening.error().message;
    server = *std::move(listening);
  }

  TemporaryDirectory directory;
  std::unique_ptr<MetricsServer> server;
};

TEST_F(MetricsTest, AreServedAsTheyWerePublishedLast) {
  EXPECT_THAT(Get(server->address(), "/metrics"), StartsWith("HTTP/1.1 503"));
  MetricsSnapshot snapshot = Empty();
  snapshot.gauges.workers_connected = 3;
  snapshot.gauges.tasks[static_cast<std::size_t>(TaskState::Waiting)] = 7;
  snapshot.tally.commit_records.Add(4);
  std::ofstream(directory.path() / "000001.log") << std::string(5'000, 'x');

  server->Publish(snapshot);

  EXPECT_THAT(Get(server->address(), "/metrics"),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("text/plain; version=0.0.4"),
                    HasSubstr("\ntroupe_workers{state=\"connected\"} 3\n"),
                    HasSubstr("\ntroupe_tasks{state=\"waiting\"} 7\n"),
                    HasSubstr("\ntroupe_commit_records_bucket{le=\"2\"} 0\n"),
                    HasSubstr("\ntroupe_commit_records_bucket{le=\"5\"} 1\n"),
                    HasSubstr("\ntroupe_commit_records_bucket{le=\"+Inf\"} 1\n"),
                    HasSubstr("\ntroupe_commit_records_sum 4\n"),
                    HasSubstr("\ntroupe_store_bytes 5000\n")));
}

TEST_F(MetricsTest, EscapeNamesFromWorkflows) {
  MetricsSnapshot snapshot = Empty();
  RunEvent event;
  event.kind = RunEvent::Kind::TaskFallback;
  event.agent = "a\"b\\c\nd";
  snapshot.tally.OnEvent(event);

  server->Publish(snapshot);

  EXPECT_THAT(Get(server->address(), "/metrics"),
              HasSubstr("\ntroupe_fallbacks_total{agent=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST_F(MetricsTest, HealthIsGoodWhileTheLoopTurns) {
  server->Publish(Empty());

  EXPECT_THAT(Get(server->address(), "/healthz"),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\r\n\r\nok\n")));
}

TEST_F(MetricsTest, HealthIsBadOnceTheLoopHasStopped) {
  const auto stopped = MetricsServer::Listen("127.0.0.1:0", "", std::chrono::milliseconds(0));
  ASSERT_TRUE(stopped);

  EXPECT_THAT(Get((*stopped)->address(), "/healthz"),
              AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("has done nothing for 0 s")));
}

TEST_F(MetricsTest, WhateverElseIsAskedIsRefusedAndHarmsNobody) {
  server->Publish(Empty());

  EXPECT_THAT(Get(server->address(), "/"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get(server->address(), "/../../etc/passwd"), Not(HasSubstr("200 OK")));
  EXPECT_THAT(Ask(server->address(), std::string(100'000, '\xff')), Not(HasSubstr("200 OK")));
  EXPECT_THAT(Ask(server->address(), "POST /metrics HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n"),
              Not(HasSubstr("200 OK")));
  EXPECT_THAT(Get(server->address(), "/metrics"), StartsWith("HTTP/1.1 200"));
}

TEST_F(MetricsTest, APortIsNotShared) {
  const auto second = MetricsServer::Listen(server->address(), "");

  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("is the port taken?"));
}

TEST_F(MetricsTest, AnAddressThatIsNoneIsRefused) {
  for (const char* address : {"", "9464", ":9464", "no.such.host.invalid:0", "[::1:1"}) {
    EXPECT_FALSE(MetricsServer::Listen(address, "")) << address;
  }
}

// What is printed of a warning.
std::string Logged(const LogConfig& config, const std::string& text) {
  testing::internal::CaptureStderr();
  StartLog("test", config);
  spdlog::warn("{}", text);
  spdlog::debug("of no interest");
  return testing::internal::GetCapturedStderr();
}

constexpr const char* kStrange = "a \"name\"\n\x1b[31m\xff\xe2\x80\xae";

TEST(Log, PlainLinesAreOneLineEachWhateverTheySay) {
  EXPECT_THAT(Logged({}, kStrange),
              MatchesRegex("[-0-9T:.]+Z W a \"name\"\\\\n\\\\x1b\\[31m\\\\xff\\\\u202e\n"));
}

TEST(Log, JsonLinesAreObjectsWhateverTheySay) {
  const std::string line = Logged({.format = LogConfig::Format::Json}, kStrange);

  const nlohmann::json object = nlohmann::json::parse(line);
  EXPECT_EQ(object["level"], "warning");
  EXPECT_EQ(object["daemon"], "test");
  EXPECT_EQ(object["message"], "a \"name\"\n\x1b[31m\xef\xbf\xbd\xe2\x80\xae");
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST(Log, LeavesOutWhatIsBelowItsLevel) {
  EXPECT_EQ(Logged({.level = LogConfig::Level::Error}, "a warning"), "");
  EXPECT_THAT(Logged({.level = LogConfig::Level::Debug}, "a"), HasSubstr("of no interest"));
}

}  // namespace
}  // namespace troupe
