// What the metrics count.
#include "coordinator/tally.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/cluster.h"
#include "tests/coordinator/plans.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

const Instant kStart = Instant(seconds(1'000));

RunEvent EventOf(RunEvent::Kind kind, const std::string& agent = "",
                 std::optional<FailureClass> failure = {}) {
  RunEvent event;
  event.kind = kind;
  event.agent = agent;
  event.failure = failure;
  return event;
}

AttemptRecord Attempt(const std::string& agent, std::optional<FailureClass> failure,
                      bool accepted = true, Subject subject = Subject::Task) {
  AttemptRecord record;
  record.agent = agent;
  record.outcome.id.subject = subject;
  record.outcome.failure = failure;
  record.accepted = accepted;
  return record;
}

TaskRecord Running(Instant ready, Instant started) {
  TaskRecord record;
  record.state = TaskState::Running;
  record.ready_since = ready;
  record.attempt_started = started;
  return record;
}

std::uint64_t Of(const CountsByClass& counts, FailureClass failure) {
  return counts[static_cast<std::size_t>(failure)];
}

TEST(Distribution, CountsAValueWithTheFirstBoundThatIsNotBelowIt) {
  Distribution values({1, 10});

  for (const double value : {0.5, 1.0, 1.5, 10.0, 11.0}) values.Add(value);

  EXPECT_THAT(values.counts(), ElementsAre(2, 2, 1));
  EXPECT_EQ(values.count(), 5u);
  EXPECT_DOUBLE_EQ(values.sum(), 24);
}

TEST(Tally, CountsAttemptsByAgentAndClassAndStaleOnesApart) {
  Tally tally(kStart);
  Batch batch;
  batch.attempts = {Attempt("writer", {}), Attempt("writer", FailureClass::Timeout),
                    Attempt("", {}), Attempt("writer", {}, false),
                    Attempt("", {}, true, Subject::Hook)};

  tally.OnCommit(batch, milliseconds(2));

  EXPECT_EQ(tally.agents().at("writer").succeeded, 1u);
  EXPECT_EQ(Of(tally.agents().at("writer").failed, FailureClass::Timeout), 1u);
  EXPECT_EQ(tally.agents().at("").succeeded, 1u);
  EXPECT_EQ(tally.stale_outcomes, 1u);
  EXPECT_EQ(tally.commit_seconds.count(), 1u);
  EXPECT_DOUBLE_EQ(tally.commit_seconds.sum(), 0.002);
  EXPECT_DOUBLE_EQ(tally.commit_records.sum(), 5);
}

TEST(Tally, KeepsTheNamesOfSoManyAgentsAndCountsTheOthersTogether) {
  Tally tally(kStart);
  Batch batch;
  for (std::size_t i = 0; i < Tally::kAgentsMax + 50; ++i) {
    batch.attempts.push_back(Attempt("agent" + std::to_string(i), {}));
  }

  tally.OnCommit(batch, {});
  tally.OnCommit(batch, {});

  EXPECT_EQ(tally.agents().size(), Tally::kAgentsMax + 1);
  EXPECT_EQ(tally.agents().at("agent0").succeeded, 2u);
  EXPECT_EQ(tally.agents().find(Tally::kOtherAgents)->second.succeeded, 100u);
}

TEST(Tally, TakesTheTimeInTheQueueOncePerAttempt) {
  Tally tally(kStart);
  Batch first;
  first.tasks = {Running(kStart, kStart + seconds(3)), Running(kStart, kStart + seconds(3))};
  Batch again;  // One of them is written again, beside a new one.
  again.tasks = {Running(kStart, kStart + seconds(3)),
                 Running(kStart + seconds(4), kStart + seconds(5)),
                 Running(kStart - seconds(9), kStart - seconds(1))};  // From before the start.

  tally.OnCommit(first, {});
  tally.OnCommit(again, {});

  EXPECT_EQ(tally.queue_seconds.count(), 3u);
  EXPECT_DOUBLE_EQ(tally.queue_seconds.sum(), 3 + 3 + 1);
}

TEST(Tally, CountsWhatIsTold) {
  using Kind = RunEvent::Kind;
  Tally tally(kStart);
  RunEvent finished = EventOf(Kind::RunFinished);
  finished.status = "failed";

  for (const RunEvent& event :
       {EventOf(Kind::RunStarted), finished,
        EventOf(Kind::TaskRetrying, "", FailureClass::Overloaded),
        EventOf(Kind::TaskDeadLettered, "", FailureClass::WorkerLost),
        EventOf(Kind::TaskFallback, "second"), EventOf(Kind::AgentShut, "first"),
        EventOf(Kind::WorkerJoined), EventOf(Kind::WorkerLost), EventOf(Kind::TaskStarted)}) {
    tally.OnEvent(event);
  }

  EXPECT_EQ(tally.runs_started, 1u);
  EXPECT_THAT(tally.runs_finished(), UnorderedElementsAre(Pair("failed", 1)));
  EXPECT_EQ(Of(tally.retries(), FailureClass::Overloaded), 1u);
  EXPECT_EQ(Of(tally.dead_letters(), FailureClass::WorkerLost), 1u);
  EXPECT_EQ(tally.agents().at("second").taken_over, 1u);
  EXPECT_EQ(tally.agents().at("first").shut, 1u);
  EXPECT_EQ(tally.workers_joined, 1u);
  EXPECT_EQ(tally.workers_lost, 1u);
}

// Task by task, as CountTasks() should have it.
LiveRun::StateCounts CountOneByOne(const LiveRun& run) {
  LiveRun::StateCounts counts = {};
  for (std::uint32_t task = 0; task < run.size(); ++task) {
    const TaskRecord& record = run.Record(task);
    const bool under_way = record.joins && record.state == TaskState::Running;
    ++counts[static_cast<std::size_t>(under_way ? TaskState::Pending : record.state)];
  }
  return counts;
}

TEST(Gauges, CountEveryTaskInItsStateWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    PlanMaker maker;
    const auto agent = maker.Agent("agent");
    const auto a = maker.Task("a", {}, agent, {.retry = 2, .retry_delay = seconds(1)});
    const auto b = maker.Task("b", {a});
    const auto c = maker.Task("c");
    const auto parent = maker.Parent("p", {b, c});
    for (int i = 0; i < 10; ++i) maker.Task("t" + std::to_string(i), {parent}, agent);
    maker.Task("z", {}, kNone, {.on_exhausted = OnExhausted::Continue});
    Cluster cluster(maker.Share(), seed, 2, 2,
                    {.coordinator_crash = 0.01,
                     .worker_crash = 0.01,
                     .machine_loss = 0.005,
                     .agent_failure = 0.2});
    cluster.Submit();
    std::size_t seen = 0;

    while (!cluster.Ended()) {
      cluster.Step();
      const LiveRun* run = cluster.coordinator().Find(RunId{1});
      if (run == nullptr) continue;
      ASSERT_EQ(run->CountTasks(), CountOneByOne(*run)) << "seed " << seed;
      ++seen;
    }

    EXPECT_GT(seen, 10u);
  }
}

TEST(Gauges, SeeWorkersAndTheirSlots) {
  PlanMaker maker;
  maker.Task("a");
  Cluster cluster(maker.Share(), 1, 2, 3);
  cluster.Submit();
  while (cluster.starts().empty()) cluster.Step();

  const Gauges gauges = GaugesOf(cluster.coordinator(), cluster.now());

  EXPECT_EQ(gauges.runs_running, 1u);
  EXPECT_EQ(gauges.tasks[static_cast<std::size_t>(TaskState::Running)], 1u);
  EXPECT_EQ(gauges.workers_connected, 2u);
  EXPECT_EQ(gauges.slots, 6u);
  EXPECT_EQ(gauges.slots_used, 1u);
}

TEST(Gauges, SeeBreakers) {
  PlanMaker maker;
  const auto agent = maker.Agent("agent", {.fail_times = kNone});
  maker.plan().agents[agent].breaker =
      BreakerRules{.failures = 2, .window = seconds(600), .cooldown = seconds(100)};
  for (int i = 0; i < 5; ++i) {
    maker.Task("t" + std::to_string(i), {}, agent, {.retry = 1, .retry_delay = seconds(1)});
  }
  Cluster cluster(maker.Share(), 1, 1, 2);
  cluster.Submit();
  const auto gauges = [&] { return GaugesOf(cluster.coordinator(), cluster.now()); };

  while (gauges().breakers_open == 0 && !cluster.Ended()) cluster.Step();
  const Gauges open = gauges();
  while (gauges().breakers_half_open == 0 && !cluster.Ended()) cluster.Step();
  const Gauges half_open = gauges();

  EXPECT_EQ(open.breakers_open, 1u);
  EXPECT_EQ(open.breakers_half_open, 0u);
  EXPECT_EQ(open.rate_limited, 0u);
  EXPECT_EQ(half_open.breakers_open, 0u);
  EXPECT_EQ(half_open.breakers_half_open, 1u);
}

}  // namespace
}  // namespace troupe
