#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

template <class Config>
std::string ProblemsOf(const ConfigRead<Config>& read) {
  return FormatProblems("c.yaml", read.problems);
}

TEST(CoordinatorConfig, HasDefaultsForEverything) {
  const auto read = ReadCoordinatorConfig("# nothing\n", "/etc/troupe");

  EXPECT_TRUE(read.ok()) << ProblemsOf(read);
  EXPECT_EQ(read.config.state_dir, "/var/lib/troupe");
  EXPECT_THAT(EndpointsOf(read.config), ElementsAre("ipc:///var/lib/troupe/coordinator.sock"));
  EXPECT_EQ(read.config.lease, seconds(4));
  EXPECT_EQ(Check(read.config), "");
}

TEST(CoordinatorConfig, ReadsEveryKey) {
  const auto read = ReadCoordinatorConfig(R"(
state_dir: /srv/troupe
listen: [ipc:///run/troupe/c.sock, tcp://0.0.0.0:7411]
key: coordinator.key
authorized_keys: ../keys/authorized
insecure: false
lease_secs: 10
heartbeat_secs: 2.5
recovery_grace_secs: 30
reconnect_window_secs: 600
keep_days: 1.5
keep_runs: 1000
keep_mib: 20480
metrics: {listen: "[::1]:9464"}
log: {format: json, level: warn}
)",
                                          "/etc/troupe");

  ASSERT_TRUE(read.ok()) << ProblemsOf(read);
  const CoordinatorConfig& c = read.config;
  EXPECT_EQ(c.state_dir, "/srv/troupe");
  EXPECT_THAT(c.listen, ElementsAre("ipc:///run/troupe/c.sock", "tcp://0.0.0.0:7411"));
  EXPECT_EQ(c.key, "/etc/troupe/coordinator.key");
  EXPECT_EQ(c.authorized_keys, "/etc/keys/authorized");
  EXPECT_EQ(c.lease, seconds(10));
  EXPECT_EQ(c.heartbeat, milliseconds(2'500));
  EXPECT_EQ(c.recovery_grace, seconds(30));
  EXPECT_EQ(c.reconnect_window, seconds(600));
  EXPECT_EQ(c.keep, std::chrono::hours(36));
  EXPECT_EQ(c.keep_runs, 1'000U);
  EXPECT_EQ(c.keep_mib, 20'480U);
  EXPECT_EQ(c.metrics_listen, "[::1]:9464");
  EXPECT_EQ(c.log.format, LogConfig::Format::Json);
  EXPECT_EQ(c.log.level, LogConfig::Level::Warn);
  EXPECT_EQ(Check(c), "");
}

TEST(CoordinatorConfig, NamesThePlaceOfEachProblemAndWhatWasMeant) {
  const auto read = ReadCoordinatorConfig(
      "state_dri: /x\nlease_secs: soon\ninsecure: yes\nheartbeat_secs: 0\n", "/");

  EXPECT_FALSE(read.ok());
  EXPECT_EQ(ProblemsOf(read),
            "c.yaml:1:1: error: unknown key \"state_dri\"; did you mean \"state_dir\"? "
            "[unknown-key]\n"
            "c.yaml:2:13: error: \"lease_secs\" must be a number of seconds, not the string "
            "\"soon\" [wrong-type]\n"
            "c.yaml:3:11: error: \"insecure\" must be true or false, not the string \"yes\"; did "
            "you mean true? [wrong-type]\n"
            "c.yaml:4:17: error: \"heartbeat_secs\" must be above 0, not 0 [out-of-range]\n");
}

TEST(CoordinatorConfig, TakesOnlyAHostAndAPortForMetricsOrOff) {
  const auto wrong = [](const std::string& listen) {
    return Check(ReadCoordinatorConfig("metrics: {listen: '" + listen + "'}", "/").config);
  };

  for (const char* good : {"off", "127.0.0.1:9464", "localhost:0", "[::1]:65535"}) {
    EXPECT_EQ(wrong(good), "") << good;
  }
  for (const char* bad : {"on", "9464", ":9464", "a:", "a:b", "::1:9464", "a:65536", "a:-1"}) {
    EXPECT_THAT(wrong(bad), HasSubstr("say HOST:PORT, as 127.0.0.1:9464, or off")) << bad;
  }
}

TEST(CoordinatorConfig, RefusesAnotherFormatOrLevelOfTheLog) {
  EXPECT_THAT(ProblemsOf(ReadCoordinatorConfig("log: {format: jsn, level: warning}", "/")),
              AllOf(HasSubstr("\"format\""), HasSubstr("\"level\"")));
  EXPECT_THAT(ProblemsOf(ReadWorkerConfig("log: json", "/")), HasSubstr("must be a map"));
}

TEST(CoordinatorConfig, RefusesWhatIsNoMap) {
  EXPECT_THAT(ProblemsOf(ReadCoordinatorConfig("- a\n", "/")), HasSubstr("must be a map"));
  EXPECT_THAT(ProblemsOf(ReadCoordinatorConfig("a: [", "/")), HasSubstr("[yaml]"));
  EXPECT_THAT(ProblemsOf(ReadCoordinatorConfig("\xff", "/")), HasSubstr("[encoding]"));
  EXPECT_THAT(ProblemsOf(ReadCoordinatorConfig("key: ''", "/")), HasSubstr("must not be empty"));
}

TEST(CoordinatorConfig, PlainTcpStaysOnThisMachineUnlessToldOtherwise) {
  CoordinatorConfig config;
  config.listen = {"tcp://127.0.0.1:7411"};
  EXPECT_EQ(Check(config), "");
  config.listen = {"tcp://0.0.0.0:7411"};
  EXPECT_THAT(Check(config), HasSubstr("tcp://0.0.0.0:7411 can be reached from other machines"));
  config.insecure = true;
  EXPECT_EQ(Check(config), "");
  config.insecure = false;
  config.key = "k";
  EXPECT_THAT(Check(config), HasSubstr("go together"));
  config.authorized_keys = "a";
  EXPECT_EQ(Check(config), "");
}

TEST(CoordinatorConfig, KnowsAnEndpointAndASensibleLease) {
  CoordinatorConfig config;
  for (const char* bad : {"tcp://head", "tcp://:1", "tcp://head:", "tcp://head:x", "ipc://x",
                          "udp://1:1", "7411", ""}) {
    config.listen = {bad};
    EXPECT_THAT(Check(config), HasSubstr("is no endpoint")) << bad;
  }
  config = {};
  config.heartbeat = seconds(3);
  EXPECT_THAT(Check(config), HasSubstr("at least twice"));
}

TEST(WorkerConfig, ReadsEveryKey) {
  const auto read = ReadWorkerConfig(R"(
coordinator: tcp://head:7411
key: w.key
server_key: coordinator.pub
name: gpu-1
slots: 4
labels: [gpu, "rack 2"]
work_dir: /srv/work
spool_dir: /var/spool/troupe
providers:
  command: true
  mock: false
  claude: {program: /opt/claude}
)",
                                     "/etc/troupe");

  ASSERT_TRUE(read.ok()) << ProblemsOf(read);
  const WorkerConfig& c = read.config;
  EXPECT_EQ(EndpointOf(c.connect), "tcp://head:7411");
  EXPECT_EQ(c.connect.key, "/etc/troupe/w.key");
  EXPECT_EQ(c.connect.server_key, "/etc/troupe/coordinator.pub");
  EXPECT_EQ(c.name, "gpu-1");
  EXPECT_EQ(c.slots, 4u);
  EXPECT_THAT(c.labels, ElementsAre("gpu", "rack 2"));
  EXPECT_EQ(c.work_dir, "/srv/work");
  EXPECT_EQ(c.spool_dir, "/var/spool/troupe");
  EXPECT_FALSE(c.all_providers);
  EXPECT_EQ(c.providers.size(), 2u);
  EXPECT_EQ(c.providers.at("claude").program, "/opt/claude");
  EXPECT_EQ(Check(c), "");
}

TEST(WorkerConfig, HasDefaultsForEverything) {
  const auto read = ReadWorkerConfig("", "/");

  EXPECT_TRUE(read.ok());
  EXPECT_TRUE(read.config.all_providers);
  EXPECT_EQ(EndpointOf(read.config.connect), "ipc:///var/lib/troupe/coordinator.sock");
  EXPECT_EQ(Check(read.config), "");
}

TEST(WorkerConfig, RefusesWhatCannotBe) {
  const auto problems = [](const char* text) { return ProblemsOf(ReadWorkerConfig(text, "/")); };

  EXPECT_THAT(problems("name: a/b"), HasSubstr("c.yaml:1:7: error: worker name \"a/b\" must be"));
  EXPECT_THAT(problems("slots: 0"), HasSubstr("must be between 1 and 10000"));
  EXPECT_THAT(problems("labels: [' x']"), HasSubstr("[bad-name]"));
  EXPECT_THAT(problems("providers: {cluade: true}"),
              HasSubstr("unknown key \"cluade\" in \"providers\"; did you mean \"claude\"?"));
  EXPECT_THAT(problems("providers: {codex: true}"), HasSubstr("[not-yet]"));
  EXPECT_THAT(problems("providers: {command: {program: x}}"), HasSubstr("must be true or false"));
}

TEST(ConnectConfig, NeedsKeysBeyondThisMachine) {
  ConnectConfig config{.endpoint = "tcp://head:7411"};
  EXPECT_THAT(Check(config), HasSubstr("tcp://head:7411 leads to other machines"));
  config.key = "k";
  EXPECT_THAT(Check(config), HasSubstr("key and server_key go together"));
  config.server_key = "s";
  EXPECT_EQ(Check(config), "");
  EXPECT_EQ(Check(ConnectConfig{.endpoint = "tcp://head:7411", .insecure = true}), "");
}

TEST(ClientConfig, SaysHowToReachACoordinator) {
  const auto read = ReadClientConfig(
      "coordinator: tcp://head:7411\nkey: me.key\nserver_key: head.pub\n", "/home/ann/.config/t");

  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.config.key, "/home/ann/.config/t/me.key");
  EXPECT_EQ(read.config.server_key, "/home/ann/.config/t/head.pub");
  EXPECT_FALSE(ReadClientConfig("slots: 4", "/").ok());
}

}  // namespace
}  // namespace troupe
