#include "worker/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

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
  void Join(std::uint64_t session = 7) {
    WorkerEffects effects;
    worker.OnMessage(Welcome{.session = session, .lease = seconds(4), .heartbeat = seconds(1)}, now,
                     effects);
  }
  WorkerEffects Take(const FromCoordinator& message) {
    WorkerEffects effects;
    worker.OnMessage(message, now, effects);
    return effects;
  }
  WorkerEffects EndTurn() {
    WorkerEffects effects;
    worker.EndTurn(now, effects);
    return effects;
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
};

TEST_F(WorkerTest, SaysHelloWithAllThatItHoldsAndAgainUntilItIsWelcome) {
  const AttemptId running{RunId{1}, Subject::Task, 3, 1};
  const AttemptId ended{RunId{1}, Subject::Task, 4, 2};
  WorkerEffects effects;
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

TEST_F(WorkerTest, CountsTheMessagesOfASession) {
  Join();
  Take(Committed{});
  Take(Stop{});
  now += seconds(1);

  EXPECT_THAT(Of<Heartbeat>(EndTurn()), ElementsAre(Heartbeat{.session = 7, .seen = 2}));
}

}  // namespace
}  // namespace troupe
