// tasks.NAME, also where a stage defines a task.
#include <fmt/format.h>

#include <algorithm>

#include "workflow/document.h"
#include "workflow/key_tables.h"
#include "workflow/names.h"

namespace troupe {
namespace {

using R = Reader;
using F = Field;

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// What the ids of all subtasks may take.
constexpr std::size_t kIdBytesMax = std::size_t{64} << 20;

// A task while it is read.
struct Reading {
  TaskDoc task = {};
  std::vector<std::string_view> kinds = {};
  std::string_view unsupported = "";  // A kind that we cannot do.
  std::uint32_t unsupported_at = kNoPlace;
  std::optional<std::uint32_t> priority = {};
  Settings settings = {};
  NodeId subtasks = kNoNode;
  NodeId loop = kNoNode;
};

constexpr Key<WorkDoc> kCommandKeys[] = {
    {"executable", Support::Now,
     [](R& r, const F& f, WorkDoc& w) {
       const NodeId text = ReadText(r, f);
       if (text == kNoNode) return;
       if (IsBlank(r.tree.Text(text))) {
         r.problems.Error(r.At(f), "bad-value", "\"executable\" may not be empty");
       }
       w.argv.insert(w.argv.begin(), text);
     },
     ""},
    {"args", Support::Now,
     [](R& r, const F& f, WorkDoc& w) {
       const std::vector<NodeId> args = ReadTexts(r, f);
       w.argv.insert(w.argv.end(), args.begin(), args.end());
     }},
    {"working_dir", Support::Now,
     [](R& r, const F& f, WorkDoc& w) { w.working_dir = ReadText(r, f); }},
    {"env", Support::Now, [](R& r, const F& f, WorkDoc& w) { w.env = ReadEnv(r, f); }},
    {"timeout_secs", Support::Now,
     [](R& r, const F& f, WorkDoc& w) {
       w.timeout = r.Seconds(f);
       w.timeout_at = r.At(f);
     }},
    {"capture_stdout", Support::Now,
     [](R& r, const F& f, WorkDoc& w) { w.capture_stdout = r.Bool(f).value_or(true); }},
    {"capture_stderr", Support::Now,
     [](R& r, const F& f, WorkDoc& w) { w.capture_stderr = r.Bool(f).value_or(false); }},
};

void ReadLanguage(Reader& reader, const Field& field, WorkDoc& work) {
  constexpr std::string_view kInterpreters[] = {"python3", "node", "bash", "sh", "ruby", "perl"};
  const auto word = reader.Word(field, {"python", "javascript", "bash", "sh", "ruby", "perl"});
  if (word) work.interpreter = kInterpreters[*word];
}

constexpr Key<WorkDoc> kScriptKeys[] = {
    {"language", Support::Now, ReadLanguage, ""},
    {"content", Support::Now, [](R& r, const F& f, WorkDoc& w) { w.content = ReadText(r, f); }},
    {"file", Support::Now, [](R& r, const F& f, WorkDoc& w) { w.file = ReadPath(r, f); }},
    {"working_dir", Support::Now,
     [](R& r, const F& f, WorkDoc& w) { w.working_dir = ReadText(r, f); }},
    {"env", Support::Now, [](R& r, const F& f, WorkDoc& w) { w.env = ReadEnv(r, f); }},
    {"timeout_secs", Support::Now,
     [](R& r, const F& f, WorkDoc& w) {
       w.timeout = r.Seconds(f);
       w.timeout_at = r.At(f);
     }},
    {"capture_stdout", Support::Now,
     [](R& r, const F& f, WorkDoc& w) { w.capture_stdout = r.Bool(f).value_or(true); }},
    {"capture_stderr", Support::Now,
     [](R& r, const F& f, WorkDoc& w) { w.capture_stderr = r.Bool(f).value_or(false); }},
};

void ReadCommand(Reader& reader, const Field& field, Reading& reading) {
  reading.kinds.push_back("command");
  reading.task.work = std::make_unique<WorkDoc>();
  WorkDoc& work = *reading.task.work;
  switch (reader.tree.Kind(field.node)) {
    case NodeKind::Null:
      reader.WrongType(field, "a string, a list or a map");
      break;
    case NodeKind::Bool:
    case NodeKind::Number:
    case NodeKind::String:
      work.shell = field.node;
      if (IsBlank(reader.tree.Text(field.node))) {
        reader.problems.Error(reader.At(field), "bad-value", "\"command\" may not be empty");
      }
      break;
    case NodeKind::List:
      work.argv = ReadTexts(reader, field);
      if (reader.tree.Items(field.node).empty()) {
        reader.problems.Error(reader.At(field), "bad-value", "\"command\" may not be empty");
      }
      break;
    case NodeKind::Map:
      ReadMap(reader, field.node, kCommandKeys, {"", "command"}, work);
      break;
  }
}

void ReadScript(Reader& reader, const Field& field, Reading& reading) {
  reading.kinds.push_back("script");
  reading.task.work = std::make_unique<WorkDoc>();
  WorkDoc& work = *reading.task.work;
  if (!reader.IsMap(field)) return;
  ReadMap(reader, field.node, kScriptKeys, {"", "script"}, work);
  const bool content = reader.tree.Find(field.node, "content") != kNoNode;
  const bool file = reader.tree.Find(field.node, "file") != kNoNode;
  if (content && file) {
    reader.problems.Error(reader.At(field), "kind",
                          "\"script\" has both \"content\" and \"file\"; keep one");
  } else if (!content && !file) {
    reader.problems.Error(reader.At(field), "missing-key",
                          "\"script\" needs \"content\" or \"file\"");
  }
}

void ReadAgent(Reader& reader, const Field& field, Reading& reading) {
  reading.kinds.push_back("agent");
  reading.task.has_agent = true;
  reading.task.owns_agent = true;
  if (const auto name = reader.String(field)) reading.task.agent = {*name, reader.At(field)};
}

void ReadTaskInputs(Reader& reader, const Field& field, Reading& reading) {
  if (!reader.IsMap(field)) return;
  reading.task.inputs = field.node;
  for (const MapEntry& entry : reader.tree.Entries(field.node)) {
    const std::string_view name = reader.tree.Key(entry);
    if (!reader.CheckIdent("input", name, entry.key_at)) continue;
    reader.CheckReserved("an input of a task", name, entry.key_at);
  }
}

template <const std::string_view& kind>
void ReadUnsupported(Reader& reader, const Field& field, Reading& reading) {
  reading.kinds.push_back(kind);
  reading.unsupported = kind;
  reading.unsupported_at = reader.At(field);
}
constexpr std::string_view kUses = "uses";
constexpr std::string_view kEmbed = "embed";
constexpr std::string_view kUsesWorkflow = "uses_workflow";
constexpr std::string_view kMcpTool = "mcp_tool";

constexpr Key<TaskDoc> kOnCompleteKeys[] = {
    {"notify", Support::Now,
     [](R& r, const F& f, TaskDoc& t) {
       if (r.tree.Kind(f.node) == NodeKind::Map) {
         r.problems.Error(r.At(f), "not-yet", "\"notify\" as a map is not supported yet");
       } else {
         t.notify = ReadText(r, f);
       }
     }},
};

void ReadOnComplete(Reader& reader, const Field& field, Reading& reading) {
  if (!reader.IsMap(field)) return;
  ReadMap(reader, field.node, kOnCompleteKeys, {"", "on_complete"}, reading.task);
}

void ReadSet(Reader& reader, const Field& field, Reading& reading) {
  if (!reader.IsMap(field)) return;
  reading.task.set = field.node;
  for (const MapEntry& entry : reader.tree.Entries(field.node)) {
    reader.CheckName("state key", reader.tree.Key(entry), entry.key_at);
  }
}

constexpr Key<Reading> kTaskKeys[] = {
    {"description", Support::Now,
     [](R& r, const F& f, Reading& t) { t.task.description = ReadText(r, f); }},
    {"agent", Support::Now, ReadAgent},
    {"script", Support::Now, ReadScript},
    {"command", Support::Now, ReadCommand},
    {"http", Support::NotYet},
    {"llm", Support::NotYet},
    {"subflow", Support::NotYet},
    {"depends_on", Support::Now,
     [](R& r, const F& f, Reading& t) { t.task.depends_on = r.Strings(f); }},
    {"parallel_with", Support::Now,
     [](R& r, const F& f, Reading& t) { t.task.parallel_with = r.Strings(f); }},
    {"priority", Support::Now,
     [](R& r, const F& f, Reading& t) {
       t.priority = static_cast<std::uint32_t>(r.Int(f, 0, 4'294'967'295).value_or(0));
     }},
    {"condition", Support::Now, [](R&, const F& f, Reading& t) { t.task.condition_node = f.node; }},
    {"on_error", Support::Now,
     [](R& r, const F& f, Reading& t) {
       t.task.on_error = std::make_unique<OnErrorDoc>(ReadOnError(r, f));
     }},
    {"inputs", Support::Now, ReadTaskInputs},
    {"output", Support::Now, [](R& r, const F& f, Reading& t) { t.task.output = ReadPath(r, f); }},
    {"set", Support::Now, ReadSet},
    {"subtasks", Support::Now, [](R&, const F& f, Reading& t) { t.subtasks = f.node; }},
    {"loop", Support::Now, [](R&, const F& f, Reading& t) { t.loop = f.node; }},
    {"on_complete", Support::Now, ReadOnComplete},
    {"timeout_secs", Support::Now,
     [](R& r, const F& f, Reading& t) {
       t.settings.timeout = r.Seconds(f);
       t.task.timeout_at = r.At(f);
     }},
    {"silence_secs", Support::Now,
     [](R& r, const F& f, Reading& t) { t.settings.silence = r.Seconds(f); }},
    {"queue_timeout_secs", Support::Now,
     [](R& r, const F& f, Reading& t) { t.settings.queue_timeout = r.Seconds(f); }},
    {"requires", Support::Now,
     [](R& r, const F& f, Reading& t) { ReadRequires(r, f, t.settings); }},
    {"limits", Support::Now, [](R& r, const F& f, Reading& t) { ReadLimits(r, f, t.settings); }},
    {"outputs", Support::NotYet},
    {"definition_of_done", Support::NotYet},
    {"loop_control", Support::NotYet},
    {"inject_context", Support::NotYet},
    {"context", Support::NotYet},
    {"budget", Support::NotYet},
    {"session", Support::NotYet},
    {"output_schema", Support::NotYet},
    {"group", Support::Ignored},
    {"uses", Support::Now, ReadUnsupported<kUses>},
    {"embed", Support::Now, ReadUnsupported<kEmbed>},
    {"overrides", Support::Ignored},
    {"uses_workflow", Support::Now, ReadUnsupported<kUsesWorkflow>},
    {"mcp_tool", Support::Now, ReadUnsupported<kMcpTool>},
};

// What a task with subtasks may have. What is not supported at all is reported anyway.
constexpr std::string_view kParentKeys[] = {
    "description",  "agent",        "depends_on",         "parallel_with", "priority",
    "condition",    "on_error",     "subtasks",           "loop",          "on_complete",
    "timeout_secs", "silence_secs", "queue_timeout_secs", "requires",      "limits"};

void CheckParentKeys(Reader& reader, const TaskDoc& task) {
  for (const MapEntry& entry : reader.tree.Entries(task.node)) {
    const std::string_view word = reader.tree.Key(entry);
    const auto known = std::find_if(std::begin(kTaskKeys), std::end(kTaskKeys),
                                    [&](const Key<Reading>& key) { return key.name == word; });
    if (known == std::end(kTaskKeys) || known->support != Support::Now) continue;
    if (std::find(std::begin(kParentKeys), std::end(kParentKeys), word) != std::end(kParentKeys)) {
      continue;
    }
    reader.problems.Error(
        entry.key_at, "kind",
        fmt::format("task {} has subtasks and may not have {}", Quote(task.id), Quote(word)));
  }
}

void SettleUnsupported(Reader& reader, const Reading& reading, Document& document) {
  std::string message = fmt::format(
      "task {} is of the kind {}, which is not supported; it fails with invalid_request when its "
      "turn comes",
      Quote(reading.task.id), Quote(reading.unsupported));
  if (document.unsupported_at == kNoPlace || reading.unsupported_at < document.unsupported_at) {
    document.unsupported_at = reading.unsupported_at;
    document.unsupported = message;
  }
  reader.problems.Warning(reading.unsupported_at, "unsupported", std::move(message));
}

void SettleKind(Reader& reader, Reading& reading, bool refused_kind, Document& document) {
  TaskDoc& task = reading.task;
  if (reading.subtasks != kNoNode) {
    task.kind = TaskKind::Parent;
    CheckParentKeys(reader, task);
  } else if (reading.kinds.size() > 1) {
    std::string both = Quote(reading.kinds[0]);
    for (std::size_t i = 1; i < reading.kinds.size(); ++i) {
      both += (i + 1 == reading.kinds.size() ? " and " : ", ") + Quote(reading.kinds[i]);
    }
    reader.problems.Error(task.at, "kind",
                          fmt::format("task {} has {}{}; keep one", Quote(task.id),
                                      reading.kinds.size() == 2 ? "both " : "", both));
  } else if (refused_kind) {
    return;
  } else if (!reading.unsupported.empty()) {
    task.kind = TaskKind::Unsupported;
    SettleUnsupported(reader, reading, document);
  } else if (!reading.kinds.empty()) {
    task.kind = reading.kinds[0] == "agent"    ? TaskKind::Agent
                : reading.kinds[0] == "script" ? TaskKind::Script
                                               : TaskKind::Command;
  } else if (task.has_agent) {
    task.kind = TaskKind::Agent;  // A parent's.
  } else {
    reader.problems.Error(task.at, "kind",
                          fmt::format("task {} has no agent, script or command", Quote(task.id)));
  }
}

void SettleTimeout(Reader& reader, Reading& reading) {
  TaskDoc& task = reading.task;
  if (!task.work || !task.work->timeout) return;
  if (reading.settings.timeout) {
    reader.problems.Error(
        task.work->timeout_at, "kind",
        fmt::format("task {} has \"timeout_secs\" twice, in {} and beside it; keep one",
                    Quote(task.id), Quote(reading.kinds[0])));
  }
  reading.settings.timeout = task.work->timeout;
}

void SettleLoop(Reader& reader, Reading& reading) {
  if (reading.loop == kNoNode) return;
  TaskDoc& task = reading.task;
  if (reading.subtasks != kNoNode) {
    reader.problems.Error(reader.tree.At(reading.loop), "not-yet",
                          "\"loop\" with \"subtasks\" is not supported yet");
  } else {
    task.loop = ReadLoop(reader, {"loop", reading.loop});
  }
  task.refused_loop = task.refused_loop || task.loop == nullptr;
}

// What a subtask does not set comes from its parent, which has it from its own.
void Inherit(const TaskDoc& parent, Reading& reading) {
  TaskDoc& task = reading.task;
  task.priority = reading.priority.value_or(parent.priority);
  task.refused_loop = parent.refused_loop;
  if (reading.kinds.empty()) {
    task.agent = parent.agent;
    task.has_agent = parent.has_agent;
  }
  if (!parent.settings) return;
  const auto inherit = [&](auto member) {
    if (!(reading.settings.*member)) reading.settings.*member = (*parent.settings).*member;
  };
  inherit(&Settings::timeout);
  inherit(&Settings::silence);
  inherit(&Settings::queue_timeout);
  inherit(&Settings::max_stdout_bytes);
  inherit(&Settings::max_stderr_bytes);
  inherit(&Settings::max_combined_bytes);
  inherit(&Settings::truncation);
  inherit(&Settings::labels);
}

// Settings that are a parent's are shared with it.
void SettleSettings(const TaskDoc* parent, Reading& reading) {
  if (reading.settings == Settings()) return;
  if (parent != nullptr && parent->settings && *parent->settings == reading.settings) {
    reading.task.settings = parent->settings;
  } else {
    reading.task.settings = std::make_shared<const Settings>(std::move(reading.settings));
  }
}

// False after reporting that there are too many tasks.
bool HasRoom(Reader& reader, const NewTask& made, Document& document) {
  if (document.too_large) return false;
  if (document.tasks.size() < kTasksMax && document.id_bytes <= kIdBytesMax) return true;
  document.too_large = true;
  reader.problems.Error(
      made.at, "too-large",
      document.tasks.size() < kTasksMax
          ? fmt::format("the ids of all subtasks take more than {} MiB; use shorter names",
                        kIdBytesMax >> 20)
          : fmt::format("the workflow has more than {} tasks", kTasksMax));
  return false;
}

std::string_view FullId(const NewTask& made, Document& document) {
  if (made.parent == kNone) return made.name;
  std::string id(document.tasks[made.parent].id);
  id += '.';
  id += made.name;
  document.id_bytes += id.size();
  return document.ids.emplace_back(std::move(id));
}

void AddToIndex(Reader& reader, std::uint32_t index, Document& document) {
  const TaskDoc& task = document.tasks[index];
  if (task.parent != kNone)
    document.subtask_index.emplace(SubtaskName{task.parent, task.name}, index);
  const auto [first, fresh] = document.task_index.emplace(task.id, index);
  if (fresh) return;
  reader.problems.Error(
      task.at, "duplicate-task",
      fmt::format("two tasks have the id {} (the other one is on line {})", Quote(task.id),
                  reader.source.LineAt(document.tasks[first->second].at)));
}

// A map of tasks, or a list of such maps.
void ReadSubtasks(Reader& reader, const Field& field, std::uint32_t parent, Document& document) {
  std::vector<NodeId> maps;
  if (reader.tree.Kind(field.node) == NodeKind::Map) {
    maps.push_back(field.node);
  } else if (reader.tree.Kind(field.node) == NodeKind::List) {
    for (NodeId item : reader.tree.Items(field.node)) {
      if (reader.IsMap({"", item, field.name})) maps.push_back(item);
    }
    if (maps.size() < reader.tree.Items(field.node).size()) {
      document.tasks[parent].refused_subtasks = true;
    }
  } else {
    reader.WrongType(field, "a map or a list of maps");
    document.tasks[parent].refused_subtasks = true;
  }
  for (NodeId map : maps) {
    for (const MapEntry& entry : reader.tree.Entries(map)) {
      const std::string_view name = reader.tree.Key(entry);
      reader.CheckName("task name", name, entry.key_at);
      ReadTask(reader,
               {.name = name, .at = entry.key_at, .definition = entry.value, .parent = parent},
               document);
      if (document.too_large) return;
    }
  }
  if (document.tasks.size() > parent + 1 || document.tasks[parent].refused_subtasks) return;
  reader.problems.Error(
      reader.At(field), "kind",
      fmt::format("\"subtasks\" of task {} is empty", Quote(document.tasks[parent].id)));
}

}  // namespace

void AddTaskTables(std::vector<KeyTable>& tables) {
  AddTable("task", kTaskKeys, tables);
  AddTable("command", kCommandKeys, tables);
  AddTable("script", kScriptKeys, tables);
  AddTable("on_complete", kOnCompleteKeys, tables);
}

void ReadTask(Reader& reader, const NewTask& made, Document& document) {
  if (!HasRoom(reader, made, document)) return;
  const auto index = static_cast<std::uint32_t>(document.tasks.size());
  document.tasks.emplace_back();
  Reading reading;
  TaskDoc& task = reading.task;
  task.id = FullId(made, document);
  task.name = made.name;
  task.at = made.at;
  task.place = made.place;
  task.node = made.definition;
  task.parent = made.parent;
  if (reader.IsMap({made.name, made.definition})) {
    bool refused_kind = false;
    for (std::string_view key :
         ReadMap(reader, made.definition, kTaskKeys, {"task", task.id}, reading)) {
      refused_kind = refused_kind || key == "http" || key == "llm" || key == "subflow";
      task.refused_subtasks = task.refused_subtasks || key == "subflow" || key == "outputs";
    }
    SettleTimeout(reader, reading);
    task.priority = reading.priority.value_or(0);
    const TaskDoc* parent = made.parent == kNone ? nullptr : &document.tasks[made.parent];
    if (parent != nullptr) Inherit(*parent, reading);
    SettleSettings(parent, reading);
    SettleLoop(reader, reading);
    SettleKind(reader, reading, refused_kind, document);
  }
  document.tasks[index] = std::move(reading.task);
  AddToIndex(reader, index, document);
  if (reading.subtasks != kNoNode) {
    ReadSubtasks(reader, {"subtasks", reading.subtasks}, index, document);
  }
  document.tasks[index].end = static_cast<std::uint32_t>(document.tasks.size());
}

void ReadTasks(Reader& reader, const Field& field, Document& document) {
  if (!reader.IsMap(field)) {
    document.refused_tasks = true;
    return;
  }
  const auto entries = reader.tree.Entries(field.node);
  const std::size_t expected = document.tasks.size() + std::min(entries.size(), kTasksMax);
  document.tasks.reserve(expected);
  document.task_index.reserve(expected);
  std::uint32_t place = reader.At(field);
  for (const MapEntry& entry : entries) {
    const std::string_view name = reader.tree.Key(entry);
    place = std::max(place, entry.key_at);  // What an alias merges stands earlier.
    reader.CheckName("task name", name, entry.key_at);
    ReadTask(reader, {.name = name, .at = entry.key_at, .place = place, .definition = entry.value},
             document);
    if (document.too_large) return;
  }
}

}  // namespace troupe
