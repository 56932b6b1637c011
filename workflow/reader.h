// Reads typed values out of a tree and reports what does not fit: the one place where the types of
// the language, its wrong-type messages and its rules for keys are written down.
//
// Keys of a map are described by a table (Key below); ReadMap() checks a map against it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "workflow/problems.h"
#include "workflow/tree.h"

namespace troupe {

// A value and the name it goes by in messages: its key, or `item of "tools"`.
struct Field {
  std::string_view name = "";
  NodeId node = kNoNode;
  std::string_view of = "";  // Not empty: an item of the list with this name.
};

// A name that the file uses, and where.
struct Named {
  std::string_view name = "";
  std::uint32_t at = kNoPlace;
  std::uint32_t index = 0xFFFF'FFFF;  // Of what it names, once that was looked up.
};

inline constexpr double kSecondsMax = 31'536'000;
inline constexpr std::size_t kPartsMax = 100'000;  // Agents, workflows, stages and hooks together.

class Reader {
 public:
  Reader(const Source& text, const Tree& from, Problems& found, bool is_lenient)
      : source(text), tree(from), problems(found), lenient(is_lenient) {}

  // Each reports what is wrong with the value and then returns nothing.
  std::optional<std::string_view> String(const Field& field);
  std::optional<bool> Bool(const Field& field);
  std::optional<std::int64_t> Int(const Field& field, std::int64_t least, std::int64_t most);
  std::optional<double> Number(const Field& field, double least, double most);
  // 0 to a year; with `above_zero` 0 is refused too.
  std::optional<Duration> Seconds(const Field& field, bool above_zero = false);
  // The position of the word among `words`.
  std::optional<std::size_t> Word(const Field& field, const std::vector<std::string_view>& words);
  bool IsMap(const Field& field);
  bool IsList(const Field& field);
  // Calls `use` with each item until it returns false; a scalar stands for a list of one.
  template <class Use>
  void EachItem(const Field& field, const Use& use) {
    if (tree.Kind(field.node) == NodeKind::List) {
      for (NodeId item : tree.Items(field.node)) {
        if (!use(Field{"", item, field.name})) return;
      }
    } else if (tree.Kind(field.node) == NodeKind::Null || tree.Kind(field.node) == NodeKind::Map) {
      WrongType(field, "a list");
    } else {
      use(field);
    }
  }
  // The items; for lists that are not long.
  std::vector<Field> List(const Field& field);
  std::vector<Named> Strings(const Field& field);

  // Counts agents, workflows, stages and hooks. False after reporting that there are too many.
  bool TakePart(std::uint32_t at);

  std::uint32_t At(const Field& field) const { return tree.At(field.node); }

  // Reports that the value has the wrong type. `must` is "an integer".
  void WrongType(const Field& field, std::string_view must);
  void NotYet(std::uint32_t at, std::string_view what, std::string_view name);
  // `kind` is "task name".
  bool CheckName(std::string_view kind, std::string_view name, std::uint32_t at);
  bool CheckIdent(std::string_view kind, std::string_view name, std::uint32_t at);
  // Whether the value is one of `words`, which are not supported yet; reports it then.
  bool IsLater(const Field& field, std::string_view what,
               std::initializer_list<std::string_view> words);
  // Names that ${task.NAME} has another meaning for. `what` is "an input of a task".
  bool CheckReserved(std::string_view what, std::string_view name, std::uint32_t at);

  const Source& source;
  const Tree& tree;
  Problems& problems;
  const bool lenient;

 private:
  std::size_t parts_ = 0;
};

// `"retry"`, or `an item of "tools"`.
std::string Show(const Field& field);

// Whether we do what a key asks for.
enum class Support : std::uint8_t {
  Now,
  NotYet,   // [not-yet]
  Ignored,  // A warning; what is inside is not checked.
};

template <class Out>
struct Key {
  std::string_view name = "";
  Support support = Support::Now;
  void (*read)(Reader& reader, const Field& field, Out& out) = nullptr;
  const char* required = nullptr;  // Why, for the message; null: optional.
};

// What a map is, for messages: `"on_error"`, or `task "build"`.
struct MapName {
  std::string_view kind = "";
  std::string_view name = "";
};
std::string Show(const MapName& name);

// The parts of ReadMap() that do not depend on what is read.
void ReportUnknownKey(Reader& reader, const MapEntry& entry, const MapName& map,
                      const std::vector<std::string_view>& known);
void ReportMissingKey(Reader& reader, std::uint32_t at, std::string_view key, const MapName& map,
                      std::string_view why);
void WarnIgnored(Reader& reader, const MapEntry& entry);

// Reads a map's keys in the order in which they stand. Returns those that are not supported yet.
template <class Out, std::size_t N>
std::vector<std::string_view> ReadMap(Reader& reader, NodeId map, const Key<Out> (&keys)[N],
                                      const MapName& name, Out& out) {
  std::vector<std::string_view> refused;
  bool found[N] = {};
  for (const MapEntry& entry : reader.tree.Entries(map)) {
    const std::string_view word = reader.tree.Key(entry);
    std::size_t i = 0;
    while (i < N && keys[i].name != word) ++i;
    if (i == N) {
      if (word.substr(0, 2) == "x-") continue;
      std::vector<std::string_view> known;
      for (const Key<Out>& key : keys) known.push_back(key.name);
      ReportUnknownKey(reader, entry, name, known);
      continue;
    }
    found[i] = true;
    switch (keys[i].support) {
      case Support::Now:
        keys[i].read(reader, {word, entry.value}, out);
        break;
      case Support::NotYet:
        reader.NotYet(entry.key_at, "key", word);
        refused.push_back(word);
        break;
      case Support::Ignored:
        WarnIgnored(reader, entry);
        break;
    }
  }
  for (std::size_t i = 0; i < N; ++i) {
    if (keys[i].required == nullptr || found[i]) continue;
    ReportMissingKey(reader, reader.tree.At(map), keys[i].name, name, keys[i].required);
  }
  return refused;
}

}  // namespace troupe
