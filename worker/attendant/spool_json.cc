// The lines of the spool's files as JSON. A field that is not there has its default, and one that
// is not known is ignored: the daemon and the attendant may be of different versions.
#include <fmt/format.h>

#include <array>
#include <exception>
#include <nlohmann/json.hpp>
#include <string_view>

#include "worker/attendant/collection.h"
#include "worker/attendant/spool.h"
#include "worker/attendant/spool_record.h"

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr std::array<std::string_view, kRunnerKindCount> kKinds = {
    "agent_command", "claude", "mock", "command", "script", "hook", "collection"};
constexpr std::array<std::string_view, 4> kPromptModes = {"none", "stdin", "arg", "file"};
constexpr std::array<std::string_view, 4> kResultModes = {"text", "json", "json_last", "jsonl"};
constexpr std::array<std::string_view, 3> kTruncations = {"head", "tail", "both"};
constexpr std::array<std::string_view, 2> kSubjects = {"task", "hook"};

template <class Enum, std::size_t size>
std::string_view Word(const std::array<std::string_view, size>& words, Enum value) {
  return words.at(static_cast<std::size_t>(value));
}

// Readers: `json[key]` into a variable, if it is there. They throw on another type.
template <class T>
void Get(const Json& json, const char* key, T& to) {
  if (const auto it = json.find(key); it != json.end()) to = it->get<T>();
}

void Get(const Json& json, const char* key, Duration& to) {
  std::int64_t count = to.count();
  Get(json, key, count);
  to = Duration(count);
}

void Get(const Json& json, const char* key, Instant& to) {
  std::int64_t count = to.time_since_epoch().count();
  Get(json, key, count);
  to = Instant(Duration(count));
}

void Get(const Json& json, const char* key, std::optional<FailureClass>& to) {
  std::string name;
  Get(json, key, name);
  if (name.empty()) return;
  to = FailureClassFromName(name);
  if (!to) throw std::invalid_argument("no such failure class: " + name);
}

template <class Enum, std::size_t size>
void Get(const Json& json, const char* key, const std::array<std::string_view, size>& words,
         Enum& to) {
  const auto it = json.find(key);
  if (it == json.end()) return;
  const std::string word = it->get<std::string>();
  for (std::size_t i = 0; i < size; ++i) {
    if (words[i] == word) {
      to = static_cast<Enum>(i);
      return;
    }
  }
  throw std::invalid_argument(fmt::format("{}: \"{}\"", key, word));
}

const Json& Part(const Json& json, const char* key) {
  static const Json kNothing = Json::object();
  const auto it = json.find(key);
  return it == json.end() ? kNothing : *it;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::int64_t Count(Instant instant) { return instant.time_since_epoch().count(); }
std::string NameOrEmpty(const std::optional<FailureClass>& failure) {
  return failure ? std::string(Name(*failure)) : "";
}

Json IdJson(const AttemptId& id) {
  return {{"run", id.run.value},
          {"subject", Word(kSubjects, id.subject)},
          {"index", id.index},
          {"number", id.number}};
}

void Get(const Json& json, const char* key, AttemptId& id) {
  const Json& part = Part(json, key);
  Get(part, "run", id.run.value);
  Get(part, "subject", kSubjects, id.subject);
  Get(part, "index", id.index);
  Get(part, "number", id.number);
}

// Writers: what differs from the default. A part of nothing but defaults is left out with its name.
template <class T>
void Put(Json& json, const char* key, const T& value, const T& otherwise) {
  if (value != otherwise) json[key] = value;
}

void Put(Json& json, const char* key, Duration value, Duration otherwise) {
  Put(json, key, value.count(), otherwise.count());
}

template <class Enum, std::size_t size>
void Put(Json& json, const char* key, const std::array<std::string_view, size>& words, Enum value,
         Enum otherwise) {
  if (value != otherwise) json[key] = Word(words, value);
}

void PutPart(Json& json, const char* key, Json part) {
  if (!part.empty()) json[key] = std::move(part);
}

Json LimitsJson(const OutputLimits& limits) {
  const OutputLimits none;
  Json json = Json::object();
  Put(json, "stdout_bytes", limits.stdout_bytes, none.stdout_bytes);
  Put(json, "stderr_bytes", limits.stderr_bytes, none.stderr_bytes);
  Put(json, "combined_bytes", limits.combined_bytes, none.combined_bytes);
  Put(json, "truncation", kTruncations, limits.truncation, none.truncation);
  return json;
}

Json ClaudeJson(const ClaudeOptions& claude) {
  const ClaudeOptions none;
  Json json = Json::object();
  Put(json, "system_prompt", claude.system_prompt, none.system_prompt);
  Put(json, "permission_mode", claude.permission_mode, none.permission_mode);
  Put(json, "tools", claude.tools, none.tools);
  Put(json, "disallowed_tools", claude.disallowed_tools, none.disallowed_tools);
  Put(json, "allowed_directories", claude.allowed_directories, none.allowed_directories);
  Put(json, "max_turns", claude.max_turns, none.max_turns);
  return json;
}

Json MockJson(const MockOptions& mock) {
  const MockOptions none;
  Json json = Json::object();
  Put(json, "fail", NameOrEmpty(mock.fail), NameOrEmpty(none.fail));
  Put(json, "retry_after_us", mock.retry_after, none.retry_after);
  Put(json, "sleep_us", mock.sleep, none.sleep);
  Put(json, "output", mock.output, none.output);
  Put(json, "result_json", mock.result_json, none.result_json);
  return json;
}

Json UsageJson(const Usage& usage) {
  const Usage none;
  Json json = Json::object();
  Put(json, "input_tokens", usage.input_tokens, none.input_tokens);
  Put(json, "output_tokens", usage.output_tokens, none.output_tokens);
  Put(json, "cost_usd", usage.cost_usd, none.cost_usd);
  return json;
}

void ReadCommand(const Json& json, AttemptSpec& spec) {
  Get(json, "shell", spec.shell);
  Get(json, "argv", spec.argv);
  Get(json, "script_content", spec.script_content);
  Get(json, "script_file", spec.script_file);
  Get(json, "pass_env", spec.pass_env);
  Get(json, "env", spec.env);
  Get(json, "run_dir", spec.run_dir);
  Get(json, "working_dir", spec.working_dir);
  Get(json, "create_working_dir", spec.create_working_dir);
}

void ReadPromptAndResult(const Json& json, AttemptSpec& spec) {
  Get(json, "prompt_mode", kPromptModes, spec.prompt_mode);
  Get(json, "result_mode", kResultModes, spec.result_mode);
  Get(json, "prompt", spec.prompt);
  Get(json, "inputs_json", spec.inputs_json);
  Get(json, "capture_stdout", spec.capture_stdout);
  Get(json, "capture_stderr", spec.capture_stderr);
  Get(json, "output_path", spec.output_path);
  Get(json, "timeout_us", spec.timeout);
  Get(json, "silence_us", spec.silence);
}

void ReadParts(const Json& json, AttemptSpec& spec) {
  const Json& limits = Part(json, "limits");
  Get(limits, "stdout_bytes", spec.limits.stdout_bytes);
  Get(limits, "stderr_bytes", spec.limits.stderr_bytes);
  Get(limits, "combined_bytes", spec.limits.combined_bytes);
  Get(limits, "truncation", kTruncations, spec.limits.truncation);
  const Json& claude = Part(json, "claude");
  Get(claude, "system_prompt", spec.claude.system_prompt);
  Get(claude, "permission_mode", spec.claude.permission_mode);
  Get(claude, "tools", spec.claude.tools);
  Get(claude, "disallowed_tools", spec.claude.disallowed_tools);
  Get(claude, "allowed_directories", spec.claude.allowed_directories);
  Get(claude, "max_turns", spec.claude.max_turns);
  const Json& mock = Part(json, "mock");
  Get(mock, "fail", spec.mock.fail);
  Get(mock, "retry_after_us", spec.mock.retry_after);
  Get(mock, "sleep_us", spec.mock.sleep);
  Get(mock, "output", spec.mock.output);
  Get(mock, "result_json", spec.mock.result_json);
  Get(json, "collection_format", kCollectionFormats, spec.collection_format);
}

// Parses `text` and lets `read` take it apart.
template <class T, class Read>
Result<T> FromJson(const std::string& text, const char* what, Read read) {
  try {
    const Json json = Json::parse(text);
    int version = 0;
    Get(json, "version", version);
    if (version > kVersion) {
      return Error{ErrorCode::TooNew, fmt::format("{} has version {}, known is {}: update troupe",
                                                  what, version, kVersion)};
    }
    T value;
    read(json, value);
    return value;
  } catch (const std::exception& e) {
    return Error{ErrorCode::Corrupt, fmt::format("{} is damaged: {}", what, e.what())};
  }
}

}  // namespace

std::string ToJson(const AttemptSpec& spec) {
  const AttemptSpec none;
  Json json = {{"version", kVersion}, {"id", IdJson(spec.id)}};
  Put(json, "token", spec.token, none.token);
  Put(json, "kind", kKinds, spec.kind, none.kind);
  Put(json, "task", spec.task, none.task);
  Put(json, "agent", spec.agent, none.agent);
  Put(json, "model", spec.model, none.model);
  Put(json, "shell", spec.shell, none.shell);
  Put(json, "argv", spec.argv, none.argv);
  Put(json, "script_content", spec.script_content, none.script_content);
  Put(json, "script_file", spec.script_file, none.script_file);
  Put(json, "pass_env", spec.pass_env, none.pass_env);
  Put(json, "env", spec.env, none.env);
  Put(json, "run_dir", spec.run_dir, none.run_dir);
  Put(json, "working_dir", spec.working_dir, none.working_dir);
  Put(json, "create_working_dir", spec.create_working_dir, none.create_working_dir);
  Put(json, "prompt_mode", kPromptModes, spec.prompt_mode, none.prompt_mode);
  Put(json, "result_mode", kResultModes, spec.result_mode, none.result_mode);
  Put(json, "prompt", spec.prompt, none.prompt);
  Put(json, "inputs_json", spec.inputs_json, none.inputs_json);
  Put(json, "capture_stdout", spec.capture_stdout, none.capture_stdout);
  Put(json, "capture_stderr", spec.capture_stderr, none.capture_stderr);
  Put(json, "output_path", spec.output_path, none.output_path);
  Put(json, "timeout_us", spec.timeout, none.timeout);
  Put(json, "silence_us", spec.silence, none.silence);
  PutPart(json, "limits", LimitsJson(spec.limits));
  PutPart(json, "claude", ClaudeJson(spec.claude));
  PutPart(json, "mock", MockJson(spec.mock));
  Put(json, "collection_format", kCollectionFormats, spec.collection_format,
      none.collection_format);
  return Dump(json);
}

Result<AttemptSpec> SpecFromJson(const std::string& text) {
  return FromJson<AttemptSpec>(text, "the spec", [](const Json& json, AttemptSpec& spec) {
    Get(json, "id", spec.id);
    Get(json, "token", spec.token);
    Get(json, "kind", kKinds, spec.kind);
    Get(json, "task", spec.task);
    Get(json, "agent", spec.agent);
    Get(json, "model", spec.model);
    ReadCommand(json, spec);
    ReadPromptAndResult(json, spec);
    ReadParts(json, spec);
  });
}

std::string ToJson(const AttemptOutcome& outcome) {
  const AttemptOutcome none;
  Json json = {{"version", kVersion}, {"id", IdJson(outcome.id)}};
  Put(json, "failure", NameOrEmpty(outcome.failure), NameOrEmpty(none.failure));
  Put(json, "message", outcome.message, none.message);
  Put(json, "output", outcome.output, none.output);
  Put(json, "error_output", outcome.error_output, none.error_output);
  Put(json, "result_json", outcome.result_json, none.result_json);
  json["started_us"] = Count(outcome.started);
  json["ended_us"] = Count(outcome.ended);
  Put(json, "exit_code", outcome.exit_code, none.exit_code);
  Put(json, "signal", outcome.signal, none.signal);
  Put(json, "retry_after_us", outcome.retry_after, none.retry_after);
  PutPart(json, "usage", UsageJson(outcome.usage));
  Put(json, "session", outcome.session, none.session);
  Put(json, "denied_tools", outcome.denied_tools, none.denied_tools);
  Put(json, "events", outcome.events, none.events);
  Put(json, "never_started", outcome.never_started, none.never_started);
  return Dump(json);
}

Result<AttemptOutcome> OutcomeFromJson(const std::string& text) {
  return FromJson<AttemptOutcome>(text, "the outcome", [](const Json& json, AttemptOutcome& out) {
    Get(json, "id", out.id);
    Get(json, "failure", out.failure);
    Get(json, "message", out.message);
    Get(json, "output", out.output);
    Get(json, "error_output", out.error_output);
    Get(json, "result_json", out.result_json);
    Get(json, "started_us", out.started);
    Get(json, "ended_us", out.ended);
    Get(json, "exit_code", out.exit_code);
    Get(json, "signal", out.signal);
    Get(json, "retry_after_us", out.retry_after);
    const Json& usage = Part(json, "usage");
    Get(usage, "input_tokens", out.usage.input_tokens);
    Get(usage, "output_tokens", out.usage.output_tokens);
    Get(usage, "cost_usd", out.usage.cost_usd);
    Get(json, "session", out.session);
    Get(json, "denied_tools", out.denied_tools);
    Get(json, "events", out.events);
    Get(json, "never_started", out.never_started);
  });
}

std::string ToJson(const StartRecord& start) {
  const Json json = {{"version", kVersion},
                     {"attendant", start.attendant},
                     {"start_ticks", start.start_ticks},
                     {"boot_id", start.boot_id},
                     {"started_us", Count(start.started)},
                     {"token", start.token},
                     {"cgroup", start.cgroup},
                     {"private_files", start.private_files}};
  return Dump(json);
}

Result<StartRecord> StartFromJson(const std::string& text) {
  return FromJson<StartRecord>(text, "the start", [](const Json& json, StartRecord& start) {
    Get(json, "attendant", start.attendant);
    Get(json, "start_ticks", start.start_ticks);
    Get(json, "boot_id", start.boot_id);
    Get(json, "started_us", start.started);
    Get(json, "token", start.token);
    Get(json, "cgroup", start.cgroup);
    Get(json, "private_files", start.private_files);
  });
}

}  // namespace troupe
