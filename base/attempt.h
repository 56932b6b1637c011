// One attempt, as the coordinator orders it and as its supervisor reports it.
//
// The coordinator fills an AttemptSpec when it dispatches, the worker writes it to its spool, the
// attendant carries it out and writes an AttemptOutcome. All text is already substituted: nobody
// after the coordinator knows references, retries or the graph.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/failure.h"
#include "base/ids.h"
#include "base/time.h"

namespace troupe {

enum class RunnerKind : std::uint8_t {
  AgentCommand,  // An agent with provider `command`: prompt in, result out, clean environment.
  Claude,        // Claude Code, by stream-json.
  Mock,          // Lives in the worker; no process.
  Command,       // A task's own command.
  Script,        // A task's own script.
  Hook,          // A lifecycle hook: sh -c, the worker's environment.
  Collection,    // Reads a file that a loop goes over: script_file, as collection_format says. Its
                 // result is the JSON list of the items.
};
inline constexpr int kRunnerKindCount = 7;

enum class PromptMode : std::uint8_t { None, Stdin, Arg, File };
enum class ResultMode : std::uint8_t { Text, Json, JsonLast, Jsonl };
enum class CollectionFormat : std::uint8_t { Json, JsonLines, Lines, Csv };
inline constexpr std::size_t kCollectionItemsMax =
    100'000;  // Of a file or written in the workflow.

// What is kept of captured output, in bytes.
enum class Truncation : std::uint8_t { Head, Tail, Both };
struct OutputLimits {
  std::uint64_t stdout_bytes = 1'048'576;
  std::uint64_t stderr_bytes = 262'144;
  std::uint64_t combined_bytes = 1'572'864;
  Truncation truncation = Truncation::Tail;
  bool operator==(const OutputLimits&) const = default;
};

struct ClaudeOptions {
  std::string system_prompt = "";
  std::string permission_mode = "default";
  std::vector<std::string> tools = {};  // As written; patterns included.
  std::vector<std::string> disallowed_tools = {};
  std::vector<std::string> allowed_directories = {};
  std::uint32_t max_turns = 0;  // 0: not set.
  bool operator==(const ClaudeOptions&) const = default;
};

struct MockOptions {
  std::optional<FailureClass> fail = {};  // This attempt fails with this class.
  Duration retry_after{};
  Duration sleep{};
  std::string output = "";
  std::string result_json = "";  // Empty: no structured result.
  bool operator==(const MockOptions&) const = default;
};

struct AttemptSpec {
  AttemptId id{};
  std::string token =
      "";  // A UUID v4, unique per attempt: marks its processes; claude's session id.
  RunnerKind kind = RunnerKind::Command;
  std::string task = "";   // Full id; for a hook its list and index, "pre_workflow[0]".
  std::string agent = "";  // Empty for commands, scripts and hooks.
  std::string model = "";

  // What is executed. `shell`: argv[0] is a text for `/bin/sh -c`. A script has its interpreter in
  // argv[0] and either `script_content` or `script_file`. Unused by claude and mock.
  bool shell = false;
  std::vector<std::string> argv = {};
  std::string script_content = "";
  std::string script_file = "";  // Relative to run_dir.

  // Environment. Agents start empty and take `pass_env` from the worker; commands, scripts and
  // hooks inherit the worker's. `env` is added last, before the TROUPE_ variables.
  std::vector<std::string> pass_env = {};
  std::vector<std::pair<std::string, std::string>> env = {};
  std::string run_dir = "";      // R, absolute.
  std::string working_dir = "";  // W; relative to run_dir, empty: run_dir.
  bool create_working_dir = false;

  PromptMode prompt_mode = PromptMode::None;
  ResultMode result_mode = ResultMode::Text;
  std::string prompt = "";
  std::string inputs_json = "{}";  // The task's inputs as one JSON object.
  bool capture_stdout = true;      // In the output; both streams are always kept for `logs`.
  bool capture_stderr = false;
  std::string output_path = "";  // Relative to run_dir; empty: none.

  Duration timeout{};  // 0: no limit. From the start on the worker.
  Duration silence{};  // 0: no limit.
  OutputLimits limits = {};
  ClaudeOptions claude = {};                                    // kind Claude only.
  MockOptions mock = {};                                        // kind Mock only.
  CollectionFormat collection_format = CollectionFormat::Json;  // kind Collection only.
  bool operator==(const AttemptSpec&) const = default;
};

inline constexpr std::size_t kOutcomeEventsBytesMax = 64u << 10;

struct Usage {
  std::uint64_t input_tokens = 0;
  std::uint64_t output_tokens = 0;
  double cost_usd = 0;
  bool operator==(const Usage&) const = default;
};

// How an attempt ended. `failure` empty: it succeeded.
struct AttemptOutcome {
  AttemptId id{};
  std::optional<FailureClass> failure = {};
  std::string message = "";       // "exit status 1: no such host"; empty when ok.
  std::string output = "";        // Valid UTF-8, cut to the limits.
  std::string error_output = "";  // stderr, the same.
  std::string result_json = "";   // Compact JSON; empty: none.
  Instant started{};
  Instant ended{};
  std::int32_t exit_code = -1;  // -1: no process, or ended by a signal.
  std::int32_t signal = 0;
  Duration retry_after{};  // With rate_limited; 0: not told.
  Usage usage = {};
  std::string session = "";  // The conversation, to resume it.
  std::vector<std::string> denied_tools = {};
  bool never_started = false;  // The attempt was handed back before anything ran.
  // What the agent said of its progress, a JSON object a line:
  // {"at":ms,"type":"tool","text":"Bash"}. The last kOutcomeEventsBytesMax of it.
  std::string events = "";
  bool operator==(const AttemptOutcome&) const = default;
};

}  // namespace troupe
