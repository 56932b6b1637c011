// Text with references in it, compiled once when the file is read (docs/language.md, "References").
//
// A Template is a list of pieces: literal text and references. Names are resolved when it is made;
// what is left for run time is looking values up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/rare.h"
#include "base/result.h"

namespace troupe {

struct RefWords {
  std::string name = "";
  std::string path = "";     // ".a.b[0]", as written after the name; empty: all of it.
  std::string written = "";  // As the user wrote it, for messages: "task.build.result.a".
  bool operator==(const RefWords&) const = default;
};

struct Ref {
  enum class Kind : std::uint8_t {
    Input,        // `name` of the run's inputs, with `path` below it
    TaskInput,    // `name` of this task's own inputs, with `path`
    SelfId,       // ${task.id}
    SelfAttempt,  // ${task.attempt}
    RunIdentity,  // ${run.id}
    TaskOutput,   // of plan task `task`
    TaskResult,   // of plan task `task`, with `path`
    TaskState,    // ${task.NAME.status}
    TaskError,
    LoopIndex,   // ${loop.index}: from 0
    LoopItem,    // the loop variable, with `path`
    SelfOutput,  // ${task.output}: of this task, when it has completed
    SelfResult,  // ${task.result}, with `path`
  };
  Kind kind = Kind::Input;
  std::uint32_t task = 0;     // Index into Plan::tasks.
  Rare<RefWords> words = {};  // Apart, as most texts are one piece that is no reference.
  bool operator==(const Ref&) const = default;
};

using Template = std::vector<std::variant<std::string, Ref>>;

// What a reference stands for. Text goes in as it is. JSON: a string goes in without quotes, null
// as nothing, all else as compact JSON; a path selects a part of it first.
struct Value {
  std::string text = "";
  bool json = false;
};

// Where the values come from; the coordinator's view of one task of one run.
class ValueSource {
 public:
  virtual ~ValueSource() = default;
  // The value of `ref` without its path; nothing: it does not exist at run time.
  // For outputs and results of tasks that did not complete: Value{"", false}; a path is then not
  // followed and gives "".
  virtual std::optional<Value> Look(const Ref& ref) const = 0;
};

// Of a text when it is filled in: a few characters may name a value many times.
inline constexpr std::size_t kFilledBytesMax = 48u << 20;

// Unresolved, with a message naming the reference, if a value or a part of it does not exist.
// Invalid if the text becomes too long.
Result<std::string> Fill(const Template& text, const ValueSource& values);

// The template as one JSON-typed value: text that is one reference and nothing else keeps the type
// of its value, all other text is a string. Returns JSON text.
Result<std::string> FillTyped(const Template& text, const ValueSource& values);

inline Template Literal(std::string text) { return {std::move(text)}; }

}  // namespace troupe
