// Attendants that are kept for one attempt after another.
#include "worker/attendant_pool.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <optional>
#include <set>

#include "tests/worker/attendant/attempt_fixture.h"
#include "worker/attendant/process_table.h"

namespace troupe {
namespace {

using testing::HasSubstr;
using Heard = AttendantPool::Heard;

class Pool : public AttemptFixture {
 protected:
  // Writes the spec and orders it.
  int Attend(const AttemptSpec& spec) {
    EXPECT_TRUE(WriteSpec(root_, spec).has_value());
    const Result<int> attendant = pool_->Attend(Directory(spec).string());
    EXPECT_TRUE(attendant.has_value()) << attendant.error().message;
    return attendant ? *attendant : -1;
  }
  Heard WaitToHear(int attendant) {
    Heard heard = Heard::Nothing;
    while (heard == Heard::Nothing) {
      pollfd fd{attendant, POLLIN, 0};
      if (::poll(&fd, 1, 60'000) != 1) break;
      heard = pool_->Hear(attendant);
    }
    return heard;
  }
  std::vector<pid_t> Attendants() const {
    std::vector<pid_t> attendants;
    for (const Process& process : ListProcesses()) {
      const std::string program = Read("/proc/" + std::to_string(process.pid) + "/cmdline");
      if (process.parent == ::getpid() && program.starts_with(TROUPE_ATTENDANT)) {
        attendants.push_back(process.pid);
      }
    }
    return attendants;
  }

  std::optional<AttendantPool> pool_{std::in_place, TROUPE_ATTENDANT, root_};
};

TEST_F(Pool, StartsNothingBeforeTheFirstAttempt) { EXPECT_TRUE(Attendants().empty()); }

TEST_F(Pool, CarriesOutOneAfterAnotherWithOneProcess) {
  std::set<std::string> outputs;
  std::set<std::ptrdiff_t> open;
  for (int i = 0; i < 20; ++i) {
    // The signals that it blocks and what it has open: nothing gathers.
    const AttemptSpec spec = ShellCommand("grep SigBlk /proc/self/status; ls /proc/self/fd");
    ASSERT_EQ(WaitToHear(Attend(spec)), Heard::Ended);
    EXPECT_EQ(Outcome(spec).failure, std::nullopt) << Outcome(spec).message;
    outputs.insert(Outcome(spec).output);
    const std::string files = "/proc/" + std::to_string(Attendants().at(0)) + "/fd";
    open.insert(std::distance(std::filesystem::directory_iterator(files), {}));
  }
  EXPECT_EQ(Attendants().size(), 1U);
  EXPECT_EQ(outputs.size(), 1U);
  EXPECT_EQ(open.size(), 1U);
}

TEST_F(Pool, ShowsNothingOfOneAttemptToTheNext) {
  const AttemptSpec first = ShellCommand(
      "echo x > $TROUPE_ARTIFACTS_DIR/a; echo '{\"a\":1}' > $TROUPE_RESULT_FILE; umask 0; cd /");
  ASSERT_EQ(WaitToHear(Attend(first)), Heard::Ended);
  EXPECT_EQ(Outcome(first).result_json, "{\"a\":1}");
  const AttemptSpec second =
      ShellCommand("cd $TROUPE_ARTIFACTS_DIR; ls -A . ..; cat ../inputs.json; umask");

  ASSERT_EQ(WaitToHear(Attend(second)), Heard::Ended);

  const mode_t mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(Outcome(second).output,
            fmt::format(".:\n\n..:\nartifacts\ninputs.json\n{{}}{:04o}", mask));
  EXPECT_EQ(Outcome(second).result_json, "");
  EXPECT_EQ(Attendants().size(), 1U);
}

TEST_F(Pool, CarriesOutManyAtOnce) {
  std::vector<AttemptSpec> specs;
  std::vector<int> attendants;
  for (int i = 0; i < 50; ++i) {
    specs.push_back(ShellCommand("while [ ! -e go ]; do sleep 0.1; done; echo $TROUPE_TASK_ID"));
    specs.back().task = "t" + std::to_string(i);
    specs.back().token += std::to_string(i);
    attendants.push_back(Attend(specs.back()));
  }
  std::ofstream(InRunDirectory("go")) << "";

  for (std::size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(WaitToHear(attendants[i]), Heard::Ended);
    EXPECT_EQ(Outcome(specs[i]).output, specs[i].task);
  }
  EXPECT_EQ(Attendants().size(), specs.size());
}

TEST_F(Pool, NamesEachAfterItsAttempt) {
  const AttemptSpec spec = ShellCommand("while [ ! -e go ]; do sleep 0.01; done");
  const int attendant = Attend(spec);
  const pid_t pid = Attendants().at(0);
  const auto words = [&] { return Read("/proc/" + std::to_string(pid) + "/cmdline"); };
  WaitFor("its name", [&] { return words().find(Directory(spec).string()) != std::string::npos; });

  std::ofstream(InRunDirectory("go")) << "";

  EXPECT_EQ(WaitToHear(attendant), Heard::Ended);
  EXPECT_EQ(words().find(Directory(spec).string()), std::string::npos);
}

TEST_F(Pool, StopsTheAttemptThatIsMeant) {
  const AttemptSpec first = ShellCommand("true");
  const int attendant = Attend(first);
  ASSERT_EQ(WaitToHear(attendant), Heard::Ended);
  pool_->Stop(attendant, Directory(first).string());  // As if it crossed the end.
  const AttemptSpec second = ShellCommand("touch ready; while [ ! -e go ]; do sleep 0.01; done");
  ASSERT_EQ(Attend(second), attendant);
  pool_->Stop(attendant, Directory(first).string());
  WaitForFile("ready");
  std::ofstream(InRunDirectory("go")) << "";
  ASSERT_EQ(WaitToHear(attendant), Heard::Ended);
  EXPECT_EQ(Outcome(second).failure, std::nullopt);

  const AttemptSpec third = ShellCommand("sleep 1000");
  ASSERT_EQ(Attend(third), attendant);
  pool_->Stop(attendant, Directory(third).string());
  ASSERT_EQ(WaitToHear(attendant), Heard::Ended);
  EXPECT_EQ(Outcome(third).failure, FailureClass::Cancelled);
}

TEST_F(Pool, ASecondStopEndsAtOnce) {
  const AttemptSpec spec = ShellCommand("trap '' TERM; touch ready; while true; do sleep 1; done");
  const int attendant = Attend(spec);
  WaitForFile("ready");

  pool_->Stop(attendant, Directory(spec).string());
  pool_->Stop(attendant, Directory(spec).string());

  ASSERT_EQ(WaitToHear(attendant), Heard::Ended);
  EXPECT_EQ(Outcome(spec).signal, SIGKILL);
}

TEST_F(Pool, GoesOnWithAnotherIfOneDies) {
  const AttemptSpec first = ShellCommand("echo x >> ran; touch ready; sleep 1000");
  const int attendant = Attend(first);
  WaitForFile("ready");
  const pid_t pid = Attendants().at(0);
  ::kill(pid, SIGKILL);

  EXPECT_EQ(WaitToHear(attendant), Heard::Gone);

  EXPECT_EQ(InspectSpool(Directory(first)).value().outcome->failure, FailureClass::Crashed);
  EXPECT_TRUE(PrivateFilesLeft().empty());
  const AttemptSpec second = ShellCommand("true");
  EXPECT_EQ(WaitToHear(Attend(second)), Heard::Ended);
  EXPECT_NE(Attendants().at(0), pid);
}

TEST_F(Pool, GoesOnWithAnotherIfOneDiesWithNothingToDo) {
  ASSERT_EQ(WaitToHear(Attend(ShellCommand("true"))), Heard::Ended);
  const pid_t pid = Attendants().at(0);
  ::kill(pid, SIGTERM);
  // Not only its memory but what it had open is gone.
  WaitFor("its end", [&] { return FindProcess(pid).value().state == 'Z'; });
  const AttemptSpec spec = ShellCommand("echo x >> ran");

  EXPECT_EQ(WaitToHear(Attend(spec)), Heard::Ended);

  EXPECT_EQ(Read(InRunDirectory("ran")), "x\n");
  EXPECT_FALSE(FindProcess(pid).has_value()) << "it was waited for";
}

TEST_F(Pool, EndsThoseWithNothingToDo) {
  const int busy = Attend(ShellCommand("while [ ! -e go ]; do sleep 0.01; done"));
  ASSERT_EQ(WaitToHear(Attend(ShellCommand("true"))), Heard::Ended);
  const Instant now{std::chrono::hours(1)};
  pool_->EndIdle(std::chrono::seconds(10), now);
  pool_->EndIdle(std::chrono::seconds(10), now + std::chrono::seconds(9));
  EXPECT_EQ(Attendants().size(), 2U);

  pool_->EndIdle(std::chrono::seconds(10), now + std::chrono::seconds(10));

  WaitFor("one to end", [&] { return Attendants().size() == 1; });
  EXPECT_EQ(PrivateFilesLeft().size(), 1U);
  std::ofstream(InRunDirectory("go")) << "";
  EXPECT_EQ(WaitToHear(busy), Heard::Ended);
}

TEST_F(Pool, AttendantsOutliveItWithTheirAttempts) {
  ASSERT_EQ(WaitToHear(Attend(ShellCommand("true"))), Heard::Ended);
  const AttemptSpec spec =
      ShellCommand("touch ready; while [ ! -e go ]; do sleep 0.01; done; echo done");
  Attend(ShellCommand("true"));
  Attend(spec);
  WaitForFile("ready");

  pool_.reset();

  WaitFor("the other to end", [&] { return Attendants().size() == 1; });
  EXPECT_TRUE(InspectSpool(Directory(spec)).value().running);
  std::ofstream(InRunDirectory("go")) << "";
  WaitFor("its end", [&] { return Attendants().empty(); });
  EXPECT_EQ(Outcome(spec).output, "done");
  EXPECT_TRUE(PrivateFilesLeft().empty());
}

TEST_F(Pool, EndsWithThoseThatHaveNothingToDo) {
  const int first = Attend(ShellCommand("true"));
  const int second = Attend(ShellCommand("true"));
  ASSERT_EQ(WaitToHear(first), Heard::Ended);
  ASSERT_EQ(WaitToHear(second), Heard::Ended);
  EXPECT_EQ(Attendants().size(), 2U);

  pool_.reset();

  EXPECT_TRUE(Attendants().empty());
  EXPECT_TRUE(PrivateFilesLeft().empty());
}

TEST_F(Pool, SaysWhyThereIsNoProgram) {
  pool_.emplace("/no/such/attendant", root_);
  const AttemptSpec spec = ShellCommand("true");
  ASSERT_TRUE(WriteSpec(root_, spec).has_value());

  const Result<int> attendant = pool_->Attend(Directory(spec).string());

  ASSERT_FALSE(attendant.has_value());
  EXPECT_THAT(attendant.error().message,
              HasSubstr("cannot start /no/such/attendant: No such file or directory"));
}

// A program that is none of ours takes no orders.
TEST_F(Pool, SeesAProgramThatDoesNotListen) {
  pool_.emplace("/bin/true", root_);
  const AttemptSpec spec = ShellCommand("true");
  ASSERT_TRUE(WriteSpec(root_, spec).has_value());

  const Result<int> attendant = pool_->Attend(Directory(spec).string());

  if (attendant) {
    EXPECT_EQ(WaitToHear(*attendant), Heard::Gone);
  } else {
    EXPECT_THAT(attendant.error().message, HasSubstr("/bin/true ended as soon as it was started"));
  }
}

}  // namespace
}  // namespace troupe
