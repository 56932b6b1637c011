#include "worker/attendant/command_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "worker/attendant/json_text.h"

namespace troupe {
namespace {

constexpr std::array<std::string_view, 7> kResultKeys = {
    "text", "structured", "artifacts", "usage", "cost_usd", "session_id", "error"};
constexpr double kRetryAfterMsMax = 1e12;  // 30 years.

std::optional<FailureClass> ClassOfAgentExit(int code) {
  switch (code) {
    case 0:
      return std::nullopt;
    case 64:
    case 65:
    case 66:
      return FailureClass::InvalidRequest;
    case 69:
      return FailureClass::Overloaded;
    case 70:
    case 71:
      return FailureClass::Crashed;
    case 73:
    case 74:
    case 75:
      return FailureClass::Transient;
    case 77:
      return FailureClass::PermissionDenied;
    case 78:
      return FailureClass::Auth;
    case 124:
      return FailureClass::Timeout;
    default:
      return FailureClass::AgentError;
  }
}

bool HasType(const std::string& key, const Json& value) {
  if (value.is_null()) return true;
  if (key == "text" || key == "session_id") return value.is_string();
  if (key == "artifacts") return value.is_array();
  if (key == "usage" || key == "error") return value.is_object();
  if (key == "cost_usd") return value.is_number();
  return true;
}

// {"text":…, "structured":…, …}: only these keys, at least one of them.
bool IsResultObject(const Json& json) {
  if (!json.is_object() || json.empty()) return false;
  for (const auto& [key, value] : json.items()) {
    const bool known = std::find(kResultKeys.begin(), kResultKeys.end(), key) != kResultKeys.end();
    if (!known || !HasType(key, value)) return false;
  }
  return true;
}

void ReadUsage(const Json& json, Usage& usage) {
  if (Member(json, "input") != nullptr) usage.input_tokens = CountMember(json, "input");
  if (Member(json, "output") != nullptr) usage.output_tokens = CountMember(json, "output");
  if (Member(json, "cost_usd") != nullptr) usage.cost_usd = NumberMember(json, "cost_usd");
}

void ReadError(const Json& error, Verdict& verdict) {
  const std::string word = StringMember(error, "class");
  const std::string message = StringMember(error, "message");
  const std::optional<FailureClass> failure = FailureClassFromName(word);
  const bool may_tell = failure && Traits(*failure).told;
  verdict.failure = may_tell ? *failure : FailureClass::AgentError;
  verdict.message = message;
  if (!may_tell && !word.empty()) {
    verdict.message = message.empty() ? word : fmt::format("{}: {}", word, message);
  }
  if (verdict.failure == FailureClass::RateLimited) {
    const double wait = std::clamp(NumberMember(error, "retry_after_ms"), 0.0, kRetryAfterMsMax);
    verdict.retry_after = Seconds(wait / 1000);
  }
}

// `from_file`: a text that is missing is standard output.
void ReadResult(const Json& json, bool from_file, Verdict& verdict) {
  if (!IsResultObject(json)) {
    verdict.result_json = CompactJson(json);
    verdict.text = verdict.result_json;
    return;
  }
  if (Member(json, "text") != nullptr) {
    verdict.text = StringMember(json, "text");
  } else if (!from_file) {
    verdict.text = "";
  }
  if (const Json* structured = Member(json, "structured")) {
    verdict.result_json = CompactJson(*structured);
  }
  if (const Json* usage = Member(json, "usage")) ReadUsage(*usage, verdict.usage);
  if (Member(json, "cost_usd") != nullptr) verdict.usage.cost_usd = NumberMember(json, "cost_usd");
  verdict.session = StringMember(json, "session_id");
  if (const Json* error = Member(json, "error")) ReadError(*error, verdict);
}

}  // namespace

std::optional<FailureClass> ClassOfExit(RunnerKind kind, const ProcessEnd& end) {
  const int code = end.exit_code;
  if (kind == RunnerKind::Hook) {
    if (end.signal == 0 && code == 0) return std::nullopt;
    return FailureClass::HookFailed;
  }
  if (end.signal != 0 || (code >= 129 && code <= 192)) return FailureClass::Crashed;
  if (code == 126 || code == 127) return FailureClass::SpawnFailed;
  if (kind == RunnerKind::AgentCommand) return ClassOfAgentExit(code);
  if (code == 0) return std::nullopt;
  return FailureClass::AgentError;
}

std::string DescribeEnd(const ProcessEnd& end, std::string_view last_error_line) {
  std::string text = end.signal != 0 ? fmt::format("signal {}", end.signal)
                                     : fmt::format("exit status {}", end.exit_code);
  if (!last_error_line.empty()) text += fmt::format(": {}", last_error_line);
  return text;
}

CommandProtocol::CommandProtocol(RunnerKind kind, ResultMode mode) : kind_(kind), mode_(mode) {}

void CommandProtocol::Read(std::string_view bytes, std::vector<AgentEvent>& events) {
  if (mode_ != ResultMode::JsonLast && mode_ != ResultMode::Jsonl) return;
  lines_.Feed(bytes, [&](std::string_view line) { ReadLine(line, events); });
}

void CommandProtocol::ReadLine(std::string_view line, std::vector<AgentEvent>& events) {
  if (mode_ == ResultMode::Jsonl) {
    ReadJsonlLine(line, events);
    return;
  }
  const std::size_t first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos || line[first] != '{') return;
  if (ParseJson(line)) last_result_ = line;
}

void CommandProtocol::ReadJsonlLine(std::string_view line, std::vector<AgentEvent>& events) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
  std::optional<Json> json = ParseJson(line);
  const std::string type = json ? StringMember(*json, "type") : std::string();
  if (type == "progress") {
    events.push_back({.type = "progress",
                      .text = StringMember(*json, "text"),
                      .value = NumberMember(*json, "pct")});
  } else if (type == "usage") {
    ReadUsage(*json, usage_);
  } else if (type == "result") {
    json->erase("type");
    last_result_ = CompactJson(*json);
  } else {
    const std::string text = type == "log" ? StringMember(*json, "text") : std::string(line);
    events.push_back({.type = "log", .text = text});
  }
}

// The text of the result as JSON; empty and a problem: there should be one. Empty without: none is
// asked for.
std::string CommandProtocol::FindResult(const Ending& ending, std::string& problem) const {
  if (kind_ == RunnerKind::Hook) return "";
  problem = ending.result_file_problem;
  if (!problem.empty()) return "";
  if (ending.result_file) return *ending.result_file;
  switch (mode_) {
    case ResultMode::Text:
      return "";
    case ResultMode::Json:
      if (ending.standard_output) return std::string(*ending.standard_output);
      problem = "standard output is too long to be read as JSON";
      return "";
    case ResultMode::JsonLast:
      if (last_result_.empty()) problem = "no line of standard output is a JSON object";
      return last_result_;
    case ResultMode::Jsonl:
      if (last_result_.empty()) problem = "standard output has no line of type \"result\"";
      return last_result_;
  }
  return "";
}

Verdict CommandProtocol::Conclude(const Ending& ending) {
  std::vector<AgentEvent> late;
  lines_.Finish([&](std::string_view line) { ReadLine(line, late); });

  Verdict verdict;
  verdict.usage = usage_;
  std::string problem;
  const std::string text = FindResult(ending, problem);
  const bool asked =
      kind_ != RunnerKind::Hook && (mode_ != ResultMode::Text || ending.result_file.has_value());
  if (problem.empty() && asked) {
    if (const std::optional<Json> json = ParseJson(text)) {
      ReadResult(*json, ending.result_file.has_value(), verdict);
    } else {
      problem =
          ending.result_file ? "the result file does not hold JSON" : "standard output is not JSON";
    }
  }
  const bool told = verdict.failure.has_value();
  if (!told) verdict.failure = ClassOfExit(kind_, ending.process);
  if (!verdict.failure && !problem.empty()) {
    verdict.failure = FailureClass::SchemaFailed;
    verdict.message = problem;
  }
  if (verdict.failure && verdict.message.empty()) {
    verdict.message = DescribeEnd(ending.process, ending.last_error_line);
  }
  return verdict;
}

}  // namespace troupe
