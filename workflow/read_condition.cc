// tasks.NAME.condition
#include <fmt/format.h>

#include <algorithm>

#include "workflow/document.h"
#include "workflow/key_tables.h"
#include "workflow/task_names.h"
#include "workflow/values.h"

namespace troupe {
namespace {

using R = Reader;
using F = Field;

// The whole of a condition while it is read.
struct Whole {
  TaskNames& names;
  std::uint32_t task = kNone;  // Whose condition it is.
  std::string asks = "";       // `condition of task "a" asks about task`
  ConditionDoc& doc;
};
// A part of it.
struct Reading {
  Whole& whole;
  Condition& condition;
  std::uint32_t asked_at = kNoPlace;
};

void ReadPart(Reader& reader, const Field& field, Reading& reading);

void Nothing(Reader&, const Field&, Reading&) {}

void ReadAskedTask(Reader& reader, const Field& field, Reading& reading) {
  const auto name = reader.String(field);
  if (!name) return;
  reading.asked_at = reader.At(field);
  reading.condition.task = reading.whole.names.Require({*name, reading.asked_at},
                                                       reading.whole.task, reading.whole.asks);
}

void ReadStatus(Reader& reader, const Field& field, Reading& reading) {
  const auto word = reader.Word(field, {"completed", "failed", "skipped", "pending", "running"});
  if (word) reading.condition.status = static_cast<AskedStatus>(*word);
}

void ReadStateKey(Reader& reader, const Field& field, Reading& reading) {
  const auto key = reader.String(field);
  if (!key) return;
  reader.CheckName("state key", *key, reader.At(field));
  reading.condition.key = *key;
}

void ReadParts(Reader& reader, const Field& field, Reading& reading) {
  if (!reader.IsList(field)) return;
  const auto items = reader.tree.Items(field.node);
  reading.condition.parts.reserve(items.size());
  for (NodeId item : items) ReadPart(reader, {"", item, field.name}, reading);
}

constexpr Key<Reading> kTaskStatusKeys[] = {
    {"type", Support::Now, Nothing, ""},
    {"task", Support::Now, ReadAskedTask, ""},
    {"status", Support::Now, ReadStatus, ""},
};
constexpr Key<Reading> kStateEqualsKeys[] = {
    {"type", Support::Now, Nothing, ""},
    {"key", Support::Now, ReadStateKey, ""},
    {"value", Support::Now,
     [](R& r, const F& f, Reading& c) { c.condition.value_json = ToJson(r, f.node); }, ""},
};
constexpr Key<Reading> kStateExistsKeys[] = {
    {"type", Support::Now, Nothing, ""},
    {"key", Support::Now, ReadStateKey, ""},
};
constexpr Key<Reading> kAlwaysKeys[] = {{"type", Support::Now, Nothing, ""}};
// Without a type.
constexpr Key<Reading> kConditionKeys[] = {
    {"type", Support::Now, Nothing},
    {"and", Support::Now, ReadParts},
    {"or", Support::Now, ReadParts},
    {"not", Support::Now, ReadPart},
};

constexpr MapName kName{"", "condition"};

void ReadTyped(Reader& reader, const Field& field, Reading& reading) {
  const Field type{"type", reader.tree.Find(field.node, "type")};
  const auto word =
      reader.Word(type, {"task_status", "state_equals", "state_exists", "always", "never"});
  if (!word) return;
  constexpr Condition::Op kOps[] = {Condition::Op::TaskStatus, Condition::Op::StateEquals,
                                    Condition::Op::StateExists, Condition::Op::Always,
                                    Condition::Op::Never};
  reading.condition.op = kOps[*word];
  switch (*word) {
    case 0:
      ReadMap(reader, field.node, kTaskStatusKeys, kName, reading);
      break;
    case 1:
      ReadMap(reader, field.node, kStateEqualsKeys, kName, reading);
      break;
    case 2:
      ReadMap(reader, field.node, kStateExistsKeys, kName, reading);
      break;
    default:
      ReadMap(reader, field.node, kAlwaysKeys, kName, reading);
  }
  const AskedStatus status = reading.condition.status;
  if (*word == 0 && reading.condition.task != kNone && status != AskedStatus::Pending &&
      status != AskedStatus::Running) {
    reading.whole.doc.asks.push_back({reading.condition.task, reading.asked_at});
  }
}

// The one of type, and, or, not that the map has; "" after reporting that it has none or several.
std::string_view HeadOf(Reader& reader, const Field& field) {
  std::string_view head;
  for (const MapEntry& entry : reader.tree.Entries(field.node)) {
    const std::string_view word = reader.tree.Key(entry);
    if (word != "type" && word != "and" && word != "or" && word != "not") continue;
    if (head.empty()) {
      head = word;
      continue;
    }
    reader.problems.Error(
        entry.key_at, "bad-value",
        fmt::format("a condition has both {} and {}; keep one", Quote(head), Quote(word)));
    return "";
  }
  if (head.empty()) {
    reader.problems.Error(reader.At(field), "missing-key",
                          "\"condition\" needs \"type\", \"and\", \"or\" or \"not\"");
  }
  return head;
}

void ReadOne(Reader& reader, const Field& field, Reading& reading) {
  if (!reader.IsMap(field)) return;
  const std::string_view head = HeadOf(reader, field);
  if (head == "type") {
    ReadTyped(reader, field, reading);
    return;
  }
  if (head == "and") reading.condition.op = Condition::Op::And;
  if (head == "or") reading.condition.op = Condition::Op::Or;
  if (head == "not") reading.condition.op = Condition::Op::Not;
  ReadMap(reader, field.node, kConditionKeys, kName, reading);
}

void ReadPart(Reader& reader, const Field& field, Reading& reading) {
  Reading part{.whole = reading.whole, .condition = reading.condition.parts.emplace_back()};
  ReadOne(reader, field, part);
}

}  // namespace

void AddConditionTables(std::vector<KeyTable>& tables) {
  AddTable("condition", kConditionKeys, tables);
  AddTable("condition_task_status", kTaskStatusKeys, tables);
  AddTable("condition_state_equals", kStateEqualsKeys, tables);
  AddTable("condition_state_exists", kStateExistsKeys, tables);
  AddTable("condition_always", kAlwaysKeys, tables);
}

std::unique_ptr<ConditionDoc> ReadCondition(Reader& reader, TaskNames& names, std::uint32_t task,
                                            const TaskDoc& doc) {
  auto made = std::make_unique<ConditionDoc>();
  Whole whole{.names = names,
              .task = task,
              .asks = fmt::format("condition of task {} asks about task", Quote(doc.id)),
              .doc = *made};
  Reading reading{.whole = whole, .condition = *made->condition};
  ReadOne(reader, {"condition", doc.condition_node}, reading);
  return made;
}

}  // namespace troupe
