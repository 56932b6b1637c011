// Claude Code, run as `claude -p --output-format stream-json`: one JSON object a line on standard
// output, of which the one of type "result" decides, not the exit code.
//
// Unknown types, unknown fields and lines that are not JSON are ignored. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/attempt.h"
#include "worker/attendant/agent_protocol.h"
#include "worker/attendant/line_splitter.h"

namespace troupe {

// The command line. The prompt comes by standard input.
std::vector<std::string> ClaudeArguments(const AttemptSpec& spec, const std::string& program);

// What it takes from the worker's environment without being told; NAME* stands for all that begin
// so.
const std::vector<std::string>& ClaudeVariables();

class ClaudeProtocol : public AgentProtocol {
 public:
  void Read(std::string_view bytes, std::vector<AgentEvent>& events) override;
  bool Finished() const override { return has_result_; }
  Verdict Conclude(const Ending& ending) override;

 private:
  void ReadLine(std::string_view line, std::vector<AgentEvent>& events);

  LineSplitter lines_;
  bool has_result_ = false;
  Verdict verdict_ = {};  // What the result line said.
  std::string session_;
  std::vector<std::string> denied_;
  std::int64_t limited_until_ = 0;  // Unix seconds; 0: not told.
};

}  // namespace troupe
