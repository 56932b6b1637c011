#include "protocol/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/limits.h"

namespace troupe {
namespace {

using testing::HasSubstr;

const std::string kKey = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
const std::string kOther = "#ne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";

AccessList ListOf(const std::string& text) {
  Result<AccessList> list = AccessList::Parse(text);
  CHECK(list.has_value());
  return *std::move(list);
}
Caller CallerOf(const std::string& line) { return *ListOf(line + " " + kKey).Find(kKey); }

Hello HelloOf(const std::string& worker) {
  Hello hello;
  hello.worker = worker;
  return hello;
}

TEST(AccessList, ReadsALinePerKey) {
  const AccessList list = ListOf("# the fleet\n\n  worker gpu-1 " + kKey + "\r\noperator\tann " +
                                 kOther + "\noperator ann " + kKey);

  EXPECT_EQ(list.Keys(), (std::set<std::string>{kKey, kOther}));
  EXPECT_EQ(*list.Find(kOther), (Caller{.name = "ann", .roles = {Role::Operator}}));
  EXPECT_EQ(
      *list.Find(kKey),
      (Caller{.name = "gpu-1", .roles = {Role::Worker, Role::Operator}, .workers = {"gpu-1"}}));
  EXPECT_FALSE(list.Find("another key"));
}

TEST(AccessList, NamesTheLineThatIsWrong) {
  const auto error = [](const std::string& text) {
    const auto list = AccessList::Parse("# comment\n" + text);
    return list ? "accepted" : list.error().message;
  };

  EXPECT_EQ(error("worker gpu-1"), "line 2: it must be ROLE NAME KEY");
  EXPECT_EQ(error("root ann " + kKey), "line 2: \"root\" is not worker, operator or viewer");
  EXPECT_EQ(error("worker a/b " + kKey), "line 2: \"a/b\" cannot be the name of a worker");
  EXPECT_THAT(error("viewer ann " + kKey.substr(1)), HasSubstr("line 2: the key is not 40"));
  EXPECT_EQ(error("worker gpu-* " + kKey), "accepted");
}

TEST(AccessList, ReadsTheLinesItWrites) {
  const AccessList list = ListOf(AccessLine(Role::Viewer, "wall", kKey));

  EXPECT_EQ(*list.Find(kKey), (Caller{.name = "wall", .roles = {Role::Viewer}}));
}

TEST(Refusal, AWorkersKeyCannotChangeRuns) {
  EXPECT_THAT(Refusal(CallerOf("worker w1"), "c/1", ClientCommand{}),
              HasSubstr("\"w1\" has the role worker; this needs operator"));
}

TEST(Refusal, AViewersKeyCannotChangeRunsNorWork) {
  const Caller viewer = CallerOf("viewer wall");

  EXPECT_THAT(Refusal(viewer, "c/1", ClientCommand{}), HasSubstr("needs operator"));
  EXPECT_THAT(Refusal(viewer, "w/w1/1", HelloOf("w1")), HasSubstr("needs worker"));
}

TEST(Refusal, AnOperatorsKeyCannotWork) {
  const Caller ann = CallerOf("operator ann");

  EXPECT_EQ(Refusal(ann, "c/1", ClientCommand{}), "");
  EXPECT_THAT(Refusal(ann, "w/w1/1", Finished{}), HasSubstr("needs worker"));
}

TEST(Refusal, AWorkerCannotPoseAsAnother) {
  const Caller w1 = CallerOf("worker w1");

  EXPECT_EQ(Refusal(w1, "w/w1/7f", HelloOf("w1")), "");
  EXPECT_EQ(Refusal(w1, "w/w1/7f", Heartbeat{}), "");
  // Neither by name, nor on a connection that bears another's id, whatever is said there.
  EXPECT_THAT(Refusal(w1, "w/w1/7f", HelloOf("w2")), HasSubstr("another one"));
  EXPECT_THAT(Refusal(w1, "w/w2/7f", HelloOf("w2")), HasSubstr("does not belong to the worker w2"));
  EXPECT_THAT(Refusal(w1, "w/w2/7f", Finished{}), HasSubstr("does not belong to the worker w2"));
  EXPECT_THAT(Refusal(w1, "w/w1/w2/7f", HelloOf("w1")), HasSubstr("does not belong"));
  EXPECT_THAT(Refusal(w1, "c/1", HelloOf("w1")), HasSubstr("only a worker's connection"));
  EXPECT_THAT(Refusal(w1, "w/", HelloOf("w1")), HasSubstr("only a worker's connection"));
}

TEST(Refusal, AStarStandsForAnyEndOfAWorkersName) {
  const Caller gpus = CallerOf("worker gpu-*");

  EXPECT_EQ(Refusal(gpus, "w/gpu-17/1", HelloOf("gpu-17")), "");
  EXPECT_NE(Refusal(gpus, "w/cpu-1/1", HelloOf("cpu-1")), "");
  EXPECT_EQ(Refusal(CallerOf("worker *"), "w/any/1", HelloOf("any")), "");
}

TEST(Refusal, OurOwnUserMayWorkAndOperate) {
  const Caller local = *AccessList().Find(std::string(kLocalUser));

  EXPECT_EQ(Refusal(local, "w/w1/1", HelloOf("w1")), "");
  EXPECT_EQ(Refusal(local, "c/1", ClientCommand{}), "");
}

TEST(Peers, BearTheNameOfTheirWorker) {
  EXPECT_EQ(PeerOfWorker("gpu-1", 255), "w/gpu-1/ff");
  EXPECT_EQ(PeerOfClient(16), "c/10");
}

TEST(IsWorkerName, TakesWhatMayStandInAPath) {
  for (const char* good : {"w1", "gpu-1.rack_2", "A"}) EXPECT_TRUE(IsWorkerName(good)) << good;
  for (const std::string& bad : {std::string(), std::string(".."), std::string("-x"),
                                 std::string("a/b"), std::string("a b"), std::string(65, 'x')}) {
    EXPECT_FALSE(IsWorkerName(bad)) << bad;
  }
}

TEST(IsLoopback, KnowsWhatOnlyThisMachineReaches) {
  for (const char* here : {"ipc:///x", "tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1"}) {
    EXPECT_TRUE(IsLoopback(here)) << here;
  }
  for (const char* there : {"tcp://0.0.0.0:1", "tcp://*:1", "tcp://10.0.0.1:1", "tcp://head:1",
                            "tcp://127.example.com:1", "tcp://eth0:1"}) {
    EXPECT_FALSE(IsLoopback(there)) << there;
  }
}

TEST(WrongWith, BoundsWhatAWorkerSaysOfItself) {
  EXPECT_EQ(WrongWith(HelloOf("w1")), "");
  EXPECT_NE(WrongWith(HelloOf("../../etc")), "");
  Hello many = HelloOf("w1");
  many.slots = kSlotsMax + 1;
  EXPECT_THAT(WrongWith(many), HasSubstr("the limit is 10000"));
  Hello labels = HelloOf("w1");
  labels.labels.assign(kLabelsMax + 1, "x");
  EXPECT_NE(WrongWith(labels), "");
  Hello provider = HelloOf("w1");
  provider.providers = {std::string(kLabelBytesMax + 1, 'x')};
  EXPECT_NE(WrongWith(provider), "");
}

}  // namespace
}  // namespace troupe
