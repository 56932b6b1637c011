#include "worker/attendant/launch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <string_view>
#include <system_error>
#include <vector>

#include "worker/attendant/claude_protocol.h"
#include "worker/attendant/collection.h"
#include "worker/attendant/files.h"

namespace troupe {
namespace {

// Of what a process is given and may answer.
constexpr int kProtocol = 1;

// Ordered, so that a process is given the same environment each time.
using Environment = std::map<std::string, std::string>;

// What an attempt sets for its own processes: those of an attempt around this worker end here.
constexpr std::array<std::string_view, 16> kOwnVariables = {
    "TROUPE_PROTOCOL",      "TROUPE_RUN_ID",         "TROUPE_TASK_ID",     "TROUPE_ATTEMPT",
    "TROUPE_ATTEMPT_TOKEN", "TROUPE_AGENT_NAME",     "TROUPE_AGENT_MODEL", "TROUPE_WORKSPACE",
    "TROUPE_DEADLINE_MS",   "TROUPE_PROMPT_FILE",    "TROUPE_INPUT_FILE",  "TROUPE_RESULT_FILE",
    "TROUPE_ARTIFACTS_DIR", "TROUPE_RESUME_SESSION", "TROUPE_CLAUDE",      "TROUPE_CGROUP"};

bool IsAgent(RunnerKind kind) {
  return kind == RunnerKind::AgentCommand || kind == RunnerKind::Claude;
}

std::filesystem::path HomeOfAgents(const std::filesystem::path& files) {
  return files.parent_path() / "home";
}

Environment OwnEnvironment() {
  Environment variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

// `name` is as in pass_env; NAME* takes all that begin so.
void Pass(const Environment& from, const std::string& name, Environment& to) {
  if (!name.ends_with('*')) {
    if (const auto it = from.find(name); it != from.end()) to[it->first] = it->second;
    return;
  }
  const std::string prefix = name.substr(0, name.size() - 1);
  for (auto it = from.lower_bound(prefix); it != from.end() && it->first.starts_with(prefix);
       ++it) {
    to[it->first] = it->second;
  }
}

Environment AgentBase(const Environment& own, const std::filesystem::path& files) {
  Environment variables = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                           {"HOME", HomeOfAgents(files).string()},
                           {"TMPDIR", (files / "tmp").string()},
                           {"LANG", "C.UTF-8"},
                           {"TERM", "dumb"},
                           {"NO_COLOR", "1"},
                           {"CI", "1"}};
  Pass(own, "PATH", variables);
  return variables;
}

// A program that finds the marks of an agent around it believes to be nested in that.
Environment InheritedBase(const Environment& own) {
  Environment variables = own;
  std::erase_if(variables, [](const auto& entry) {
    const std::string& name = entry.first;
    return name == "CLAUDECODE" || name.starts_with("CLAUDE_CODE_") ||
           std::find(kOwnVariables.begin(), kOwnVariables.end(), name) != kOwnVariables.end();
  });
  return variables;
}

std::string Milliseconds(Instant instant) {
  return fmt::format(
      "{}",
      std::chrono::duration_cast<std::chrono::milliseconds>(instant.time_since_epoch()).count());
}

void AddTroupeVariables(const AttemptSpec& spec, const std::filesystem::path& files,
                        const std::string& workspace, Instant started, Environment& variables) {
  variables["TROUPE_PROTOCOL"] = fmt::format("{}", kProtocol);
  variables["TROUPE_RUN_ID"] = fmt::format("{}", spec.id.run.value);
  variables["TROUPE_TASK_ID"] = spec.task;
  variables["TROUPE_ATTEMPT"] = fmt::format("{}", spec.id.number);
  variables["TROUPE_ATTEMPT_TOKEN"] = spec.token;
  variables["TROUPE_WORKSPACE"] = workspace;
  variables["TROUPE_DEADLINE_MS"] =
      spec.timeout > Duration::zero() ? Milliseconds(started + spec.timeout) : "";
  variables["TROUPE_INPUT_FILE"] = (files / "inputs.json").string();
  variables["TROUPE_RESULT_FILE"] = ResultFile(files).string();
  variables["TROUPE_ARTIFACTS_DIR"] = (files / "artifacts").string();
  variables["TROUPE_RESUME_SESSION"] = "";
  if (!IsAgent(spec.kind)) return;
  variables["TROUPE_AGENT_NAME"] = spec.agent;
  variables["TROUPE_AGENT_MODEL"] = spec.model;
  variables["TROUPE_PROMPT_FILE"] =
      spec.prompt_mode == PromptMode::File ? (files / "prompt").string() : "";
}

std::vector<std::string> MakeEnvironment(const AttemptSpec& spec,
                                         const std::filesystem::path& files,
                                         const std::string& workspace, Instant started) {
  const Environment own = OwnEnvironment();
  Environment variables = IsAgent(spec.kind) ? AgentBase(own, files) : InheritedBase(own);
  if (spec.kind == RunnerKind::Claude) {
    for (const std::string& name : ClaudeVariables()) Pass(own, name, variables);
  }
  for (const std::string& name : spec.pass_env) Pass(own, name, variables);
  for (const auto& [name, value] : spec.env) variables[name] = value;
  AddTroupeVariables(spec, files, workspace, started, variables);

  std::vector<std::string> entries;
  for (const auto& [name, value] : variables) entries.push_back(name + "=" + value);
  return entries;
}

void ReplaceAll(std::string& text, std::string_view what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

std::vector<std::string> MakeArguments(const AttemptSpec& spec,
                                       const std::filesystem::path& files) {
  if (spec.kind == RunnerKind::Claude) {
    const char* program = std::getenv("TROUPE_CLAUDE");
    return ClaudeArguments(spec, program != nullptr && *program != '\0' ? program : "claude");
  }
  if (spec.kind == RunnerKind::Collection) {
    const auto format = static_cast<std::size_t>(spec.collection_format);
    return {"/proc/self/exe", "--collection", std::string(kCollectionFormats.at(format)),
            InRunDirectory(spec, spec.script_file).string(), ResultFile(files).string()};
  }
  std::vector<std::string> argv = spec.argv;
  if (spec.kind == RunnerKind::Script) {
    argv.push_back(spec.script_file.empty() ? (files / "script").string()
                                            : InRunDirectory(spec, spec.script_file).string());
    return argv;
  }
  if (spec.kind == RunnerKind::AgentCommand) {
    for (std::string& word : argv) {
      if (spec.prompt_mode == PromptMode::Arg && !spec.shell) {
        ReplaceAll(word, "{{prompt}}", spec.prompt);
      } else if (spec.prompt_mode == PromptMode::File) {
        ReplaceAll(word, "{{prompt_file}}", (files / "prompt").string());
      }
    }
  }
  if (!spec.shell && spec.kind != RunnerKind::Hook) return argv;
  argv = {"/bin/sh", "-c", argv.empty() ? "" : argv[0]};
  if (spec.kind == RunnerKind::AgentCommand && spec.prompt_mode == PromptMode::Arg) {
    argv.push_back("sh");
    argv.push_back(spec.prompt);
  }
  return argv;
}

Status MakePrivateFiles(const AttemptSpec& spec, PrivateFiles& files) {
  if (Status made = files.Prepare(spec.inputs_json); !made) return made;
  if (IsAgent(spec.kind)) {
    for (const std::filesystem::path& path : {files.path() / "tmp", HomeOfAgents(files.path())}) {
      if (Status made = MakePrivateDirectory(path); !made) return made;
    }
  }
  if (spec.prompt_mode == PromptMode::File && IsAgent(spec.kind)) {
    if (Status done = WriteFile(files.path() / "prompt", spec.prompt); !done) return done;
  }
  if (spec.kind == RunnerKind::Script && spec.script_file.empty()) {
    return WriteFile(files.path() / "script", spec.script_content);
  }
  return {};
}

// Why no program could be given these words; "" if one can.
std::string ProblemOf(const std::vector<std::string>& words, const char* what) {
  for (const std::string& word : words) {
    if (word.size() > kArgumentBytesMax) {
      return fmt::format("{} \"{}…\" has {} bytes, more than {}", what,
                         word.substr(0, word.find_first_of(" =\n")).substr(0, 40), word.size(),
                         kArgumentBytesMax);
    }
    if (word.find('\0') != std::string::npos) return fmt::format("{} holds a NUL byte", what);
  }
  return "";
}

// Why the attempt cannot run in its working directory; "" if it can.
std::string ProblemOfWorkspace(const AttemptSpec& spec, const std::filesystem::path& workspace) {
  std::error_code error;
  if (spec.create_working_dir) std::filesystem::create_directories(workspace, error);
  if (error) {
    return fmt::format("cannot make working directory {}: {}", workspace.string(), error.message());
  }
  if (!std::filesystem::exists(workspace, error)) {
    return fmt::format("working directory {} does not exist", workspace.string());
  }
  if (!std::filesystem::is_directory(workspace, error)) {
    return fmt::format("working directory {} is not a directory", workspace.string());
  }
  return "";
}

Preparation Refusal(FailureClass failure, std::string message) {
  Preparation refused;
  refused.failure = failure;
  refused.message = std::move(message);
  return refused;
}

}  // namespace

std::filesystem::path ResultFile(const std::filesystem::path& files) {
  return files / "result.json";
}

std::filesystem::path InRunDirectory(const AttemptSpec& spec, const std::string& path) {
  const std::filesystem::path whole = (std::filesystem::path(spec.run_dir) / path);
  const std::filesystem::path normal = whole.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

Preparation PrepareLaunch(const AttemptSpec& spec, PrivateFiles& files, Instant started) {
  const bool collection = spec.kind == RunnerKind::Collection;
  const bool needs_argv = spec.kind != RunnerKind::Claude && !collection;
  if (spec.kind == RunnerKind::Mock) {
    return Refusal(FailureClass::SpawnFailed, "a mock has no process");
  }
  if (needs_argv && (spec.argv.empty() || spec.argv[0].empty())) {
    return Refusal(FailureClass::SpawnFailed, "there is no program to start");
  }
  // What reads a collection needs none, and to look at it here might hang.
  const std::filesystem::path workspace =
      collection ? std::filesystem::path("/") : InRunDirectory(spec, spec.working_dir);
  if (std::string problem = ProblemOfWorkspace(spec, workspace); !problem.empty()) {
    return Refusal(FailureClass::SpawnFailed, std::move(problem));
  }
  if (Status made = MakePrivateFiles(spec, files); !made) {
    return Refusal(FailureClass::SpawnFailed, made.error().message);
  }
  if (spec.kind == RunnerKind::Script && !spec.script_file.empty() &&
      ::access(InRunDirectory(spec, spec.script_file).c_str(), R_OK) != 0) {
    return Refusal(
        FailureClass::SpawnFailed,
        fmt::format("cannot read script {}", InRunDirectory(spec, spec.script_file).string()));
  }
  Preparation prepared;
  prepared.launch.argv = MakeArguments(spec, files.path());
  prepared.launch.environment = MakeEnvironment(spec, files.path(), workspace.string(), started);
  prepared.launch.working_directory = workspace.string();
  if (spec.kind == RunnerKind::Claude ||
      (spec.kind == RunnerKind::AgentCommand && spec.prompt_mode == PromptMode::Stdin)) {
    prepared.launch.standard_input = spec.prompt;
  }
  std::string problem = ProblemOf(prepared.launch.argv, "an argument");
  if (problem.empty()) problem = ProblemOf(prepared.launch.environment, "variable");
  if (!problem.empty()) return Refusal(FailureClass::InvalidRequest, std::move(problem));
  return prepared;
}

}  // namespace troupe
