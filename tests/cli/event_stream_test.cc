#include "cli/event_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr Instant kStart = Instant{} + std::chrono::hours(1);

RunEvent EventAt(int second, RunEvent::Kind kind = RunEvent::Kind::TaskCompleted) {
  RunEvent event;
  event.kind = kind;
  event.at = kStart + seconds(second);
  return event;
}

class EventStreamTest : public testing::Test {
 protected:
  void Send(std::uint64_t stream_id, std::uint64_t first, std::vector<RunEvent> events = {}) {
    stream.On({.stream = stream_id, .first = first, .events = std::move(events)});
  }
  std::vector<int> Shown() {
    std::vector<int> seconds_shown;
    for (const RunEvent& event : stream.Take()) {
      seconds_shown.push_back(static_cast<int>(ToSeconds(event.at - kStart)));
    }
    return seconds_shown;
  }

  EventStream stream;
};

TEST_F(EventStreamTest, ShowsNothingBeforeASnapshotAndThenWhatItHasNot) {
  Send(7, 0, {EventAt(1), EventAt(2)});
  Send(7, 2, {EventAt(3)});
  EXPECT_TRUE(stream.needs_snapshot());
  EXPECT_THAT(Shown(), IsEmpty());

  stream.Snapshot(kStart + seconds(2));

  EXPECT_THAT(Shown(), ElementsAre(3));
  Send(7, 3, {EventAt(4)});
  EXPECT_THAT(Shown(), ElementsAre(4));
}

TEST_F(EventStreamTest, AGapNeedsASnapshot) {
  Send(7, 0);
  stream.Snapshot(kStart);
  Send(7, 1, {EventAt(5)});

  EXPECT_TRUE(stream.needs_snapshot());
  EXPECT_THAT(Shown(), IsEmpty());
  stream.Snapshot(kStart + seconds(4));
  EXPECT_THAT(Shown(), ElementsAre(5));
}

TEST_F(EventStreamTest, AnotherStreamNeedsASnapshot) {
  Send(7, 0);
  stream.Snapshot(kStart);

  Send(8, 0);

  EXPECT_TRUE(stream.needs_snapshot());
}

TEST_F(EventStreamTest, TheEndOfTheRunIsNeverDropped) {
  Send(7, 0, {EventAt(1, RunEvent::Kind::RunFinished)});

  stream.Snapshot(kStart + seconds(9));

  EXPECT_THAT(Shown(), ElementsAre(1));
}

TEST_F(EventStreamTest, AStreamFromTheBeginningNeedsNoSnapshot) {
  stream.BeginWhole();
  EXPECT_TRUE(stream.empty());
  Send(7, 0);
  Send(7, 0, {EventAt(1)});
  EXPECT_THAT(Shown(), ElementsAre(1));

  Send(7, 5, {EventAt(2)});

  EXPECT_TRUE(stream.needs_snapshot());
}

TEST_F(EventStreamTest, AStreamWhoseBeginningWasLostNeedsOne) {
  stream.BeginWhole();

  Send(7, 3, {EventAt(1)});

  EXPECT_TRUE(stream.needs_snapshot());
}

TEST_F(EventStreamTest, RemembersHowFarTheRunIs) {
  stream.On({.stream = 7, .tasks = 9, .settled = 4});
  stream.On({.stream = 7});  // The run has ended and is not known any more.

  EXPECT_EQ(stream.tasks(), 9u);
  EXPECT_EQ(stream.settled(), 4u);
}

}  // namespace
}  // namespace troupe
