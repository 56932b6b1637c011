// Nothing of an attempt survives, however it tries: with a cgroup and without.
#include "worker/attendant/process_tree.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tests/worker/attendant/attempt_fixture.h"
#include "worker/attendant/process_table.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;

class ProcessTreeTest : public AttemptFixture, public testing::WithParamInterface<const char*> {
 protected:
  ProcessTreeTest() { SetVariable("TROUPE_CGROUP", GetParam()); }

  AttemptSpec Python(const std::string& text) {
    AttemptSpec spec = ShellCommand("");
    spec.kind = RunnerKind::Script;
    spec.shell = false;
    spec.argv = {"/usr/bin/python3", "-S", "-E"};
    spec.script_content = "import os, signal, sys, time\n" + text;
    return spec;
  }
  // Processes that have their number, as text, in a file of the run directory and still live.
  bool AnyAlive(const std::string& name) {
    std::ifstream file(InRunDirectory(name));
    for (pid_t pid = 0; file >> pid;) {
      const auto process = FindProcess(pid);
      if (process && process->state != 'Z') return true;
    }
    return false;
  }
};

INSTANTIATE_TEST_SUITE_P(Cgroup, ProcessTreeTest, testing::Values("auto", "off"),
                         [](const auto& value) { return std::string(value.param); });

TEST_P(ProcessTreeTest, EndsAChildInTheBackground) {
  const AttemptSpec spec = ShellCommand("sleep 1000 & echo $! > pids; echo done");

  AttemptOutcome outcome;
  const milliseconds time = TimeOf([&] { outcome = Run(spec); });

  EXPECT_EQ(outcome.failure, std::nullopt);
  EXPECT_EQ(outcome.output, "done");
  EXPECT_FALSE(AnyAlive("pids"));
  EXPECT_GE(time, milliseconds(1900)) << "it has 2 s to end by itself";
}

TEST_P(ProcessTreeTest, WaitsForAChildThatEndsSoon) {
  const AttemptOutcome outcome = Run(ShellCommand("(sleep 0.3; echo late) & echo early"));

  EXPECT_EQ(outcome.output, "early\nlate");
}

TEST_P(ProcessTreeTest, EndsADaemonWithACleanEnvironment) {
  // Its parents are gone, it has a session of its own, no token, no output and ignores SIGTERM.
  const AttemptSpec spec = ShellCommand(
      "env -i setsid /bin/sh -c \"trap '' TERM; (trap '' TERM; env -i /bin/sh -c "
      "'trap \\\"\\\" TERM; echo \\$\\$ > pids; while true; do sleep 1; done') & \" "
      ">/dev/null 2>&1 </dev/null; while [ ! -s pids ]; do sleep 0.01; done");

  EXPECT_EQ(Run(spec).failure, std::nullopt);

  EXPECT_FALSE(Read(InRunDirectory("pids")).empty());
  EXPECT_FALSE(AnyAlive("pids"));
}

TEST_P(ProcessTreeTest, EndsThemAllWhenStopped) {
  const AttemptSpec spec = Python(
      "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
      "for i in range(5):\n"
      "  if os.fork() == 0:\n"
      "    os.setsid()\n"
      "    if os.fork(): os._exit(0)\n"
      "    open('pids', 'a').write(f'{os.getpid()}\\n')\n"
      "    time.sleep(1000)\n"
      "while open('pids', 'a+').tell() == 0 or len(open('pids').readlines()) < 5: time.sleep(.01)\n"
      "open('ready', 'w')\n"
      "time.sleep(1000)\n");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");
  EXPECT_EQ(Processes(spec).size(), 6U);

  EndAtOnce(attendant);

  EXPECT_EQ(Outcome(spec).failure, FailureClass::Cancelled);
  EXPECT_FALSE(AnyAlive("pids"));
}

TEST_P(ProcessTreeTest, TellsDescendantsInOtherSessionsToStop) {
  const AttemptSpec spec = ShellCommand(
      "setsid sh -c 'trap \"echo told; exit\" TERM; touch ready; while true; do sleep 0.05; done'; "
      "true");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");

  ::kill(attendant, SIGTERM);
  EXPECT_EQ(Wait(attendant), 0);

  EXPECT_EQ(Outcome(spec).output, "told");
}

TEST_P(ProcessTreeTest, EndsAProcessThatForksFasterThanItCanBeFound) {
  // Each generation starts the next in a new session and dies.
  const AttemptSpec spec = Python(
      "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
      "def comet():\n"
      "  n = 0\n"
      "  while True:\n"
      "    if os.fork(): os._exit(0)\n"
      "    os.setsid()\n"
      "    n += 1\n"
      "    if n == 50: open('ready', 'w')\n"
      "    if n == 1000000: os._exit(0)\n"
      "if os.fork() == 0: comet()\n"
      "time.sleep(1000)\n");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");

  EndAtOnce(attendant);

  EXPECT_TRUE(Processes(spec).empty());
}

TEST_P(ProcessTreeTest, EndsAFamilyThatKeepsItsSize) {
  // Every one of them starts a new one for each that has gone.
  const AttemptSpec spec = Python(
      "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
      "def member(depth):\n"
      "  os.setpgid(0, 0)\n"
      "  for i in range(100000):\n"
      "    if depth < 4:\n"
      "      for k in range(2):\n"
      "        if os.fork() == 0: member(depth + 1)\n"
      "      if depth == 3: open('ready', 'w')\n"
      "      os.wait()\n"
      "    else: time.sleep(1000)\n"
      "  os._exit(0)\n"
      "if os.fork() == 0: member(0)\n"
      "time.sleep(1000)\n");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");

  EndAtOnce(attendant);

  EXPECT_TRUE(Processes(spec).empty());
}

TEST_P(ProcessTreeTest, LeavesNoCgroupBehind) {
  const AttemptSpec spec = ShellCommand("cat /proc/self/cgroup; sleep 1000 & true");
  const pid_t attendant = Start(spec);
  const std::uint64_t ticks = FindProcess(attendant).value().start_ticks;
  const std::string name = "troupe-" + std::to_string(attendant) + "-" + std::to_string(ticks);
  EXPECT_EQ(Wait(attendant), 0);

  const bool had_one = Outcome(spec).output.find(name) != std::string::npos;
  EXPECT_FALSE(std::filesystem::exists(CgroupPath(name)));
  if (std::string(GetParam()) == "off") {
    EXPECT_FALSE(had_one);
  } else if (!had_one) {
    GTEST_SKIP() << "no cgroup may be made here";
  }
}

TEST_P(ProcessTreeTest, EndsItsChildIfTheAttendantIsKilled) {
  const AttemptSpec spec = ShellCommand("echo $$ > pids; touch ready; exec sleep 1000");
  const pid_t attendant = Start(spec);
  WaitForFile("ready");

  ::kill(attendant, SIGKILL);
  Wait(attendant);

  WaitFor("the kernel to end it", [&] { return !AnyAlive("pids"); });
}

// The signals that are sent to `pid` and blocked there.
std::string Pending(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; file >> word;) {
    if (word == "ShdPnd:" && file >> word) return word;
  }
  return "?";
}

TEST(SignalProcess, SparesAnotherProcessWithTheSameNumber) {
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  Process process = FindProcess(child).value();

  process.start_ticks -= 1;
  SignalProcess(process, SIGUSR1);
  EXPECT_EQ(Pending(child), "0000000000000000");

  process.start_ticks += 1;
  SignalProcess(process, SIGUSR1);
  EXPECT_EQ(Pending(child), "0000000000000200");

  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::sigprocmask(SIG_UNBLOCK, &blocked, nullptr);
}

}  // namespace
}  // namespace troupe
