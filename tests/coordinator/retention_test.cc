#include "coordinator/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/coordinator.h"
#include "tests/coordinator/plans.h"

namespace troupe {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Instant kStart = Instant{} + hours(1'000);

TEST(Retention, WithoutRulesKeepsEverything) {
  Retention retention({});
  retention.Ended(RunId{1}, kStart);

  EXPECT_EQ(retention.next(), kNever);
  EXPECT_THAT(retention.Take(kStart + hours(100'000)), IsEmpty());
}

TEST(Retention, ForgetsWhatIsTooOld) {
  Retention retention({.age = hours(24)});
  retention.Ended(RunId{1}, kStart + hours(1));
  retention.Ended(RunId{2}, kStart);

  EXPECT_EQ(retention.next(), kStart + hours(24));
  EXPECT_THAT(retention.Take(kStart + hours(24) - Duration(1)), IsEmpty());
  EXPECT_THAT(retention.Take(kStart + hours(24)), ElementsAre(RunId{2}));
  EXPECT_EQ(retention.next(), kStart + hours(25));
}

TEST(Retention, KeepsTheOnesThatEndedLast) {
  Retention retention({.runs = 2});
  retention.Ended(RunId{3}, kStart);
  retention.Ended(RunId{1}, kStart + hours(1));
  EXPECT_EQ(retention.next(), kNever);
  retention.Ended(RunId{2}, kStart + hours(2));

  EXPECT_THAT(retention.Take(kStart + hours(2)), ElementsAre(RunId{3}));
  EXPECT_EQ(retention.next(), kNever);
}

TEST(Retention, ForgetsTheOldestUntilTheRestIsSmallEnough) {
  Retention retention({.bytes = 100});
  for (std::uint64_t i = 1; i <= 4; ++i) retention.Ended(RunId{i}, kStart + minutes(i));
  retention.Size(RunId{1}, 30);
  retention.Size(RunId{3}, 70);
  EXPECT_EQ(retention.next(), kNever);
  retention.Size(RunId{2}, 1);

  EXPECT_EQ(retention.next(), kStart + minutes(1) + kRetainedAtLeast);
  EXPECT_THAT(retention.Take(kStart + hours(1)), ElementsAre(RunId{1}));
  EXPECT_THAT(retention.From(RunId{}, 2), ElementsAre(RunId{2}, RunId{3}));
  EXPECT_THAT(retention.From(RunId{4}, 2), ElementsAre(RunId{4}));
}

TEST(Retention, GoesByTheLatestSizeAndBySizesOfRunsThatHaveEnded) {
  Retention retention({.bytes = 100});
  retention.Ended(RunId{1}, kStart);
  retention.Ended(RunId{2}, kStart);
  retention.Size(RunId{1}, 90);
  retention.Size(RunId{1}, 60);
  retention.Size(RunId{2}, 40);
  retention.Size(RunId{3}, 1'000);  // It runs.
  EXPECT_EQ(retention.next(), kNever);
  retention.Drop(RunId{2});
  retention.Ended(RunId{2}, kStart + minutes(5));
  retention.Size(RunId{1}, 100);
  EXPECT_EQ(retention.next(), kNever) << "what it took before it went on does not count";
  retention.Size(RunId{2}, 1);

  EXPECT_THAT(retention.Take(kStart + hours(1)), ElementsAre(RunId{1}));
}

TEST(Retention, TheRunThatEndedLastStaysHoweverLargeItIs) {
  Retention retention({.bytes = 100});
  retention.Ended(RunId{1}, kStart);
  retention.Ended(RunId{2}, kStart + minutes(1));
  retention.Size(RunId{1}, 1);
  retention.Size(RunId{2}, 1'000);

  EXPECT_THAT(retention.Take(kStart + hours(1)), ElementsAre(RunId{1}));
  EXPECT_EQ(retention.next(), kNever);
}

TEST(Retention, WhoWaitsForARunSeesHowItEnded) {
  Retention retention({.age = std::chrono::seconds(30), .runs = 1});
  retention.Ended(RunId{1}, kStart);
  retention.Ended(RunId{2}, kStart);

  EXPECT_EQ(retention.next(), kStart + kRetainedAtLeast);
  EXPECT_THAT(retention.Take(kStart + kRetainedAtLeast - Duration(1)), IsEmpty());
  EXPECT_THAT(retention.Take(kStart + kRetainedAtLeast), ElementsAre(RunId{1}, RunId{2}));
}

TEST(Retention, ARunThatGoesOnStays) {
  Retention retention({.age = hours(1)});
  retention.Ended(RunId{1}, kStart);
  retention.Drop(RunId{1});
  EXPECT_EQ(retention.next(), kNever);
  retention.Ended(RunId{1}, kStart + hours(5));

  EXPECT_THAT(retention.Take(kStart + hours(5)), IsEmpty());
  EXPECT_THAT(retention.Take(kStart + hours(6)), ElementsAre(RunId{1}));
}

TEST(Retention, ForgetsManyInParts) {
  Retention retention({.runs = 1});
  for (std::uint64_t i = 1; i <= 251; ++i) retention.Ended(RunId{i}, kStart);
  const Instant later = kStart + hours(1);

  EXPECT_THAT(retention.Take(later), SizeIs(kForgottenAtOnce));
  EXPECT_LE(retention.next(), later);
  EXPECT_THAT(retention.Take(later), SizeIs(kForgottenAtOnce));
  EXPECT_THAT(retention.Take(later), SizeIs(50));
  EXPECT_EQ(retention.next(), kNever);
}

// Submits a run of one task and cancels it at once.
RunId RunAndEnd(Coordinator& coordinator, const std::string& key, Instant now) {
  PlanMaker maker;
  maker.Task("a");
  SubmitRun submit;
  submit.plan = maker.Share();
  submit.draft.run_dir = "/";
  submit.draft.key = key;
  Effects effects;
  coordinator.Step(submit, now, effects);
  const RunId run = effects.replies.at(0).run;
  coordinator.Step(CancelRun{run}, now, effects);
  coordinator.EndTurn(now, effects);
  EXPECT_EQ(coordinator.Find(run), nullptr) << "it has ended";
  EXPECT_THAT(effects.save.deleted_runs, IsEmpty());
  return run;
}

TEST(Retention, TheCoordinatorForgetsRunsAndTheirKeysInTime) {
  Coordinator coordinator({.retention = {.age = hours(1), .runs = 2}}, RunId{7});
  coordinator.KnowKey("of the store", RunId{5});
  coordinator.KnowEnded(RunId{5}, kStart - minutes(30));
  const RunId first = RunAndEnd(coordinator, "first", kStart);
  const RunId second = RunAndEnd(coordinator, "second", kStart);
  Effects effects;

  coordinator.EndTurn(kStart, effects);
  EXPECT_THAT(effects.save.deleted_runs, ElementsAre(RunId{5})) << "two are kept";
  EXPECT_EQ(coordinator.RunOfKey("of the store"), RunId{});
  EXPECT_EQ(coordinator.RunOfKey("first"), first);
  EXPECT_EQ(effects.wake_at, kStart + hours(1));

  effects = {};
  coordinator.EndTurn(kStart + hours(1), effects);
  EXPECT_THAT(effects.save.deleted_runs, ElementsAre(first, second));
  EXPECT_EQ(coordinator.RunOfKey("first"), RunId{});
  EXPECT_EQ(effects.wake_at, kNever);
}

TEST(Retention, TheCoordinatorForgetsForSizeInItsNextTurn) {
  Coordinator coordinator({.retention = {.bytes = 1'000}}, RunId{7});
  const RunId first = RunAndEnd(coordinator, "first", kStart);
  const RunId second = RunAndEnd(coordinator, "second", kStart + minutes(1));
  EXPECT_THAT(coordinator.retention().From(RunId{}, 10), ElementsAre(first, second));
  coordinator.KnowSize(first, 600);
  coordinator.KnowSize(second, 600);
  Effects effects;

  coordinator.EndTurn(kStart + minutes(2), effects);
  EXPECT_THAT(effects.save.deleted_runs, ElementsAre(first));
  EXPECT_EQ(coordinator.RunOfKey("first"), RunId{});
  EXPECT_EQ(coordinator.RunOfKey("second"), second);
}

}  // namespace
}  // namespace troupe
