// Whoever holds the lock decides: attendants, their killers and those who look after them, at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <random>
#include <thread>

#include "tests/worker/attendant/attempt_fixture.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;

class SpoolRace : public AttemptFixture {
 protected:
  // How often the command of `spec` ran: it appends a line to `ran`.
  std::size_t Runs() const {
    const std::string text = Read(InRunDirectory("ran"));
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }
};

TEST_F(SpoolRace, ASecondAttendantDoesNothing) {
  const AttemptSpec spec =
      ShellCommand("echo x >> ran; touch ready; while [ ! -e go ]; do sleep 0.01; done");
  const pid_t first = Start(spec);
  WaitForFile("ready");
  EXPECT_EQ(Wait(StartAttendant(Directory(spec))), 0) << "the lock is held";
  EXPECT_TRUE(InspectSpool(Directory(spec)).value().running);
  EXPECT_EQ(InspectSpool(Directory(spec)).value().attendant, first);

  std::ofstream(InRunDirectory("go")) << "";
  EXPECT_EQ(Wait(first), 0);
  EXPECT_EQ(Wait(StartAttendant(Directory(spec))), 0) << "there is an outcome";

  EXPECT_EQ(Runs(), 1U);
  EXPECT_EQ(InspectSpool(Directory(spec)).value().outcome, Outcome(spec));
}

TEST_F(SpoolRace, AnAttemptThatWasHandedBackIsNotBegun) {
  const AttemptSpec spec = ShellCommand("echo x >> ran");
  ASSERT_TRUE(WriteSpec(root_, spec).has_value());
  EXPECT_TRUE(InspectSpool(Directory(spec)).value().outcome->never_started);

  EXPECT_EQ(Wait(StartAttendant(Directory(spec))), 0);

  EXPECT_FALSE(std::filesystem::exists(InRunDirectory("ran")));
  EXPECT_TRUE(Outcome(spec).never_started);
}

TEST_F(SpoolRace, OneOfManyAttendantsRunsIt) {
  const AttemptSpec spec = ShellCommand("echo x >> ran");
  std::vector<pid_t> attendants = {Start(spec)};
  for (int i = 0; i < 7; ++i) attendants.push_back(StartAttendant(Directory(spec)));
  for (const pid_t attendant : attendants) EXPECT_EQ(Wait(attendant), 0);

  EXPECT_EQ(Runs(), 1U);
  EXPECT_EQ(Outcome(spec).failure, std::nullopt);
}

TEST_F(SpoolRace, AnAttendantThatWasKilledIsNotReplaced) {
  const AttemptSpec spec = ShellCommand("echo x >> ran; touch ready; sleep 1000");
  const pid_t first = Start(spec);
  WaitForFile("ready");
  ::kill(first, SIGKILL);
  Wait(first);

  EXPECT_EQ(Wait(StartAttendant(Directory(spec))), 0);

  EXPECT_EQ(Runs(), 1U);
  EXPECT_EQ(ReadOutcome(Directory(spec)).error().code, ErrorCode::NotFound);
  EXPECT_EQ(InspectSpool(Directory(spec)).value().outcome->failure, FailureClass::Crashed);
}

TEST_F(SpoolRace, WhatAKilledAttendantLeftIsEnded) {
  for (const char* cgroup : {"auto", "off"}) {
    SetVariable("TROUPE_CGROUP", cgroup);
    const AttemptSpec spec = ShellCommand(
        "rm -f ready; setsid sh -c 'trap \"\" TERM; touch ready; while true; do sleep 1; done' & "
        "sleep 1000");
    const pid_t attendant = Start(spec);
    WaitForFile("ready");
    WaitFor("three processes", [&] { return Processes(spec).size() >= 3; });
    ::kill(attendant, SIGKILL);
    Wait(attendant);

    const SpoolState state = InspectSpool(Directory(spec)).value();

    EXPECT_FALSE(state.running);
    EXPECT_EQ(state.outcome->failure, FailureClass::Crashed);
    EXPECT_EQ(Outcome(spec), *state.outcome);
    EXPECT_TRUE(Processes(spec).empty());
    EXPECT_TRUE(PrivateFilesLeft().empty());
    std::filesystem::remove(InRunDirectory("ready"));
  }
}

// Inspected at any moment of its start, an attempt runs or is handed back as never started: never
// both, and there is always an outcome in the end.
TEST_F(SpoolRace, AnInspectionDuringTheStartDecidesOnce) {
  std::mt19937 random(3);
  int never_started = 0;
  int ran = 0;
  // From before it has the lock until after it has ended, however fast this machine is.
  const milliseconds whole = TimeOf([&] { Run(ShellCommand("true")); });
  const auto span = static_cast<std::size_t>(whole.count() + 1) * 1500;
  for (int i = 0; i < 150; ++i) {
    std::filesystem::remove(InRunDirectory("ran"));
    const AttemptSpec spec = ShellCommand("echo x >> ran");
    const pid_t attendant = Start(spec);
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::microseconds(random() % span);
    while (std::chrono::steady_clock::now() < until) {
    }
    const Result<SpoolState> seen = InspectSpool(Directory(spec));
    ASSERT_TRUE(seen.has_value()) << seen.error().message;
    EXPECT_EQ(Wait(attendant), 0);
    const AttemptOutcome outcome = Outcome(spec);
    if (seen->outcome) {
      EXPECT_EQ(*seen->outcome, outcome);
    }
    EXPECT_EQ(Runs(), outcome.never_started ? 0U : 1U);
    ++(outcome.never_started ? never_started : ran);
  }
  EXPECT_GT(never_started, 0) << "the inspections all came too late to race";
  EXPECT_GT(ran, 0) << "the inspections all came too early to race";
}

// Stopped at any moment, it has not begun or is ended.
TEST_F(SpoolRace, AStopAtAnyMomentEndsIt) {
  std::mt19937 random(4);
  for (int i = 0; i < 100; ++i) {
    std::filesystem::remove(InRunDirectory("ran"));
    const AttemptSpec spec = ShellCommand("echo x >> ran; sleep 1000");
    const pid_t attendant = Start(spec);
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 6000);
    while (std::chrono::steady_clock::now() < until) {
    }
    ::kill(attendant, SIGTERM);
    Wait(attendant);

    const AttemptOutcome outcome = InspectSpool(Directory(spec)).value().outcome.value();

    EXPECT_TRUE(outcome.never_started || outcome.failure == FailureClass::Cancelled);
    EXPECT_TRUE(Processes(spec).empty());
    if (outcome.never_started) {
      EXPECT_EQ(Runs(), 0U);
    }
  }
}

// The same with the attendant killed at any moment: nothing of it is left and it has an outcome.
TEST_F(SpoolRace, AKillAtAnyMomentLeavesAnOutcomeAndNothingElse) {
  std::mt19937 random(5);
  for (int i = 0; i < 150; ++i) {
    std::filesystem::remove(InRunDirectory("ran"));
    const AttemptSpec spec = ShellCommand("echo x >> ran; sleep 0.001");
    const pid_t attendant = Start(spec);
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 8000);
    while (std::chrono::steady_clock::now() < until) {
    }
    ::kill(attendant, SIGKILL);
    Wait(attendant);

    const Result<SpoolState> state = InspectSpool(Directory(spec));

    ASSERT_TRUE(state.has_value()) << state.error().message;
    ASSERT_TRUE(state->outcome.has_value());
    EXPECT_EQ(Outcome(spec), *state->outcome);
    EXPECT_TRUE(Processes(spec).empty());
    EXPECT_LE(Runs(), 1U);
    if (state->outcome->never_started) {
      EXPECT_EQ(Runs(), 0U);
    }
    if (!state->outcome->failure) {
      EXPECT_EQ(Runs(), 1U);
    }
  }
}

}  // namespace
}  // namespace troupe
