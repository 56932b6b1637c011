// The files of the spool as JSON. A field that is not there has its default, and one that is not
// known is ignored: the daemon and the attendant may be of different versions.
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
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
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

Json LimitsJson(const OutputLimits& limits) {
  return {{"stdout_bytes", limits.stdout_bytes},
          {"stderr_bytes", limits.stderr_bytes},
          {"combined_bytes", limits.combined_bytes},
          {"truncation", Word(kTruncations, limits.truncation)}};
}

Json ClaudeJson(const ClaudeOptions& claude) {
  return {{"system_prompt", claude.system_prompt},
          {"permission_mode", claude.permission_mode},
          {"tools", claude.tools},
          {"disallowed_tools", claude.disallowed_tools},
          {"allowed_directories", claude.allowed_directories},
          {"max_turns", claude.max_turns}};
}

Json MockJson(const MockOptions& mock) {
  return {{"fail", NameOrEmpty(mock.fail)},
          {"retry_after_us", mock.retry_after.count()},
          {"sleep_us", mock.sleep.count()},
          {"output", mock.output},
          {"result_json", mock.result_json}};
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
  return Dump({{"version", kVersion},
               {"id", IdJson(spec.id)},
               {"token", spec.token},
               {"kind", Word(kKinds, spec.kind)},
               {"task", spec.task},
               {"agent", spec.agent},
               {"model", spec.model},
               {"shell", spec.shell},
               {"argv", spec.argv},
               {"script_content", spec.script_content},
               {"script_file", spec.script_file},
               {"pass_env", spec.pass_env},
               {"env", spec.env},
               {"run_dir", spec.run_dir},
               {"working_dir", spec.working_dir},
               {"create_working_dir", spec.create_working_dir},
               {"prompt_mode", Word(kPromptModes, spec.prompt_mode)},
               {"result_mode", Word(kResultModes, spec.result_mode)},
               {"prompt", spec.prompt},
               {"inputs_json", spec.inputs_json},
               {"capture_stdout", spec.capture_stdout},
               {"capture_stderr", spec.capture_stderr},
               {"output_path", spec.output_path},
               {"timeout_us", spec.timeout.count()},
               {"silence_us", spec.silence.count()},
               {"limits", LimitsJson(spec.limits)},
               {"claude", ClaudeJson(spec.claude)},
               {"mock", MockJson(spec.mock)},
               {"collection_format", Word(kCollectionFormats, spec.collection_format)}});
}

Result<AttemptSpec> SpecFromJson(const std::string& text) {
  return FromJson<AttemptSpec>(text, "spec.json", [](const Json& json, AttemptSpec& spec) {
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
  return Dump({{"version", kVersion},
               {"id", IdJson(outcome.id)},
               {"failure", NameOrEmpty(outcome.failure)},
               {"message", outcome.message},
               {"output", outcome.output},
               {"error_output", outcome.error_output},
               {"result_json", outcome.result_json},
               {"started_us", Count(outcome.started)},
               {"ended_us", Count(outcome.ended)},
               {"exit_code", outcome.exit_code},
               {"signal", outcome.signal},
               {"retry_after_us", outcome.retry_after.count()},
               {"usage",
                {{"input_tokens", outcome.usage.input_tokens},
                 {"output_tokens", outcome.usage.output_tokens},
                 {"cost_usd", outcome.usage.cost_usd}}},
               {"session", outcome.session},
               {"denied_tools", outcome.denied_tools},
               {"events", outcome.events},
               {"never_started", outcome.never_started}});
}

Result<AttemptOutcome> OutcomeFromJson(const std::string& text) {
  return FromJson<AttemptOutcome>(text, "outcome.json", [](const Json& json, AttemptOutcome& out) {
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

Status WriteStart(const std::filesystem::path& directory, const StartRecord& start) {
  const Json json = {{"version", kVersion},
                     {"attendant", start.attendant},
                     {"start_ticks", start.start_ticks},
                     {"boot_id", start.boot_id},
                     {"started_us", Count(start.started)},
                     {"token", start.token},
                     {"cgroup", start.cgroup}};
  return WriteWholeFile(directory / "started.json", Dump(json), false);
}

Result<StartRecord> ReadStart(const std::filesystem::path& directory) {
  const Result<std::string> text = ReadWholeFile(directory / "started.json", 65536);
  if (!text) return text.error();
  return FromJson<StartRecord>(*text, "started.json", [](const Json& json, StartRecord& start) {
    Get(json, "attendant", start.attendant);
    Get(json, "start_ticks", start.start_ticks);
    Get(json, "boot_id", start.boot_id);
    Get(json, "started_us", start.started);
    Get(json, "token", start.token);
    Get(json, "cgroup", start.cgroup);
  });
}

}  // namespace troupe
