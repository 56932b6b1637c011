#include "worker/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace troupe {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Instant kStart = Instant{} + std::chrono::hours(1);

AttemptSpec SpecOf(std::uint32_t task, std::uint32_t number, RunnerKind kind) {
  AttemptSpec spec;
  spec.id = {RunId{1}, Subject::Task, task, number};
  spec.kind = kind;
  return spec;
}

AttemptOutcome OutcomeOf(const AttemptId& id) {
  AttemptOutcome outcome;
  outcome.id = id;
  return outcome;
}

class WorkerTest : public testing::Test {
 protected:
  void Join(std::uint64_t session = 7, Duration window = seconds(300)) {
    WorkerEffects effects;
    if (!std::exchange(begun, true)) worker.Begin({}, {}, now, effects);
    worker.OnMessage(Welcome{.session = session,
                             .lease = seconds(4),
                             .heartbeat = seconds(1),
                             .window = window,
                             .hello = hellos == 0 ? 1 : hellos},
                     now, effects);
  }
  // Orders get their numbers.
  WorkerEffects Take(FromCoordinator message) {
    WorkerEffects effects;
    if (auto* dispatch = std::get_if<Dispatch>(&message)) dispatch->number = ++orders;
    if (auto* stop = std::get_if<Stop>(&message)) {
      stop->session = 7;
      stop->number = ++orders;
    }
    worker.OnMessage(message, now, effects);
    NoteHellos(effects);
    return effects;
  }
  WorkerEffects EndTurn() {
    WorkerEffects effects;
    worker.EndTurn(now, effects);
    NoteHellos(effects);
    return effects;
  }
  void NoteHellos(const WorkerEffects& effects) {
    for (const ToCoordinator& message : effects.send) {
      if (const auto* hello = std::get_if<Hello>(&message)) hellos = hello->number;
    }
  }
  template <class Message>
  static std::vector<Message> Of(const WorkerEffects& effects) {
    std::vector<Message> messages;
    for (const ToCoordinator& message : effects.send) {
      if (const auto* m = std::get_if<Message>(&message)) messages.push_back(*m);
    }
    return messages;
  }

  WorkerCore worker{{.name = "w1", .slots = 2}};
  Instant now = kStart;
  bool begun = false;  // Set by a test that begins itself.
  std::uint64_t orders = 0;
  std::uint64_t hellos = 0;  // The latest.
};

TEST_F(WorkerTest, SaysHelloWithAllThatItHoldsAndAgainUntilItIsWelcome) {
  const AttemptId running{RunId{1}, Subject::Task, 3, 1};
  const AttemptId ended{RunId{1}, Subject::Task, 4, 2};
  WorkerEffects effects;
  begun = true;
  worker.Begin({running}, {OutcomeOf(ended)}, now, effects);

  ASSERT_EQ(Of<Hello>(effects).size(), 1u);
  EXPECT_THAT(Of<Hello>(effects)[0].holding, ElementsAre(running, ended));
  EXPECT_THAT(EndTurn().send, IsEmpty());
  now += seconds(1);
  EXPECT_EQ(Of<Hello>(EndTurn()).size(), 1u);
}

TEST_F(WorkerTest, DropsOrdersOfAnotherSession) {
  Join(7);
  const Dispatch old{.session = 6, .specs = {SpecOf(1, 1, RunnerKind::Command)}};
  const Dispatch mine{.session = 7, .specs = {SpecOf(1, 2, RunnerKind::Command)}};

  EXPECT_THAT(Take(old).start, IsEmpty());
  orders = 0;
  EXPECT_EQ(Take(mine).start.size(), 1u);
  Take(UnknownWorker{});
  EXPECT_THAT(Take(Dispatch{.session = 7, .specs = {SpecOf(2, 1, RunnerKind::Command)}}).start,
              IsEmpty());
}

TEST_F(WorkerTest, StartsAnAttemptOnce) {
  Join();
  const Dispatch dispatch{.session = 7, .specs = {SpecOf(1, 1, RunnerKind::Command)}};

  EXPECT_EQ(Take(dispatch).start.size(), 1u);
  EXPECT_THAT(Take(dispatch).start, IsEmpty());
}

TEST_F(WorkerTest, RepeatsAnOutcomeUntilItIsCommitted) {
  Join();
  const AttemptSpec spec = SpecOf(1, 1, RunnerKind::Command);
  Take(Dispatch{.session = 7, .specs = {spec}});
  worker.OnAttemptEnded(OutcomeOf(spec.id), now);

  EXPECT_EQ(Of<Finished>(EndTurn()).size(), 1u);
  EXPECT_EQ(Of<Finished>(EndTurn()).size(), 0u);
  now += seconds(2);
  EXPECT_EQ(Of<Finished>(EndTurn()).size(), 1u);
  EXPECT_THAT(Take(Committed{{spec.id}}).forget, ElementsAre(spec.id));
  now += seconds(4);
  EXPECT_EQ(Of<Finished>(EndTurn()).size(), 0u);
}

TEST_F(WorkerTest, EndsADiscardedAttemptWithoutAWord) {
  Join();
  const AttemptSpec spec = SpecOf(1, 1, RunnerKind::Command);
  Take(Dispatch{.session = 7, .specs = {spec}});

  EXPECT_THAT(Take(Stop{.ids = {spec.id}, .discard = true}).stop, ElementsAre(spec.id));
  worker.OnAttemptEnded(OutcomeOf(spec.id), now);
  const WorkerEffects after = EndTurn();
  EXPECT_THAT(after.forget, ElementsAre(spec.id));
  EXPECT_THAT(Of<Finished>(after), IsEmpty());
}

TEST_F(WorkerTest, MocksTakeTheirTimeAndCanBeStopped) {
  Join();
  AttemptSpec slow = SpecOf(1, 1, RunnerKind::Mock);
  slow.mock.sleep = seconds(5);
  AttemptSpec stopped = SpecOf(2, 1, RunnerKind::Mock);
  stopped.mock.sleep = seconds(5);
  AttemptSpec failing = SpecOf(3, 1, RunnerKind::Mock);
  failing.mock.fail = FailureClass::Refusal;
  Take(Dispatch{.session = 7, .specs = {slow, stopped, failing}});

  std::vector<Finished> first = Of<Finished>(EndTurn());
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].outcomes[0].failure, FailureClass::Refusal);
  Take(Stop{.ids = {stopped.id}});
  EXPECT_EQ(Of<Finished>(EndTurn())[0].outcomes[0].failure, FailureClass::Cancelled);
  now += seconds(5);
  Take(Committed{{stopped.id, failing.id}});
  const std::vector<Finished> last = Of<Finished>(EndTurn());
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0].outcomes.size(), 1u);
  EXPECT_EQ(last[0].outcomes[0].failure, std::nullopt);
  EXPECT_EQ(last[0].outcomes[0].ended - last[0].outcomes[0].started, seconds(5));
}

TEST_F(WorkerTest, MocksGiveWhatTheyAreToldTo) {
  Join();
  AttemptSpec good = SpecOf(1, 1, RunnerKind::Mock);
  good.mock.output = "done";
  good.mock.result_json = "[1]";
  AttemptSpec limited = SpecOf(2, 1, RunnerKind::Mock);
  limited.mock.fail = FailureClass::RateLimited;
  limited.mock.retry_after = seconds(9);
  Take(Dispatch{.session = 7, .specs = {good, limited}});

  std::map<std::uint32_t, AttemptOutcome> outcomes;
  for (const Finished& finished : Of<Finished>(EndTurn())) {
    for (const AttemptOutcome& outcome : finished.outcomes) outcomes[outcome.id.index] = outcome;
  }

  EXPECT_EQ(outcomes[1].failure, std::nullopt);
  EXPECT_EQ(outcomes[1].output, "done");
  EXPECT_EQ(outcomes[1].result_json, "[1]");
  EXPECT_EQ(outcomes[2].failure, FailureClass::RateLimited);
  EXPECT_EQ(outcomes[2].retry_after, seconds(9));
}

TEST_F(WorkerTest, SaysHelloAgainWhenMoreOrdersWereSentThanItHasSeen) {
  Join();
  Take(Committed{});
  Take(Dispatch{.session = 7, .specs = {SpecOf(2, 1, RunnerKind::Command)}});
  Take(Stop{});

  EXPECT_THAT(Of<Hello>(Take(Alive{.session = 7, .orders = 2})), IsEmpty());
  EXPECT_THAT(Of<Hello>(Take(Alive{.session = 6, .orders = 3})), IsEmpty());
  EXPECT_THAT(Of<Hello>(Take(Alive{.session = 7, .orders = 3})), SizeIs(1));
}

TEST_F(WorkerTest, SaysHelloAgainWhenAnOrderIsMissing) {
  Join();
  ++orders;  // One that is lost.
  const WorkerEffects effects =
      Take(Dispatch{.session = 7, .specs = {SpecOf(2, 1, RunnerKind::Command)}});

  EXPECT_THAT(effects.start, IsEmpty());
  EXPECT_THAT(Of<Hello>(effects), SizeIs(1));
}

TEST_F(WorkerTest, TakesADispatchThatComesTwiceOnce) {
  Join();
  const AttemptSpec spec = SpecOf(2, 1, RunnerKind::Command);
  Take(Dispatch{.session = 7, .specs = {spec}});
  worker.OnAttemptEnded(OutcomeOf(spec.id), now);
  Take(Committed{{spec.id}});
  --orders;

  EXPECT_THAT(Take(Dispatch{.session = 7, .specs = {spec}}).start, IsEmpty());
}

// What the coordinator dispatched before it read the latest hello is not in that hello: it has
// given it to another worker by then.
TEST_F(WorkerTest, JoinsWithTheWelcomeThatAnswersItsLatestHello) {
  WorkerEffects effects;
  begun = true;
  worker.Begin({}, {}, now, effects);
  now += seconds(2);
  EXPECT_THAT(Of<Hello>(EndTurn()), SizeIs(1));
  Take(Welcome{.session = 7, .lease = seconds(4), .heartbeat = seconds(1), .hello = 1});
  const auto early = Take(Dispatch{.session = 7, .specs = {SpecOf(2, 1, RunnerKind::Command)}});
  Take(Welcome{.session = 8, .lease = seconds(4), .heartbeat = seconds(1), .hello = 2});
  orders = 0;
  const auto late = Take(Dispatch{.session = 8, .specs = {SpecOf(2, 2, RunnerKind::Command)}});

  EXPECT_THAT(early.start, IsEmpty());
  EXPECT_THAT(late.start, SizeIs(1));
}

// --- when the coordinator is gone ---

TEST_F(WorkerTest, SaysHelloAgainWhenItsLeaseHasEnded) {
  Join();
  now += seconds(3);
  EXPECT_EQ(Of<Hello>(EndTurn()).size(), 0u);
  Take(Alive{});
  now += seconds(3);
  EXPECT_EQ(Of<Hello>(EndTurn()).size(), 0u);
  now += seconds(1);

  const WorkerEffects effects = EndTurn();

  EXPECT_EQ(Of<Hello>(effects).size(), 1u);
  EXPECT_EQ(Of<Heartbeat>(effects).size(), 0u);
}

TEST_F(WorkerTest, KeepsItsAttemptsForTheWindowAndThenStopsThem) {
  Join(7, seconds(60));
  AttemptSpec mock = SpecOf(2, 1, RunnerKind::Mock);
  mock.mock.sleep = seconds(1'000);
  const AttemptSpec command = SpecOf(1, 1, RunnerKind::Command);
  Take(Dispatch{.session = 7, .specs = {command, mock}});
  now += seconds(63);
  const WorkerEffects before = EndTurn();
  EXPECT_THAT(before.stop, IsEmpty());
  EXPECT_LE(before.wake_at, now + seconds(1));
  now += seconds(1);

  EXPECT_THAT(EndTurn().stop, ElementsAre(command.id));

  now += seconds(100);
  EXPECT_THAT(EndTurn().stop, IsEmpty());  // Once.
  AttemptOutcome outcome = OutcomeOf(command.id);
  outcome.failure = FailureClass::Cancelled;
  worker.OnAttemptEnded(outcome, now);
  Join(8);  // The coordinator is back: a lost worker costs no retry.
  const std::vector<Finished> finished = Of<Finished>(EndTurn());
  ASSERT_EQ(finished.size(), 1u);
  ASSERT_EQ(finished[0].outcomes.size(), 2u);
  for (const AttemptOutcome& o : finished[0].outcomes) {
    EXPECT_EQ(o.failure, FailureClass::WorkerLost);
  }
}

TEST_F(WorkerTest, TheWindowAlsoRunsBeforeTheFirstWelcome) {
  const AttemptId running{RunId{1}, Subject::Task, 3, 1};
  WorkerEffects effects;
  begun = true;
  worker.Begin({running}, {}, now, effects);
  now += seconds(303);
  EXPECT_THAT(EndTurn().stop, IsEmpty());
  now += seconds(1);

  EXPECT_THAT(EndTurn().stop, ElementsAre(running));
}

// A daemon that starts while there is no coordinator goes by what the one before it was told.
TEST_F(WorkerTest, TheWindowOfTheLastWelcomeOutlivesTheDaemon) {
  const AttemptId running{RunId{1}, Subject::Task, 3, 1};
  Join(7, seconds(20));
  WorkerCore successor(
      {.name = "w1", .slots = 2, .lease = worker.lease(), .window = worker.window()});
  WorkerEffects effects;
  successor.Begin({running}, {}, now, effects);
  WorkerEffects early;
  successor.EndTurn(now + seconds(23), early);
  WorkerEffects late;
  successor.EndTurn(now + seconds(24), late);

  EXPECT_THAT(early.stop, IsEmpty());
  EXPECT_THAT(late.stop, ElementsAre(running));
}

// --- leaving, draining, changing ---

TEST_F(WorkerTest, AWorkerThatLeavesTakesNothingNewAndSaysWhatItHolds) {
  Join();
  const AttemptSpec running = SpecOf(1, 1, RunnerKind::Command);
  AttemptSpec mock = SpecOf(2, 1, RunnerKind::Mock);
  mock.mock.sleep = seconds(5);
  Take(Dispatch{.session = 7, .specs = {running, mock}});

  worker.TakeNoMore();
  EXPECT_THAT(Take(Dispatch{.session = 7, .specs = {SpecOf(3, 1, RunnerKind::Command)}}).start,
              IsEmpty());
  WorkerEffects effects;
  worker.Leave(effects);

  ASSERT_EQ(Of<Goodbye>(effects).size(), 1u);
  EXPECT_THAT(Of<Goodbye>(effects)[0].holding, ElementsAre(running.id));  // A mock ends with us.
}

TEST_F(WorkerTest, RemembersThatItIsDraining) {
  Join();
  Take(Drain{true});
  EXPECT_TRUE(Of<Hello>(Take(UnknownWorker{}))[0].draining);
  Join();
  Take(Drain{false});
  EXPECT_FALSE(Of<Hello>(Take(UnknownWorker{}))[0].draining);
}

TEST_F(WorkerTest, TellsOfItsNewSlotsAndLabels) {
  Join();
  WorkerEffects effects;

  worker.Change({.name = "other", .slots = 9, .labels = {"gpu"}, .providers = {"mock"}}, now,
                effects);

  ASSERT_EQ(Of<Hello>(effects).size(), 1u);
  const Hello hello = Of<Hello>(effects)[0];
  EXPECT_EQ(hello.worker, "w1");
  EXPECT_EQ(hello.slots, 9u);
  EXPECT_THAT(hello.labels, ElementsAre("gpu"));
  EXPECT_THAT(hello.providers, ElementsAre("mock"));
}

TEST(WorkerWithAWorkDirectory, RunsAllAttemptsThere) {
  WorkerCore worker({.name = "w1", .work_dir = "/srv/work"});
  WorkerEffects effects;
  worker.Begin({}, {}, kStart, effects);
  worker.OnMessage(Welcome{.session = 7}, kStart, effects);
  AttemptSpec spec = SpecOf(1, 1, RunnerKind::Command);
  spec.run_dir = "/home/ann/project";

  worker.OnMessage(Dispatch{.session = 7, .specs = {spec}, .number = 1}, kStart, effects);

  ASSERT_EQ(effects.start.size(), 1u);
  EXPECT_EQ(effects.start[0].run_dir, "/srv/work");
}

}  // namespace
}  // namespace troupe
