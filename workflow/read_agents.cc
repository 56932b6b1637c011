// agents.NAME
#include <fmt/format.h>

#include "workflow/document.h"
#include "workflow/key_tables.h"
#include "workflow/names.h"
#include "workflow/values.h"

namespace troupe {
namespace {

using R = Reader;
using F = Field;

std::uint32_t Count(Reader& reader, const Field& field, std::int64_t most,
                    std::uint32_t otherwise) {
  return static_cast<std::uint32_t>(reader.Int(field, 1, most).value_or(otherwise));
}

struct PermissionsDoc {
  std::string mode = "default";
  std::vector<NodeId> directories = {};
};

void ReadMode(Reader& reader, const Field& field, PermissionsDoc& permissions) {
  const std::vector<std::string_view> modes = {"default", "acceptEdits", "plan",
                                               "bypassPermissions", "dontAsk"};
  if (const auto word = reader.Word(field, modes)) permissions.mode = modes[*word];
}

constexpr Key<PermissionsDoc> kPermissionsKeys[] = {
    {"mode", Support::Now, ReadMode},
    {"allowed_directories", Support::Now,
     [](R& r, const F& f, PermissionsDoc& p) { p.directories = ReadTexts(r, f); }},
};

void ReadPermissions(Reader& reader, const Field& field, AgentDoc& doc) {
  if (!reader.IsMap(field)) return;
  PermissionsDoc permissions;
  ReadMap(reader, field.node, kPermissionsKeys, {"", "permissions"}, permissions);
  doc.agent.permission_mode = permissions.mode;
  doc.allowed_directories = std::move(permissions.directories);
}

struct MockDoc {
  MockRules rules = {};
  bool has_output = false;
};

void ReadFailTimes(Reader& reader, const Field& field, MockDoc& mock) {
  const bool word = reader.tree.Kind(field.node) == NodeKind::String;
  if (word && reader.tree.Text(field.node) == "always") {
    mock.rules.fail_times = kNone;
  } else if (word) {
    reader.WrongType(field, "an integer or always");
  } else if (const auto times = reader.Int(field, 0, 1'000'000)) {
    mock.rules.fail_times = static_cast<std::uint32_t>(*times);
  }
}

void ReadClass(Reader& reader, const Field& field, MockDoc& mock) {
  const auto word = reader.String(field);
  if (!word) return;
  const std::optional<FailureClass> c = FailureClassFromName(*word);
  if (c && Traits(*c).told) {
    mock.rules.failure = *c;
    return;
  }
  std::vector<std::string_view> told;
  for (int i = 0; i < kFailureClassCount; ++i) {
    const FailureTraits& traits = Traits(static_cast<FailureClass>(i));
    if (traits.told) told.push_back(traits.name);
  }
  reader.problems.Error(
      reader.At(field), "unknown-class",
      c ? fmt::format("failure class {} is not one that an agent can report", Quote(*word))
        : fmt::format("failure class {} does not exist{}", Quote(*word),
                      reader.problems.Suggest(*word, told)));
}

constexpr Key<MockDoc> kMockKeys[] = {
    {"fail_times", Support::Now, ReadFailTimes},
    {"class", Support::Now, ReadClass},
    {"retry_after_secs", Support::Now,
     [](R& r, const F& f, MockDoc& m) { m.rules.retry_after = r.Seconds(f).value_or(Duration{}); }},
    {"sleep_secs", Support::Now,
     [](R& r, const F& f, MockDoc& m) { m.rules.sleep = r.Seconds(f).value_or(Duration{}); }},
    {"output", Support::Now,
     [](R& r, const F& f, MockDoc& m) {
       m.rules.output = r.String(f).value_or("");
       m.has_output = true;
     }},
    {"echo", Support::Now,
     [](R& r, const F& f, MockDoc& m) { m.rules.echo = r.Bool(f).value_or(false); }},
    {"result", Support::Now,
     [](R& r, const F& f, MockDoc& m) { m.rules.result_json = ToJson(r, f.node); }},
};

void ReadMock(Reader& reader, const Field& field, AgentDoc& doc) {
  doc.has_mock = true;
  if (!reader.IsMap(field)) return;
  MockDoc mock;
  ReadMap(reader, field.node, kMockKeys, {"", "mock"}, mock);
  if (mock.has_output && mock.rules.echo) {
    reader.problems.Error(reader.At(field), "bad-value",
                          "\"mock\" has both \"output\" and \"echo\"; keep one");
  }
  doc.agent.mock = std::move(mock.rules);
}

void ReadCommand(Reader& reader, const Field& field, AgentDoc& doc) {
  doc.command_at = reader.At(field);
  const NodeKind kind = reader.tree.Kind(field.node);
  if (kind == NodeKind::Map || kind == NodeKind::Null) {
    reader.WrongType(field, "a string or a list of strings");
    doc.provider_refused = true;  // There is a command, and no need to ask for one.
    return;
  }
  if (kind != NodeKind::List) doc.agent.shell = true;
  doc.command = field.node;
  const bool empty =
      kind == NodeKind::List
          ? reader.tree.Items(field.node).empty()
          : reader.tree.Text(field.node).find_first_not_of(" \t\r\n") == std::string_view::npos;
  if (empty) reader.problems.Error(doc.command_at, "bad-value", "\"command\" may not be empty");
}

void ReadPassEnv(Reader& reader, const Field& field, AgentDoc& doc) {
  for (const Named& variable : reader.Strings(field)) {
    const std::string wrong = WrongWithVariable(variable.name);
    if (wrong.empty()) {
      doc.agent.pass_env.emplace_back(variable.name);
    } else {
      reader.problems.Error(variable.at, "bad-name",
                            fmt::format("environment variable {} {}", Quote(variable.name), wrong));
    }
  }
}

void ReadPrompt(Reader& reader, const Field& field, AgentDoc& doc) {
  constexpr PromptMode kModes[] = {PromptMode::Stdin, PromptMode::Arg, PromptMode::File};
  if (const auto word = reader.Word(field, {"stdin", "arg", "file"})) {
    doc.agent.prompt = kModes[*word];
  }
}

void ReadResult(Reader& reader, const Field& field, AgentDoc& doc) {
  if (const auto word = reader.Word(field, {"text", "json", "json_last", "jsonl"})) {
    doc.agent.result = static_cast<ResultMode>(*word);
  }
}

constexpr Key<AgentDoc> kAgentKeys[] = {
    {"description", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { a.agent.description = r.String(f).value_or(""); }},
    {"provider", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { a.provider = ReadProvider(r, f, a.provider_refused); }},
    {"model", Support::Now,
     [](R& r, const F& f, AgentDoc& a) {
       a.agent.model = r.String(f).value_or("");
       a.has_model = true;
     }},
    {"system_prompt", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { a.system_prompt = ReadText(r, f); }},
    {"tools", Support::Now,
     [](R& r, const F& f, AgentDoc& a) {
       a.agent.tools = ReadTools(r, f);
       a.has_tools = true;
     }},
    {"permissions", Support::Now, ReadPermissions},
    {"max_turns", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { a.agent.max_turns = Count(r, f, 10'000, 0); }},
    {"cwd", Support::Now, [](R& r, const F& f, AgentDoc& a) { a.cwd = ReadText(r, f); }},
    {"create_cwd", Support::Now, [](R& r, const F& f, AgentDoc& a) { a.create_cwd = r.Bool(f); }},
    {"env", Support::Now, [](R& r, const F& f, AgentDoc& a) { a.env = ReadEnv(r, f); }},
    {"pass_env", Support::Now, ReadPassEnv},
    {"command", Support::Now, ReadCommand},
    {"prompt", Support::Now, ReadPrompt},
    {"result", Support::Now, ReadResult},
    {"max_concurrent", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { a.agent.max_concurrent = Count(r, f, 1'000'000, kNone); }},
    {"mock", Support::Now, ReadMock},
    {"on_error", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { a.on_error = ReadOnError(r, f); }},
    {"circuit_breaker", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { ReadBreaker(r, f, a.agent.breaker); }},
    {"timeout_secs", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { a.agent.settings.timeout = r.Seconds(f); }},
    {"silence_secs", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { a.agent.settings.silence = r.Seconds(f); }},
    {"queue_timeout_secs", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { a.agent.settings.queue_timeout = r.Seconds(f); }},
    {"requires", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { ReadRequires(r, f, a.agent.settings); }},
    {"limits", Support::Now,
     [](R& r, const F& f, AgentDoc& a) { ReadLimits(r, f, a.agent.settings); }},
    {"session", Support::NotYet},
    {"output_schema", Support::NotYet},
    {"budget", Support::NotYet},
    {"inputs", Support::NotYet},
    {"outputs", Support::Ignored},
    {"endpoint", Support::NotYet},
    {"api_key", Support::NotYet},
    {"max_tokens", Support::NotYet},
    {"temperature", Support::NotYet},
};

}  // namespace

void AddAgentTables(std::vector<KeyTable>& tables) {
  AddTable("agent", kAgentKeys, tables);
  AddTable("permissions", kPermissionsKeys, tables);
  AddTable("mock", kMockKeys, tables);
}

void ReadAgents(Reader& reader, const Field& field, Document& document) {
  if (!reader.IsMap(field)) return;
  for (const MapEntry& entry : reader.tree.Entries(field.node)) {
    const std::string_view name = reader.tree.Key(entry);
    if (!reader.TakePart(entry.key_at)) return;
    reader.CheckName("agent name", name, entry.key_at);
    AgentDoc doc;
    doc.at = entry.key_at;
    doc.agent.name = name;
    if (reader.IsMap({name, entry.value})) {
      ReadMap(reader, entry.value, kAgentKeys, {"agent", name}, doc);
    } else {
      doc.provider_refused = true;
    }
    document.agent_index.emplace(name, static_cast<std::uint32_t>(document.agents.size()));
    document.agents.push_back(std::move(doc));
  }
}

}  // namespace troupe
