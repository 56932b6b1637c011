// A spool of its own and attempts that are carried out by the real program.
//
// At the end of each test no process of its attempts may be left.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/attempt.h"
#include "worker/attendant/spool.h"

namespace troupe {

class AttemptFixture : public testing::Test {
 protected:
  AttemptFixture();
  ~AttemptFixture() override;

  // A command of the shell, with an id and a token that no other attempt of this process has.
  AttemptSpec ShellCommand(const std::string& text);
  // The same as an agent.
  AttemptSpec ShellAgent(const std::string& text, const std::string& prompt = "");
  // The stand-in for claude; `steps`: what it does, see fake_claude.
  AttemptSpec ClaudeAgent(const std::string& steps);

  // For the attendants that are started from here on.
  void SetVariable(const std::string& name, const std::string& value);

  // Writes the spec and starts its attendant; its process id.
  pid_t Start(const AttemptSpec& spec);
  pid_t StartAttendant(const std::filesystem::path& directory);
  // Waits for it to end; its exit status, or -1 for a signal.
  int Wait(pid_t attendant);
  // Sends SIGTERM until it has ended, which takes two of them.
  void EndAtOnce(pid_t attendant);
  // All of it: written, started, ended.
  AttemptOutcome Run(const AttemptSpec& spec);
  AttemptOutcome Outcome(const AttemptSpec& spec);

  std::filesystem::path Directory(const AttemptSpec& spec) const;
  // A file in the run directory, where the commands run.
  std::filesystem::path InRunDirectory(const std::string& name) const;
  std::string Read(const std::filesystem::path& path) const;
  void WaitForFile(const std::string& name) const;
  void WaitFor(const std::string& what, const std::function<bool()>& condition) const;
  // Directories of private files in the spool.
  std::vector<std::string> PrivateFilesLeft() const;
  // Processes that bear the attempt's token.
  std::vector<pid_t> Processes(const AttemptSpec& spec) const;

  std::filesystem::path root_;  // Of the spool.

 private:
  std::filesystem::path base_;
  std::uint32_t next_ = 0;
  std::vector<AttemptSpec> started_;
  std::vector<pid_t> attendants_;
  std::map<std::string, std::string> variables_;
};

// How long `action` took.
std::chrono::milliseconds TimeOf(const std::function<void()>& action);

}  // namespace troupe
