// How workers come, go, and come back: the coordinator's core with workers made of messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/coordinator.h"
#include "tests/coordinator/plans.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Fleet : public testing::Test {
 protected:
  Fleet() {
    for (const char* name : {"a", "b"}) maker.Task(name);
  }

  // What the turn sends to `peer`.
  std::vector<FromCoordinator> Step(const Event& event, const std::string& peer) {
    Effects effects;
    coordinator.Step(event, now, effects);
    coordinator.EndTurn(now, effects);
    std::vector<FromCoordinator> messages;
    last = effects;
    for (const Outgoing& outgoing : effects.send) {
      if (outgoing.peer == peer) messages.push_back(outgoing.message);
    }
    return messages;
  }
  std::vector<FromCoordinator> Say(const std::string& peer, ToCoordinator message) {
    return Step(PeerSpoke{peer, std::move(message)}, peer);
  }
  void Tick() { Step(troupe::Tick{}, ""); }
  // Time passes, and the coordinator is awake whenever it wants to be.
  void Pass(troupe::Duration time) {
    const troupe::Instant until = now + time;
    while (last.wake_at <= until) {
      now = std::max(now, last.wake_at);
      Tick();
    }
    now = until;
  }
  std::vector<FromCoordinator> Hello(const std::string& name, const std::string& peer,
                                     std::vector<AttemptId> holding = {}, std::uint64_t spool = 1,
                                     std::uint32_t slots = 1) {
    return Say(peer, troupe::Hello{.worker = name,
                                   .incarnation = 1,
                                   .slots = slots,
                                   .providers = {"command", "mock"},
                                   .holding = std::move(holding),
                                   .spool = spool,
                                   .number = ++hellos});
  }
  void Submit() {
    SubmitRun submit;
    submit.plan = maker.Share();
    submit.draft.run_dir = "/";
    Step(submit, "");
  }
  // The attempts that the last turn dispatched to the peer.
  std::vector<AttemptId> DispatchedTo(const std::string& peer) const {
    std::vector<AttemptId> ids;
    for (const Outgoing& outgoing : last.send) {
      const auto* dispatch = std::get_if<Dispatch>(&outgoing.message);
      if (dispatch == nullptr || outgoing.peer != peer) continue;
      for (const AttemptSpec& spec : dispatch->specs) ids.push_back(spec.id);
    }
    return ids;
  }
  template <class Message>
  static bool Has(const std::vector<FromCoordinator>& messages) {
    return std::any_of(messages.begin(), messages.end(),
                       [](const FromCoordinator& m) { return std::holds_alternative<Message>(m); });
  }
  bool Knows(const std::string& worker) const { return coordinator.pool().all().contains(worker); }
  const TaskRecord& Task(std::uint32_t index) const {
    return coordinator.Find(RunId{1})->Record(index);
  }
  static AttemptId Attempt(std::uint32_t task, std::uint32_t number) {
    return {RunId{1}, Subject::Task, task, number};
  }

  PlanMaker maker;
  Coordinator coordinator{{}, RunId{1}};
  Instant now = Instant{} + std::chrono::hours(1);
  Effects last;
  std::uint64_t hellos = 0;
};

TEST_F(Fleet, AnswersEveryHeartbeat) {
  const auto welcome = Hello("w1", "p1");
  const std::uint64_t session = std::get<Welcome>(welcome.at(0)).session;

  EXPECT_TRUE(Has<Alive>(Say("p1", Heartbeat{.session = session})));
  EXPECT_TRUE(Has<UnknownWorker>(Say("p2", Heartbeat{.session = session})));
}

// With it a worker finds that an order was lost on the way.
TEST_F(Fleet, TheAnswerToAHeartbeatSaysHowManyOrdersWentBefore) {
  const auto welcome = Hello("w1", "p1");
  const std::uint64_t session = std::get<Welcome>(welcome.at(0)).session;
  Submit();

  const auto answer = Say("p1", Heartbeat{.session = session});

  ASSERT_TRUE(Has<Alive>(answer));
  EXPECT_EQ(std::get<Alive>(answer[0]), (Alive{.session = session, .orders = 1}));
}

TEST_F(Fleet, ALostMachinesTaskStartsElsewhereWithinTheLease) {
  Hello("w1", "p1");
  Submit();
  EXPECT_THAT(DispatchedTo("p1"), ElementsAre(Attempt(0, 1)));
  Hello("w2", "p2", {}, 2, 8);  // Takes the other task.
  Pass(milliseconds(3'900));
  Say("p2", Heartbeat{});

  Pass(milliseconds(200));

  EXPECT_THAT(DispatchedTo("p2"), ElementsAre(Attempt(0, 2)));
  EXPECT_EQ(Task(0).extra->losses, 1u);
  EXPECT_EQ(Task(0).extra->step_failures, 0u);
  EXPECT_FALSE(Knows("w1"));
}

// What the workers said meanwhile is still on its way into the process when it goes on.
TEST_F(Fleet, ACoordinatorThatWasStoppedTakesNoWorkerForLost) {
  Hello("w1", "p1");
  Submit();
  now += seconds(100);
  Tick();
  Pass(milliseconds(1'900));

  Say("p1", Heartbeat{});
  Pass(milliseconds(3'900));

  EXPECT_TRUE(Knows("w1"));
  EXPECT_EQ(Task(0).extra->losses, 0u);
}

TEST_F(Fleet, AfterAStopOfTheCoordinatorASilentWorkerIsLostInHalfALease) {
  Hello("w1", "p1");
  Submit();
  now += seconds(100);
  Tick();

  Pass(seconds(2));

  EXPECT_FALSE(Knows("w1"));
  EXPECT_EQ(Task(0).extra->losses, 1u);
}

TEST_F(Fleet, AnOutcomeOfALostAttemptChangesNothing) {
  Hello("w1", "p1");
  Submit();
  Hello("w2", "p2", {}, 2, 8);
  Pass(milliseconds(3'900));
  Say("p2", Heartbeat{});
  Pass(milliseconds(200));
  ASSERT_THAT(DispatchedTo("p2"), ElementsAre(Attempt(0, 2)));
  Hello("w1", "p1", {Attempt(0, 1)});

  const auto answer = Say("p1", Finished{{{.id = Attempt(0, 1), .output = "late"}}});

  EXPECT_TRUE(Has<Committed>(answer));  // It is kept, as a record, and need not be told again.
  EXPECT_EQ(Task(0).state, TaskState::Running);
  EXPECT_EQ(Task(0).attempts, 2u);
  EXPECT_EQ(Task(0).worker, "w2");
}

TEST_F(Fleet, AWorkerThatLeavesWithNothingIsForgotten) {
  Hello("w1", "p1");

  Say("p1", Goodbye{});

  EXPECT_FALSE(Knows("w1"));
}

TEST_F(Fleet, TheSuccessorOfAWorkerThatLeftFindsItsAttempts) {
  Submit();
  Hello("w1", "p1");
  Say("p1", Goodbye{.holding = {Attempt(0, 1)}});
  Hello("w2", "p2", {}, 2, 1);  // Busy with the other task.
  EXPECT_THAT(DispatchedTo("p2"), ElementsAre(Attempt(1, 1)));
  for (int i = 0; i < 20; ++i) {  // Well beyond its lease.
    Pass(seconds(2));
    Say("p2", Heartbeat{});
  }

  const auto answer = Hello("w1", "p1-again", {Attempt(0, 1)});

  EXPECT_TRUE(Has<Welcome>(answer));
  EXPECT_FALSE(Has<Stop>(answer));
  EXPECT_EQ(Task(0).attempts, 1u);
  EXPECT_EQ(Task(0).extra->losses, 0u);
}

TEST_F(Fleet, ASuccessorThatDoesNotComeWithinTheGraceIsLost) {
  Submit();
  Hello("w1", "p1");
  Say("p1", Goodbye{.holding = {Attempt(0, 1)}});
  Pass(seconds(61));

  EXPECT_FALSE(Knows("w1"));
  EXPECT_EQ(Task(0).extra->losses, 1u);
}

TEST_F(Fleet, WhatALeavingWorkerDidNotTakeGoesElsewhereAtOnce) {
  Hello("w2", "p2", {}, 2, 0);  // No slot yet.
  Submit();
  Hello("w1", "p1");
  ASSERT_EQ(Task(0).attempts, 1u);
  Hello("w2", "p2", {}, 2, 8);

  Say("p1", Goodbye{});

  EXPECT_THAT(DispatchedTo("p2"), ElementsAre(Attempt(0, 2)));
  EXPECT_EQ(Task(0).extra->losses, 0u);
}

// It was said before the dispatch, so it does not hold what the worker has by now.
TEST_F(Fleet, AHelloThatArrivesLateTakesNothingAway) {
  Submit();
  Hello("w1", "p1");
  const std::vector<AttemptId> first = DispatchedTo("p1");

  const troupe::Hello late{.worker = "w1", .incarnation = 1, .spool = 1, .number = hellos};
  EXPECT_THAT(Say("p1", late), IsEmpty());
  EXPECT_THAT(first, ElementsAre(Attempt(0, 1)));
  EXPECT_EQ(Task(0).attempts, 1u);
}

TEST_F(Fleet, ADrainingWorkerGetsNothingNew) {
  Say("p1", troupe::Hello{.worker = "w1", .slots = 4, .spool = 1, .draining = true});

  Submit();

  EXPECT_THAT(DispatchedTo("p1"), IsEmpty());
  Hello("w1", "p1", {}, 1, 4);
  EXPECT_EQ(DispatchedTo("p1").size(), 2u);
}

TEST_F(Fleet, ASecondWorkerOfTheSameNameIsRefusedWhileTheFirstLives) {
  Submit();
  Hello("w1", "p1");

  const auto answer = Hello("w1", "other", {}, 99);

  ASSERT_TRUE(Has<Refused>(answer));
  EXPECT_THAT(std::get<Refused>(answer[0]).message, HasSubstr("under the name w1"));
  EXPECT_TRUE(std::get<Refused>(answer[0]).again);
  EXPECT_EQ(Task(0).attempts, 1u);
  Pass(seconds(5));
  EXPECT_TRUE(Has<Welcome>(Hello("w1", "other", {}, 99)));
}

TEST_F(Fleet, ASuccessorOnTheSameSpoolIsTakenAtOnce) {
  Submit();
  Hello("w1", "p1");

  EXPECT_TRUE(Has<Welcome>(Hello("w1", "p1-again", {Attempt(0, 1)})));
  EXPECT_EQ(Task(0).attempts, 1u);
}

// --- several runs ---

// A run of many tasks was there first; the slots that get free are shared nevertheless.
TEST_F(Fleet, ALargeRunLeavesOthersTheirShare) {
  PlanMaker many;
  for (int i = 0; i < 100; ++i) many.Task("t" + std::to_string(i));
  PlanMaker few;
  for (int i = 0; i < 3; ++i) few.Task("f" + std::to_string(i));
  const auto dispatched = [](const std::vector<FromCoordinator>& messages) {
    std::vector<AttemptId> ids;
    for (const FromCoordinator& message : messages) {
      const auto* dispatch = std::get_if<Dispatch>(&message);
      if (dispatch == nullptr) continue;
      for (const AttemptSpec& spec : dispatch->specs) ids.push_back(spec.id);
    }
    return ids;
  };
  SubmitRun submit;
  submit.plan = many.Share();
  Step(submit, "");
  std::vector<AttemptId> running = dispatched(Hello("w1", "p1", {}, 1, 4));
  ASSERT_EQ(running.size(), 4u);
  submit.plan = few.Share();
  Step(submit, "");

  // One slot after the other gets free.
  std::vector<std::uint64_t> runs;
  for (int i = 0; i < 4; ++i) {
    AttemptOutcome outcome;
    outcome.id = running[static_cast<std::size_t>(i)];
    const std::vector<AttemptId> next = dispatched(Say("p1", Finished{{outcome}}));
    ASSERT_EQ(next.size(), 1u);
    runs.push_back(next[0].run.value);
  }

  EXPECT_THAT(runs, ElementsAre(2, 2, 1, 1));
}

}  // namespace
}  // namespace troupe
