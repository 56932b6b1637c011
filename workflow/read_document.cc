// The root of a workflow file, its inputs, outputs, workflows and hooks.
#include <fmt/format.h>

#include "workflow/document.h"
#include "workflow/key_tables.h"
#include "workflow/names.h"
#include "workflow/values.h"

namespace troupe {
namespace {

using R = Reader;
using F = Field;

// --- hooks

struct HookReading {
  HookDoc doc = {};
  std::optional<bool> fail = {};
  std::uint32_t on_failure_at = kNoPlace;
};

void ReadHookCommand(Reader& reader, const Field& field, HookReading& hook) {
  const auto command = reader.String(field);
  if (!command) return;
  if (command->find_first_not_of(" \t\r\n") == std::string_view::npos) {
    reader.problems.Error(reader.At(field), "bad-value", "\"command\" may not be empty");
  }
  hook.doc.hook.command = *command;
}

constexpr Key<HookReading> kHookKeys[] = {
    {"command", Support::Now, ReadHookCommand, ""},
    {"description", Support::Now,
     [](R& r, const F& f, HookReading& h) { h.doc.hook.description = r.String(f).value_or(""); }},
    {"timeout_secs", Support::Now,
     [](R& r, const F& f, HookReading& h) {
       h.doc.hook.timeout = r.Seconds(f, true).value_or(h.doc.hook.timeout);
     }},
    {"async", Support::Now,
     [](R& r, const F& f, HookReading& h) { h.doc.hook.async = r.Bool(f).value_or(false); }},
    {"on_failure", Support::Now,
     [](R& r, const F& f, HookReading& h) {
       if (const auto word = r.Word(f, {"fail", "warn"})) h.fail = *word == 0;
       h.on_failure_at = r.At(f);
     }},
    {"env", Support::Now, [](R& r, const F& f, HookReading& h) { h.doc.env = ReadEnv(r, f); }},
    {"runs_on", Support::Now,
     [](R& r, const F& f, HookReading& h) {
       for (const Named& label : r.Strings(f)) {
         if (r.CheckName("label", label.name, label.at)) {
           h.doc.hook.runs_on.emplace_back(label.name);
         }
       }
     }},
};

template <HookList list>
bool ReadHook(Reader& reader, const Field& field, const Field& item, HooksDoc& hooks) {
  if (!reader.TakePart(reader.At(item))) return false;
  HookReading hook;
  if (reader.tree.Kind(item.node) == NodeKind::Map) {
    ReadMap(reader, item.node, kHookKeys, {"", field.name}, hook);
  } else if (reader.tree.Kind(item.node) == NodeKind::String) {
    ReadHookCommand(reader, item, hook);
  } else {
    reader.WrongType(item, "a string or a map");
    return true;
  }
  Hook& made = hook.doc.hook;
  if (hook.fail == true && made.async) {
    reader.problems.Error(hook.on_failure_at, "bad-value",
                          "\"on_failure\" may not be fail for a hook that is async: nothing "
                          "waits for it");
  }
  made.fail = hook.fail.value_or(list == HookList::PreWorkflow && !made.async);
  hooks.lists[static_cast<std::size_t>(list)].push_back(std::move(hook.doc));
  return true;
}

template <HookList list>
void ReadHookList(Reader& reader, const Field& field, HooksDoc& hooks) {
  reader.EachItem(field,
                  [&](const Field& item) { return ReadHook<list>(reader, field, item, hooks); });
}

constexpr Key<HooksDoc> kHooksKeys[] = {
    {"pre_workflow", Support::Now, ReadHookList<HookList::PreWorkflow>},
    {"on_stage_complete", Support::Now, ReadHookList<HookList::OnStageComplete>},
    {"on_error", Support::Now, ReadHookList<HookList::OnError>},
    {"post_workflow", Support::Now, ReadHookList<HookList::PostWorkflow>},
};

// --- workflows

void ReadStageTasks(Reader& reader, const Field& field, StageDoc& stage) {
  const Tree& tree = reader.tree;
  reader.EachItem(field, [&](const Field& item) {
    if (tree.Kind(item.node) != NodeKind::Map) {
      if (const auto id = reader.String(item)) {
        stage.tasks.push_back({{*id, reader.At(item)}, kNoNode, kNone});
      }
      return true;
    }
    for (const MapEntry& entry : tree.Entries(item.node)) {
      const bool plain = tree.Kind(entry.value) == NodeKind::Null;
      stage.tasks.push_back(
          {{tree.Key(entry), entry.key_at}, plain ? kNoNode : entry.value, kNone});
    }
    return true;
  });
}

constexpr Key<StageDoc> kStageKeys[] = {
    {"stage", Support::Now,
     [](R& r, const F& f, StageDoc& s) {
       if (const auto name = r.String(f)) s.name = {*name, r.At(f)};
       if (s.name.at != kNoPlace) r.CheckName("stage name", s.name.name, s.name.at);
     },
     ""},
    {"tasks", Support::Now, ReadStageTasks},
    {"agents", Support::Now, [](R& r, const F& f, StageDoc& s) { s.agents = r.Strings(f); }},
    {"depends_on", Support::Now,
     [](R& r, const F& f, StageDoc& s) { s.depends_on = r.Strings(f); }},
    {"mode", Support::Now,
     [](R& r, const F& f, StageDoc& s) {
       if (const auto word = r.Word(f, {"sequential", "parallel"})) s.parallel = *word == 1;
     }},
};

void ReadSteps(Reader& reader, const Field& field, WorkflowDoc& workflow) {
  if (!reader.IsList(field)) return;
  for (NodeId node : reader.tree.Items(field.node)) {
    const Field item{"", node, field.name};
    if (!reader.IsMap(item)) continue;
    if (!reader.TakePart(reader.At(item))) return;
    StageDoc stage;
    stage.at = reader.At(item);
    ReadMap(reader, node, kStageKeys, {"", "steps"}, stage);
    workflow.stages.push_back(std::move(stage));
  }
}

constexpr Key<WorkflowDoc> kWorkflowKeys[] = {
    {"description", Support::Now, [](R& r, const F& f, WorkflowDoc&) { r.String(f); }},
    {"steps", Support::Now, ReadSteps},
    {"hooks", Support::Now, [](R& r, const F& f, WorkflowDoc& w) { ReadHooks(r, f, w.hooks); }},
};

// --- inputs and outputs

struct InputReading {
  InputDeclaration input = {};
  NodeId initial = kNoNode;
};

constexpr Key<InputReading> kInputKeys[] = {
    {"type", Support::Now,
     [](R& r, const F& f, InputReading& i) {
       constexpr InputType kTypes[] = {InputType::String,  InputType::Number, InputType::Integer,
                                       InputType::Boolean, InputType::List,   InputType::Object,
                                       InputType::List};
       const auto word =
           r.Word(f, {"string", "number", "integer", "boolean", "list", "object", "array"});
       if (word) i.input.type = kTypes[*word];
     }},
    {"required", Support::Now,
     [](R& r, const F& f, InputReading& i) { i.input.required = r.Bool(f).value_or(false); }},
    {"default", Support::Now, [](R&, const F& f, InputReading& i) { i.initial = f.node; }},
    {"description", Support::Now, [](R& r, const F& f, InputReading&) { r.String(f); }},
};

bool Fits(const Tree& tree, NodeId node, InputType type) {
  switch (tree.Kind(node)) {
    case NodeKind::Null:
      return false;
    case NodeKind::Bool:
      return type == InputType::Boolean || type == InputType::String;
    case NodeKind::Number: {
      const bool whole = tree.Text(node).find_first_of(".eE") == std::string_view::npos;
      return type == InputType::Number || type == InputType::String ||
             (type == InputType::Integer && whole);
    }
    case NodeKind::String:
      return type == InputType::String;
    case NodeKind::List:
      return type == InputType::List;
    case NodeKind::Map:
      return type == InputType::Object;
  }
  return false;
}

constexpr Key<OutputDoc> kTaskSourceKeys[] = {
    {"type", Support::Now, [](R&, const F&, OutputDoc&) {}, ""},
    {"task", Support::Now,
     [](R& r, const F& f, OutputDoc& o) {
       if (const auto name = r.String(f)) o.task = {*name, r.At(f)};
     },
     ""},
};
constexpr Key<OutputDoc> kStateSourceKeys[] = {
    {"type", Support::Now, [](R&, const F&, OutputDoc&) {}, ""},
    {"key", Support::Now,
     [](R& r, const F& f, OutputDoc& o) {
       const auto key = r.String(f);
       if (key && r.CheckName("state key", *key, r.At(f))) o.state_key = *key;
     },
     ""},
};

void ReadSource(Reader& reader, const Field& field, OutputDoc& output) {
  if (!reader.IsMap(field)) return;
  const NodeId node = reader.tree.Find(field.node, "type");
  if (node == kNoNode) {
    ReportMissingKey(reader, reader.At(field), "type", {"", "source"}, "");
    return;
  }
  const Field type{"type", node};
  if (reader.IsLater(type, "source type", {"file"})) return;
  const auto word = reader.Word(type, {"task_output", "state"});
  if (!word) return;
  if (*word == 0) {
    ReadMap(reader, field.node, kTaskSourceKeys, {"", "source"}, output);
  } else {
    ReadMap(reader, field.node, kStateSourceKeys, {"", "source"}, output);
  }
}

constexpr Key<OutputDoc> kOutputKeys[] = {
    {"source", Support::Now, ReadSource, ""},
    {"description", Support::Now, [](R& r, const F& f, OutputDoc&) { r.String(f); }},
};

// --- root

void ReadName(Reader& reader, const Field& field, Document& document) {
  const auto name = reader.String(field);
  if (!name) return;
  const std::u32string letters = DecodeUtf8(*name);
  bool control = false;
  for (char32_t c : letters) control = control || c < 0x20 || (c >= 0x7F && c < 0xA0);
  if (letters.empty() || letters.size() > 200) {
    reader.problems.Error(
        reader.At(field), "bad-name",
        fmt::format("\"name\" must have 1 to 200 characters, not {}", letters.size()));
  } else if (control) {
    reader.problems.Error(
        reader.At(field), "bad-name",
        fmt::format("\"name\" may not contain control characters: {}", Quote(*name)));
  }
  document.name = *name;
}

void ReadVersion(Reader& reader, const Field& field, Document& document) {
  const auto version = reader.String(field);
  if (!version) return;
  const std::size_t letters = DecodeUtf8(*version).size();
  if (letters < 1 || letters > 64) {
    reader.problems.Error(reader.At(field), "bad-value",
                          fmt::format("\"version\" must have 1 to 64 characters, not {}", letters));
  }
  document.version = *version;
}

void ReadDslVersion(Reader& reader, const Field& field, Document&) {
  const auto version = reader.String(field);
  if (!version || version->substr(0, 2) == "1.") return;
  reader.NotYet(reader.At(field), "dsl_version", *version);
}

constexpr Key<Document> kRecoveryKeys[] = {
    {"retry_budget", Support::Now,
     [](R& r, const F& f, Document& d) {
       d.retry_budget = static_cast<std::uint32_t>(r.Int(f, 0, 1'000'000'000).value_or(kNone));
     }},
    {"worker_losses_max", Support::Now,
     [](R& r, const F& f, Document& d) {
       d.worker_losses_max = static_cast<std::uint32_t>(r.Int(f, 1, 100).value_or(3));
     }},
    {"rate_limit_wait_max_secs", Support::Now,
     [](R& r, const F& f, Document& d) {
       d.rate_limit_wait_max = r.Seconds(f).value_or(d.rate_limit_wait_max);
     }},
    {"circuit_breaker", Support::Now,
     [](R& r, const F& f, Document& d) { ReadBreaker(r, f, d.breaker); }},
};

constexpr Key<Document> kToolsKeys[] = {
    {"allowed", Support::Now,
     [](R& r, const F& f, Document& d) { d.allowed_tools = ReadTools(r, f); }},
    {"disallowed", Support::Now,
     [](R& r, const F& f, Document& d) { d.disallowed_tools = ReadTools(r, f); }},
    {"constraints", Support::Ignored},
};

constexpr Key<Document> kRootKeys[] = {
    {"name", Support::Now, ReadName, ""},
    {"version", Support::Now, ReadVersion},
    {"description", Support::Now, [](R& r, const F& f, Document&) { r.String(f); }},
    {"dsl_version", Support::Now, ReadDslVersion},
    {"provider", Support::Now,
     [](R& r, const F& f, Document& d) { d.provider = ReadProvider(r, f, d.provider_refused); }},
    {"model", Support::Now,
     [](R& r, const F& f, Document& d) { d.model = r.String(f).value_or(""); }},
    {"cwd", Support::Now, [](R& r, const F& f, Document& d) { d.cwd = ReadText(r, f); }},
    {"create_cwd", Support::Now,
     [](R& r, const F& f, Document& d) { d.create_cwd = r.Bool(f).value_or(false); }},
    {"inputs", Support::Now, ReadInputs},
    {"outputs", Support::Now, ReadOutputs},
    {"agents", Support::Now, ReadAgents},
    {"tasks", Support::Now, ReadTasks},
    {"workflows", Support::Now, ReadWorkflows},
    {"hooks", Support::Now, [](R& r, const F& f, Document& d) { ReadHooks(r, f, d.hooks); }},
    {"on_error", Support::Now,
     [](R& r, const F& f, Document& d) { d.on_error = ReadOnError(r, f); }},
    {"recovery", Support::Now,
     [](R& r, const F& f, Document& d) {
       if (r.IsMap(f)) ReadMap(r, f.node, kRecoveryKeys, {"", "recovery"}, d);
     }},
    {"max_parallel", Support::Now,
     [](R& r, const F& f, Document& d) {
       d.max_parallel = static_cast<std::uint32_t>(r.Int(f, 1, 1'000'000).value_or(kNone));
     }},
    {"timeout_secs", Support::Now,
     [](R& r, const F& f, Document& d) { d.settings.timeout = r.Seconds(f); }},
    {"silence_secs", Support::Now,
     [](R& r, const F& f, Document& d) { d.settings.silence = r.Seconds(f); }},
    {"queue_timeout_secs", Support::Now,
     [](R& r, const F& f, Document& d) { d.settings.queue_timeout = r.Seconds(f); }},
    {"requires", Support::Now,
     [](R& r, const F& f, Document& d) { ReadRequires(r, f, d.settings); }},
    {"limits", Support::Now, [](R& r, const F& f, Document& d) { ReadLimits(r, f, d.settings); }},
    {"tools", Support::Now,
     [](R& r, const F& f, Document& d) {
       if (r.IsMap(f)) ReadMap(r, f.node, kToolsKeys, {"", "tools"}, d);
     }},
    {"secrets", Support::NotYet},
    {"subflows", Support::NotYet},
    {"notifications", Support::NotYet},
    {"budget", Support::NotYet},
    {"mcp_servers", Support::NotYet},
    {"imports", Support::Ignored},
    {"task_groups", Support::Ignored},
    {"communication", Support::Ignored},
};

}  // namespace

void AddDocumentTables(std::vector<KeyTable>& tables) {
  AddTable("root", kRootKeys, tables);
  AddTable("recovery", kRecoveryKeys, tables);
  AddTable("tools", kToolsKeys, tables);
  AddTable("input", kInputKeys, tables);
  AddTable("output", kOutputKeys, tables);
  AddTable("source_task_output", kTaskSourceKeys, tables);
  AddTable("source_state", kStateSourceKeys, tables);
  AddTable("workflow", kWorkflowKeys, tables);
  AddTable("stage", kStageKeys, tables);
  AddTable("hooks", kHooksKeys, tables);
  AddTable("hook", kHookKeys, tables);
}

void ReadHooks(Reader& reader, const Field& field, HooksDoc& hooks) {
  if (reader.IsMap(field)) ReadMap(reader, field.node, kHooksKeys, {"", "hooks"}, hooks);
}

void ReadWorkflows(Reader& reader, const Field& field, Document& document) {
  if (!reader.IsMap(field)) {
    document.refused_tasks = true;
    return;
  }
  for (const MapEntry& entry : reader.tree.Entries(field.node)) {
    const std::string_view name = reader.tree.Key(entry);
    if (!reader.TakePart(entry.key_at)) return;
    reader.CheckName("workflow name", name, entry.key_at);
    WorkflowDoc workflow;
    workflow.name = name;
    workflow.at = entry.key_at;
    if (reader.IsMap({name, entry.value})) {
      ReadMap(reader, entry.value, kWorkflowKeys, {"workflow", name}, workflow);
    }
    document.workflows.push_back(std::move(workflow));
  }
}

void ReadInputs(Reader& reader, const Field& field, Document& document) {
  if (!reader.IsMap(field)) return;
  for (const MapEntry& entry : reader.tree.Entries(field.node)) {
    const std::string_view name = reader.tree.Key(entry);
    reader.CheckIdent("input", name, entry.key_at);
    InputReading reading;
    reading.input.name = name;
    if (reader.IsMap({name, entry.value})) {
      ReadMap(reader, entry.value, kInputKeys, {"input", name}, reading);
    }
    if (reading.initial != kNoNode) {
      if (!Fits(reader.tree, reading.initial, reading.input.type)) {
        reader.WrongType({"default", reading.initial}, Describe(reading.input.type));
      } else if (reading.input.type == InputType::String) {
        reading.input.default_json = JsonString(reader.tree.Text(reading.initial));
      } else {
        reading.input.default_json = ToJson(reader, reading.initial);
      }
    }
    document.inputs.push_back(std::move(reading.input));
  }
}

void ReadOutputs(Reader& reader, const Field& field, Document& document) {
  if (!reader.IsMap(field)) return;
  for (const MapEntry& entry : reader.tree.Entries(field.node)) {
    const std::string_view name = reader.tree.Key(entry);
    reader.CheckIdent("output", name, entry.key_at);
    OutputDoc output;
    output.name = name;
    if (!reader.IsMap({name, entry.value})) continue;
    ReadMap(reader, entry.value, kOutputKeys, {"output", name}, output);
    document.outputs.push_back(output);
  }
}

Document ReadDocument(Reader& reader) {
  Document document;
  const NodeId root = reader.tree.root();
  if (reader.tree.Kind(root) == NodeKind::Map) {
    ReadMap(reader, root, kRootKeys, {}, document);
    return document;
  }
  document.refused_tasks = true;
  const bool empty = reader.tree.Kind(root) == NodeKind::Null;
  reader.problems.Error(reader.tree.At(root), "wrong-type",
                        empty ? "the file is empty; a workflow is a map that begins with \"name\""
                              : "a workflow must be a map that begins with \"name\"");
  return document;
}

}  // namespace troupe
