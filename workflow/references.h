// Compiles text with references: finds them, resolves their names, reports what does not exist.
//
// Tasks are numbered as in the document; RenumberTasks() turns that into a plan's numbers. Whether
// a task that is referred to is upstream is not checked here; uses() says what to check.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "workflow/document.h"
#include "workflow/task_names.h"
#include "workflow/template.h"

namespace troupe {

// Where a text stands, which decides what it may refer to.
struct Scope {
  std::uint32_t task = kNone;        // In the document; kNone: the root, an agent or a hook.
  bool code = false;                 // Unknown references are left to the interpreter.
  bool own_inputs = true;            // May refer to the task's own inputs.
  bool inputs_vary = false;          // But those differ from iteration to iteration, and this is
                                     // about all of them.
  bool iteration = true;             // May refer to the iteration, if the task is a loop.
  bool ended = false;                // May refer to the task's own output and result.
  bool prompt_placeholders = false;  // {{prompt}} and {{prompt_file}} stay.
};

class References {
 public:
  References(Reader& reader, const Document& document);

  Template Compile(NodeId text, const Scope& scope);
  // kNoNode gives no template.
  Template CompileOptional(NodeId text, const Scope& scope) {
    return text == kNoNode ? Template() : Compile(text, scope);
  }
  EnvTemplates Compile(const EnvDoc& env, const Scope& scope);
  // Name → JSON text, with references within its strings. Sets `holds_references`.
  std::vector<std::pair<std::string, Template>> CompileInputs(std::uint32_t task,
                                                              bool& holds_references);
  // What a task's `set` writes.
  std::vector<StateWrite> CompileSet(NodeId set, const Scope& scope);

  // A task that refers to another one.
  struct Use {
    std::uint32_t task = 0;
    std::uint32_t target = 0;
    std::uint32_t at = kNoPlace;
    Ref::Kind kind = Ref::Kind::TaskOutput;
  };
  const std::vector<Use>& uses() const { return uses_; }

 private:
  // What a reference turned out to be: a Ref, or text that stays.
  using Piece = std::variant<std::string, Ref>;

  Piece Resolve(std::string_view ref, std::string_view written, std::uint32_t at,
                const Scope& scope);
  std::optional<Ref> ResolveTask(std::string_view ref, std::uint32_t at, const Scope& scope);
  std::optional<Ref> ResolveNamed(std::string_view name, std::string_view path, const Scope& scope);
  std::optional<Ref> ResolveBare(std::string_view name, std::string_view path, const Scope& scope);
  std::optional<Ref> ResolveLoop(std::string_view name, std::string_view path, const Scope& scope);
  const Loop* LoopOf(const Scope& scope) const;
  void Unknown(std::string_view ref, std::uint32_t at, const Scope& scope);
  bool TakePiece(std::uint32_t at);
  bool MeansIteration(std::string_view ref, const Scope& scope) const;
  std::string SuggestTask(std::string_view ref, const Scope& scope);
  std::string SuggestOther(std::string_view ref, const Scope& scope);
  bool HasOwnInput(std::uint32_t task, std::string_view name);
  bool IsSilenced(std::string_view ref, const Scope& scope) const;
  void AppendJson(NodeId value, const Scope& scope, Template& json);

  Reader& reader_;
  const Document& document_;
  std::unordered_set<std::string_view> inputs_;
  TaskNames names_;
  std::vector<std::string> known_;  // What can be suggested.
  std::uint32_t own_inputs_of_ = kNone;
  std::unordered_set<std::string_view> own_inputs_;
  std::vector<Use> uses_;
  std::size_t pieces_ = 0;  // Texts and references so far.
};

// Replaces each task's number in the document by its number in the plan.
void RenumberTasks(const std::vector<std::uint32_t>& plan_index, Template& text);

}  // namespace troupe
