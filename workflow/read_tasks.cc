// tasks.NAME, also where a stage defines a task.
#include <fmt/format.h>

#include "workflow/document.h"
#include "workflow/names.h"

namespace troupe {
namespace {

using R = Reader;
using F = Field;

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// A task while it is read.
struct Reading {
  TaskDoc task = {};
  std::vector<std::string_view> kinds = {};
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
    {"file", Support::Now, [](R& r, const F& f, WorkDoc& w) { w.file = ReadText(r, f); }},
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
  if (const auto name = reader.String(field)) reading.task.agent = {*name, reader.At(field)};
}

void ReadTaskInputs(Reader& reader, const Field& field, Reading& reading) {
  if (!reader.IsMap(field)) return;
  reading.task.inputs = field.node;
  for (const MapEntry& entry : reader.tree.Entries(field.node)) {
    const std::string_view name = reader.tree.Key(entry);
    if (!reader.CheckIdent("input", name, entry.key_at)) continue;
    for (std::string_view reserved : {"id", "attempt", "output", "result", "error", "status"}) {
      if (name != reserved) continue;
      reader.problems.Error(entry.key_at, "bad-name",
                            fmt::format("an input of a task may not be called {}: ${{task.{}}} "
                                        "means something else",
                                        Quote(name), name));
    }
  }
}

// Keys that make a task a kind of its own, or are refused with it.
constexpr std::string_view kRefusedKinds[] = {"http", "llm",   "subflow",       "subtasks",
                                              "uses", "embed", "uses_workflow", "mcp_tool"};

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
       t.task.priority = static_cast<std::uint32_t>(r.Int(f, 0, 4'294'967'295).value_or(0));
     }},
    {"condition", Support::NotYet},
    {"on_error", Support::Now,
     [](R& r, const F& f, Reading& t) {
       t.task.on_error = std::make_unique<OnErrorDoc>(ReadOnError(r, f));
     }},
    {"inputs", Support::Now, ReadTaskInputs},
    {"output", Support::Now, [](R& r, const F& f, Reading& t) { t.task.output = ReadText(r, f); }},
    {"set", Support::NotYet},
    {"subtasks", Support::NotYet},
    {"loop", Support::NotYet},
    {"on_complete", Support::NotYet},
    {"timeout_secs", Support::Now,
     [](R& r, const F& f, Reading& t) {
       t.task.settings.timeout = r.Seconds(f);
       t.task.timeout_at = r.At(f);
     }},
    {"silence_secs", Support::Now,
     [](R& r, const F& f, Reading& t) { t.task.settings.silence = r.Seconds(f); }},
    {"queue_timeout_secs", Support::Now,
     [](R& r, const F& f, Reading& t) { t.task.settings.queue_timeout = r.Seconds(f); }},
    {"requires", Support::Now,
     [](R& r, const F& f, Reading& t) { ReadRequires(r, f, t.task.settings); }},
    {"limits", Support::Now,
     [](R& r, const F& f, Reading& t) { ReadLimits(r, f, t.task.settings); }},
    {"outputs", Support::NotYet},
    {"definition_of_done", Support::NotYet},
    {"loop_control", Support::NotYet},
    {"inject_context", Support::NotYet},
    {"context", Support::NotYet},
    {"budget", Support::NotYet},
    {"session", Support::NotYet},
    {"output_schema", Support::NotYet},
    {"group", Support::Ignored},
    {"uses", Support::NotYet},
    {"embed", Support::NotYet},
    {"overrides", Support::NotYet},
    {"uses_workflow", Support::NotYet},
    {"mcp_tool", Support::NotYet},
};

// Remembers the names below `subtasks`, as others may depend on them.
void NoteNames(const Tree& tree, NodeId subtasks, std::unordered_set<std::string_view>& names) {
  if (tree.Kind(subtasks) == NodeKind::List) {
    for (NodeId item : tree.Items(subtasks)) NoteNames(tree, item, names);
    return;
  }
  if (tree.Kind(subtasks) != NodeKind::Map) return;
  for (const MapEntry& entry : tree.Entries(subtasks)) {
    names.insert(tree.Key(entry));
    if (tree.Kind(entry.value) != NodeKind::Map) continue;
    const NodeId below = tree.Find(entry.value, "subtasks");
    if (below != kNoNode) NoteNames(tree, below, names);
  }
}

void SettleKind(Reader& reader, Reading& reading, bool refused_kind) {
  TaskDoc& task = reading.task;
  if (reading.kinds.size() > 1) {
    std::string both = Quote(reading.kinds[0]);
    for (std::size_t i = 1; i < reading.kinds.size(); ++i) {
      both += (i + 1 == reading.kinds.size() ? " and " : ", ") + Quote(reading.kinds[i]);
    }
    reader.problems.Error(task.at, "kind",
                          fmt::format("task {} has {}{}; keep one", Quote(task.id),
                                      reading.kinds.size() == 2 ? "both " : "", both));
  } else if (refused_kind) {
    return;
  } else if (reading.kinds.empty()) {
    reader.problems.Error(task.at, "kind",
                          fmt::format("task {} has no agent, script or command", Quote(task.id)));
  } else {
    task.kind = reading.kinds[0] == "agent"    ? TaskKind::Agent
                : reading.kinds[0] == "script" ? TaskKind::Script
                                               : TaskKind::Command;
  }
}

}  // namespace

void ReadTask(Reader& reader, std::string_view id, std::uint32_t at, NodeId definition,
              Document& document) {
  Reading reading;
  TaskDoc& task = reading.task;
  task.id = id;
  task.at = at;
  task.node = definition;
  if (reader.IsMap({id, definition})) {
    bool refused_kind = false;
    for (std::string_view key : ReadMap(reader, definition, kTaskKeys, {"task", id}, reading)) {
      for (std::string_view kind : kRefusedKinds) refused_kind = refused_kind || key == kind;
      task.refused_loop = task.refused_loop || key == "loop";
      if (key != "subtasks") continue;
      task.refused_subtasks = true;
      NoteNames(reader.tree, reader.tree.Find(definition, "subtasks"), document.refused_names);
    }
    SettleKind(reader, reading, refused_kind);
  }
  if (task.work && task.work->timeout) {
    if (task.settings.timeout) {
      reader.problems.Error(
          task.work->timeout_at, "kind",
          fmt::format("task {} has \"timeout_secs\" twice, in {} and beside it; keep one",
                      Quote(id), Quote(reading.kinds[0])));
    }
    task.settings.timeout = task.work->timeout;
  }
  document.task_index.emplace(id, static_cast<std::uint32_t>(document.tasks.size()));
  document.tasks.push_back(std::move(reading.task));
}

void ReadTasks(Reader& reader, const Field& field, Document& document) {
  if (!reader.IsMap(field)) {
    document.refused_tasks = true;
    return;
  }
  const auto entries = reader.tree.Entries(field.node);
  if (entries.size() > kTasksMax) {
    reader.problems.Error(
        reader.At(field), "too-large",
        fmt::format("the workflow has {} tasks; the limit is {}", entries.size(), kTasksMax));
    document.refused_tasks = true;
    return;
  }
  document.tasks.reserve(document.tasks.size() + entries.size());
  document.task_index.reserve(document.tasks.size() + entries.size());
  for (const MapEntry& entry : entries) {
    const std::string_view id = reader.tree.Key(entry);
    reader.CheckName("task name", id, entry.key_at);
    ReadTask(reader, id, entry.key_at, entry.value, document);
  }
}

}  // namespace troupe
