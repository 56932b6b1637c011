// Attendants that a zygote becomes.
#include "worker/attendant_starter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <optional>

#include "tests/worker/attendant/attempt_fixture.h"
#include "worker/attendant/process_table.h"

namespace troupe {
namespace {

using testing::HasSubstr;

class Starter : public AttemptFixture {
 protected:
  // Writes the spec and starts it.
  pid_t StartOne(const AttemptSpec& spec) {
    EXPECT_TRUE(WriteSpec(root_, spec).has_value());
    const std::vector<Result<pid_t>> pids = starter_->Start({Directory(spec).string()});
    return pids.size() == 1 && pids[0] ? *pids[0] : -1;
  }

  std::vector<pid_t> Zygotes() const {
    std::vector<pid_t> zygotes;
    for (const Process& process : ListProcesses()) {
      const std::string words = Read("/proc/" + std::to_string(process.pid) + "/cmdline");
      if (process.parent == ::getpid() && words.find("--zygote") != std::string::npos) {
        zygotes.push_back(process.pid);
      }
    }
    return zygotes;
  }

  std::optional<AttendantStarter> starter_{std::in_place, TROUPE_ATTENDANT};
};

TEST_F(Starter, StartsNothingBeforeTheFirstAttempt) { EXPECT_TRUE(Zygotes().empty()); }

TEST_F(Starter, StartsManyAtOnceAsChildrenOfThisProcess) {
  std::vector<AttemptSpec> specs;
  std::vector<std::string> directories;
  for (int i = 0; i < 150; ++i) {
    specs.push_back(ShellCommand("echo $TROUPE_TASK_ID"));
    specs.back().task = "t" + std::to_string(i);
    specs.back().token += std::to_string(i);
    ASSERT_TRUE(WriteSpec(root_, specs.back()).has_value());
    directories.push_back(Directory(specs.back()).string());
  }

  const std::vector<Result<pid_t>> pids = starter_->Start(directories);

  ASSERT_EQ(pids.size(), specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    ASSERT_TRUE(pids[i].has_value()) << pids[i].error().message;
    EXPECT_EQ(Wait(*pids[i]), 0);
    EXPECT_EQ(Outcome(specs[i]).failure, std::nullopt) << Outcome(specs[i]).message;
    EXPECT_EQ(Outcome(specs[i]).output, specs[i].task);
  }
  EXPECT_EQ(Zygotes().size(), 1U);
}

TEST_F(Starter, NamesEachAfterItsAttempt) {
  const AttemptSpec spec = ShellCommand("while [ ! -e go ]; do sleep 0.01; done");
  const pid_t attendant = StartOne(spec);

  WaitFor("its name", [&] {
    const std::string words = Read("/proc/" + std::to_string(attendant) + "/cmdline");
    return words.find(Directory(spec).string()) != std::string::npos;
  });

  std::ofstream(InRunDirectory("go")) << "";
  EXPECT_EQ(Wait(attendant), 0);
}

TEST_F(Starter, GoesOnWithAnotherZygoteIfOneDies) {
  EXPECT_EQ(Wait(StartOne(ShellCommand("true"))), 0);
  const std::vector<pid_t> first = Zygotes();
  ASSERT_EQ(first.size(), 1U);
  ::kill(first[0], SIGKILL);
  const AttemptSpec spec = ShellCommand("echo x >> ran");

  EXPECT_EQ(Wait(StartOne(spec)), 0);

  EXPECT_EQ(Outcome(spec).failure, std::nullopt);
  EXPECT_EQ(Read(InRunDirectory("ran")), "x\n");
  const std::vector<pid_t> second = Zygotes();
  ASSERT_EQ(second.size(), 1U) << "the first was waited for";
  EXPECT_NE(second[0], first[0]);
}

TEST_F(Starter, AttendantsOutliveTheirZygote) {
  const AttemptSpec spec =
      ShellCommand("touch ready; while [ ! -e go ]; do sleep 0.01; done; echo done");
  const pid_t attendant = StartOne(spec);
  WaitForFile("ready");

  starter_.reset();

  EXPECT_TRUE(Zygotes().empty());
  EXPECT_TRUE(InspectSpool(Directory(spec)).value().running);
  std::ofstream(InRunDirectory("go")) << "";
  EXPECT_EQ(Wait(attendant), 0);
  EXPECT_EQ(Outcome(spec).output, "done");
}

TEST_F(Starter, SaysWhyThereIsNoProgram) {
  starter_.emplace("/no/such/attendant");
  const AttemptSpec spec = ShellCommand("true");
  ASSERT_TRUE(WriteSpec(root_, spec).has_value());

  const std::vector<Result<pid_t>> pids =
      starter_->Start({Directory(spec).string(), Directory(spec).string()});

  ASSERT_EQ(pids.size(), 2U);
  for (const Result<pid_t>& pid : pids) {
    ASSERT_FALSE(pid.has_value());
    EXPECT_THAT(pid.error().message,
                HasSubstr("cannot start /no/such/attendant: No such file or directory"));
  }
}

// A program that is none of ours takes no orders.
TEST_F(Starter, GivesUpOnAProgramThatDoesNotAnswer) {
  starter_.emplace("/bin/true");
  const AttemptSpec spec = ShellCommand("true");
  ASSERT_TRUE(WriteSpec(root_, spec).has_value());

  const std::vector<Result<pid_t>> pids = starter_->Start({Directory(spec).string()});

  ASSERT_EQ(pids.size(), 1U);
  ASSERT_FALSE(pids[0].has_value());
  EXPECT_THAT(pids[0].error().message, HasSubstr("cannot start /bin/true"));
}

}  // namespace
}  // namespace troupe
