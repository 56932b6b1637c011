#include "worker/attendant/claude_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "worker/attendant/command_protocol.h"
#include "worker/attendant/json_text.h"

namespace troupe {
namespace {

constexpr std::size_t kDeniedMax = 1000;

void AddOnce(std::vector<std::string>& names, const std::string& name) {
  if (name.empty() || names.size() >= kDeniedMax) return;
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

std::string Joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ","));
}

// "Bash(git:*)" is a rule about Bash; what is to be made available is Bash.
std::vector<std::string> NamesOfTools(const std::vector<std::string>& tools) {
  std::vector<std::string> names;
  for (const std::string& tool : tools) {
    const std::string name = tool.substr(0, tool.find('('));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

FailureClass ClassOfStatus(int status, const std::string& terminal_reason) {
  if (status == 429) return FailureClass::RateLimited;
  if (status == 503 || status == 529) return FailureClass::Overloaded;
  if (status == 401 || status == 403) return FailureClass::Auth;
  if (status == 402) return FailureClass::Billing;
  if (terminal_reason == "prompt_too_long") return FailureClass::ContextOverflow;
  if (status == 408 || status == 409) return FailureClass::Transient;
  if (status >= 400 && status < 500) return FailureClass::InvalidRequest;
  return FailureClass::Transient;
}

std::optional<FailureClass> ClassOfResult(const Json& json) {
  const std::string subtype = StringMember(json, "subtype");
  if (subtype == "error_max_turns") return FailureClass::MaxTurns;
  if (subtype == "error_max_budget_usd") return FailureClass::Budget;
  if (subtype == "error_max_structured_output_retries") return FailureClass::SchemaFailed;
  if (subtype.starts_with("error_")) return FailureClass::AgentError;
  if (!BoolMember(json, "is_error")) return std::nullopt;
  const double status = NumberMember(json, "api_error_status");
  const bool plausible = status >= 100 && status < 1000;
  return ClassOfStatus(plausible ? static_cast<int>(status) : 0,
                       StringMember(json, "terminal_reason"));
}

std::string MessageOfResult(const Json& json) {
  std::string message = StringMember(json, "result");
  const Json* errors = Member(json, "errors");
  if (message.empty() && errors != nullptr && errors->is_array()) {
    std::vector<std::string> texts;
    for (const Json& error : *errors) {
      if (error.is_string()) texts.push_back(error.get<std::string>());
      if (error.is_object()) texts.push_back(StringMember(error, "message"));
    }
    message = fmt::format("{}", fmt::join(texts, "; "));
  }
  if (message.empty()) message = StringMember(json, "subtype");
  return message;
}

// `modelUsage` counts the sub-agents too, `usage` only the main loop.
Usage UsageOfResult(const Json& json) {
  Usage usage;
  usage.cost_usd = std::max(0.0, NumberMember(json, "total_cost_usd"));
  const Json* models = Member(json, "modelUsage");
  if (models != nullptr && models->is_object() && !models->empty()) {
    for (const auto& [model, count] : models->items()) {
      usage.input_tokens += CountMember(count, "inputTokens") +
                            CountMember(count, "cacheReadInputTokens") +
                            CountMember(count, "cacheCreationInputTokens");
      usage.output_tokens += CountMember(count, "outputTokens");
    }
    return usage;
  }
  if (const Json* count = Member(json, "usage")) {
    usage.input_tokens = CountMember(*count, "input_tokens") +
                         CountMember(*count, "cache_read_input_tokens") +
                         CountMember(*count, "cache_creation_input_tokens");
    usage.output_tokens = CountMember(*count, "output_tokens");
  }
  return usage;
}

Verdict VerdictOfResult(const Json& json) {
  Verdict verdict;
  verdict.failure = ClassOfResult(json);
  verdict.text = StringMember(json, "result");
  if (verdict.failure) verdict.message = MessageOfResult(json);
  if (const Json* structured = Member(json, "structured_output")) {
    verdict.result_json = CompactJson(*structured);
  }
  verdict.usage = UsageOfResult(json);
  const Json* denials = Member(json, "permission_denials");
  if (denials != nullptr && denials->is_array()) {
    for (const Json& denial : *denials) {
      AddOnce(verdict.denied_tools, StringMember(denial, "tool_name"));
    }
  }
  return verdict;
}

void TellMessage(const Json& json, std::vector<AgentEvent>& events) {
  const Json* message = Member(json, "message");
  const Json* content = message == nullptr ? nullptr : Member(*message, "content");
  if (content == nullptr || !content->is_array()) return;
  for (const Json& block : *content) {
    const std::string type = StringMember(block, "type");
    if (type == "text") {
      events.push_back({.type = "text", .text = StringMember(block, "text")});
    } else if (type == "tool_use") {
      events.push_back({.type = "tool", .text = StringMember(block, "name")});
    }
  }
}

void TellRetry(const Json& json, std::vector<AgentEvent>& events) {
  events.push_back({.type = "retry",
                    .text = fmt::format(
                        "{} (status {}), attempt {} of {}, in {} ms", StringMember(json, "error"),
                        CountMember(json, "error_status"), CountMember(json, "attempt"),
                        CountMember(json, "max_retries"), CountMember(json, "retry_delay_ms"))});
}

}  // namespace

std::vector<std::string> ClaudeArguments(const AttemptSpec& spec, const std::string& program) {
  const ClaudeOptions& claude = spec.claude;
  std::vector<std::string> argv = {
      program,        "-p",       "--output-format",   "stream-json",         "--verbose",
      "--session-id", spec.token, "--permission-mode", claude.permission_mode};
  const auto add = [&](const char* option, const std::string& value) {
    argv.push_back(option);
    argv.push_back(value);
  };
  const auto add_list = [&](const char* option, const std::vector<std::string>& values) {
    if (values.empty()) return;
    argv.push_back(option);
    argv.insert(argv.end(), values.begin(), values.end());
  };
  if (!spec.model.empty()) add("--model", spec.model);
  if (!claude.system_prompt.empty()) add("--append-system-prompt", claude.system_prompt);
  if (!claude.tools.empty()) add("--tools", Joined(NamesOfTools(claude.tools)));
  add_list("--allowedTools", claude.tools);
  add_list("--disallowedTools", claude.disallowed_tools);
  for (const std::string& directory : claude.allowed_directories) add("--add-dir", directory);
  if (claude.max_turns > 0) add("--max-turns", fmt::format("{}", claude.max_turns));
  return argv;
}

const std::vector<std::string>& ClaudeVariables() {
  static const std::vector<std::string> kVariables = {
      "HOME",        "USER",        "ANTHROPIC_*",   "CLAUDE_CONFIG_DIR",
      "HTTP_PROXY",  "HTTPS_PROXY", "NO_PROXY",      "http_proxy",
      "https_proxy", "no_proxy",    "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"};
  return kVariables;
}

void ClaudeProtocol::Read(std::string_view bytes, std::vector<AgentEvent>& events) {
  lines_.Feed(bytes, [&](std::string_view line) { ReadLine(line, events); });
}

void ClaudeProtocol::ReadLine(std::string_view line, std::vector<AgentEvent>& events) {
  const std::optional<Json> json = ParseJson(line);
  if (!json || !json->is_object()) return;
  const std::string type = StringMember(*json, "type");
  const std::string subtype = StringMember(*json, "subtype");
  if (const std::string session = StringMember(*json, "session_id"); !session.empty()) {
    session_ = session;
  }
  if (type == "result") {
    has_result_ = true;
    verdict_ = VerdictOfResult(*json);
  } else if (type == "assistant") {
    TellMessage(*json, events);
  } else if (type == "system" && subtype == "api_retry") {
    TellRetry(*json, events);
  } else if (type == "system" && subtype == "permission_denied") {
    AddOnce(denied_, StringMember(*json, "tool_name"));
    events.push_back({.type = "denied", .text = StringMember(*json, "tool_name")});
  } else if (type == "rate_limit_event") {
    const Json* info = Member(*json, "rate_limit_info");
    if (info == nullptr || StringMember(*info, "status") != "rejected") return;
    limited_until_ = static_cast<std::int64_t>(CountMember(*info, "resetsAt"));
    events.push_back({.type = "rate_limit", .text = StringMember(*info, "rateLimitType")});
  }
}

Verdict ClaudeProtocol::Conclude(const Ending& ending) {
  std::vector<AgentEvent> late;
  lines_.Finish([&](std::string_view line) { ReadLine(line, late); });

  Verdict verdict = verdict_;
  verdict.session = session_;
  for (const std::string& tool : denied_) AddOnce(verdict.denied_tools, tool);
  if (!has_result_) {
    const bool crashed = ending.process.signal != 0 || ending.process.exit_code == 0;
    verdict.failure = crashed ? FailureClass::Crashed : FailureClass::AgentError;
    verdict.message = "no result; " + DescribeEnd(ending.process, ending.last_error_line);
    verdict.text = "";
  }
  if (verdict.failure == FailureClass::RateLimited && limited_until_ != 0) {
    const auto now =
        std::chrono::duration_cast<std::chrono::seconds>(ending.now.time_since_epoch());
    const std::int64_t wait = std::min<std::int64_t>(limited_until_ - now.count(), 1'000'000'000);
    verdict.retry_after = std::chrono::seconds(std::max<std::int64_t>(wait, 0));
  }
  return verdict;
}

}  // namespace troupe
