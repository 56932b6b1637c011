// Agents that are any program (provider `command`), tasks that are a command or a script, and
// hooks.
//
// A result comes from TROUPE_RESULT_FILE, else from standard output as the result mode says. What
// went wrong comes from the result's `error`, else from the exit code. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/attendant/agent_protocol.h"
#include "worker/attendant/line_splitter.h"

namespace troupe {

// The class an exit has by itself; none: success.
std::optional<FailureClass> ClassOfExit(RunnerKind kind, const ProcessEnd& end);

// "exit status 1: no such host", "signal 9".
std::string DescribeEnd(const ProcessEnd& end, std::string_view last_error_line);

class CommandProtocol : public AgentProtocol {
 public:
  CommandProtocol(RunnerKind kind, ResultMode mode);

  void Read(std::string_view bytes, std::vector<AgentEvent>& events) override;
  Verdict Conclude(const Ending& ending) override;

 private:
  void ReadLine(std::string_view line, std::vector<AgentEvent>& events);
  void ReadJsonlLine(std::string_view line, std::vector<AgentEvent>& events);
  std::string FindResult(const Ending& ending, std::string& problem) const;

  RunnerKind kind_;
  ResultMode mode_;
  LineSplitter lines_;
  std::string last_result_;  // json_last and jsonl: the text of the last one.
  Usage usage_ = {};
};

}  // namespace troupe
