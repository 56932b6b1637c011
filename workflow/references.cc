#include "workflow/references.h"

#include <fmt/format.h>

#include <algorithm>

#include "workflow/names.h"
#include "workflow/values.h"

namespace troupe {
namespace {

constexpr std::string_view kMembers[] = {"output", "result", "status", "error"};

bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// `.a.b[0]`, or nothing.
bool IsPath(std::string_view path) {
  while (!path.empty()) {
    std::size_t end = 1;
    if (path[0] == '.') {
      while (end < path.size() && (IsLetter(path[end]) || IsDigit(path[end]) || path[end] == '-')) {
        ++end;
      }
      if (end == 1) return false;
    } else if (path[0] == '[') {
      while (end < path.size() && IsDigit(path[end])) ++end;
      if (end == 1 || end > 10 || end == path.size() || path[end] != ']') return false;
      ++end;
    } else {
      return false;
    }
    path.remove_prefix(end);
  }
  return true;
}

// A reference found in a text: what is within the brackets, and where it all ends.
struct Found {
  std::string_view ref = "";
  std::size_t end = 0;
};

// Looks at `text` behind an opening bracket at `begin`.
std::optional<Found> FindRef(std::string_view text, std::size_t begin, std::string_view closing) {
  const auto skip_spaces = [&](std::size_t i) {
    while (i < text.size() && text[i] == ' ') ++i;
    return i;
  };
  const std::size_t first = skip_spaces(begin);
  if (first >= text.size() || !IsLetter(text[first])) return std::nullopt;
  constexpr std::string_view kOthers = "-.[]";
  std::size_t i = first;
  while (i < text.size()) {
    if (IsLetter(text[i]) || IsDigit(text[i]) || kOthers.find(text[i]) != std::string_view::npos) {
      ++i;
      continue;
    }
    if (!StartsWith(text.substr(first), "task.")) break;
    const CodePoint c = FirstCodePoint(text.substr(i));
    if (c.bytes == 0 || !IsNameCharacter(c.value)) break;
    i += c.bytes;
  }
  std::size_t end = i;
  while (end > first && text[end - 1] == ' ') --end;
  i = skip_spaces(i);
  if (text.substr(i, closing.size()) != closing) return std::nullopt;
  return Found{text.substr(first, end - first), i + closing.size()};
}

// The kind of `.output`, `.result.a`, ...; nothing if `member` is none of them.
std::optional<Ref::Kind> MemberKind(std::string_view member, std::string_view& path) {
  path = "";
  if (member == "output") return Ref::Kind::TaskOutput;
  if (member == "status") return Ref::Kind::TaskState;
  if (member == "error") return Ref::Kind::TaskError;
  if (!StartsWith(member, "result")) return std::nullopt;
  path = member.substr(6);
  if (!IsPath(path)) return std::nullopt;
  return Ref::Kind::TaskResult;
}

}  // namespace

References::References(Reader& reader, const Document& document)
    : reader_(reader), document_(document) {
  for (const InputDeclaration& input : document.inputs) {
    inputs_.insert(input.name);
    known_.push_back("workflow." + input.name);
    known_.push_back(input.name);
  }
  for (const char* fixed : {"run.id", "task.id", "task.attempt"}) known_.emplace_back(fixed);
}

Template References::Compile(NodeId node, const Scope& scope) {
  const std::string_view text = reader_.tree.Text(node);
  const std::uint32_t at = reader_.tree.At(node);
  Template pieces;
  std::string literal;
  std::size_t i = 0;
  while (i < text.size()) {
    const std::size_t next = std::min(text.find_first_of("${", i), text.size());
    literal += text.substr(i, next - i);
    i = next;
    const std::string_view rest = text.substr(i);
    if (StartsWith(rest, "$${") || StartsWith(rest, "{{{{")) {
      literal += rest[0] == '$' ? "${" : "{{";
      i += rest[0] == '$' ? 3 : 4;
      continue;
    }
    std::optional<Found> found;
    if (StartsWith(rest, "${")) found = FindRef(text, i + 2, "}");
    if (StartsWith(rest, "{{")) found = FindRef(text, i + 2, "}}");
    if (!found) {
      literal += rest.substr(0, 1);
      ++i;
      continue;
    }
    Piece piece = Resolve(found->ref, text.substr(i, found->end - i), at, scope);
    i = found->end;
    if (const auto* stays = std::get_if<std::string>(&piece)) {
      literal += *stays;
      continue;
    }
    if (!literal.empty()) pieces.emplace_back(std::move(literal));
    literal.clear();
    pieces.emplace_back(std::move(piece));
  }
  // An empty text is not the same as none.
  if (!literal.empty() || pieces.empty()) pieces.emplace_back(std::move(literal));
  return pieces;
}

EnvTemplates References::Compile(const EnvDoc& env, const Scope& scope) {
  EnvTemplates compiled;
  for (const auto& [name, text] : env) compiled.emplace_back(name, Compile(text, scope));
  return compiled;
}

References::Piece References::Resolve(std::string_view ref, std::string_view written,
                                      std::uint32_t at, const Scope& scope) {
  const std::string stays(written);
  if (scope.prompt_placeholders && StartsWith(written, "{{") &&
      (ref == "prompt" || ref == "prompt_file")) {
    return fmt::format("{{{{{}}}}}", ref);
  }
  const std::size_t name_end = std::min(ref.find_first_of(".["), ref.size());
  const std::string_view first = ref.substr(0, name_end);
  const bool dotted = name_end < ref.size() && ref[name_end] == '.';
  if (dotted && first == "group") {
    reader_.problems.Warning(at, "unsupported",
                             fmt::format("{} is not supported and stays as text", Quote(written)));
    return stays;
  }
  if (dotted && (first == "secret" || (!scope.code && (first == "agent" || first == "subflow")))) {
    reader_.problems.Error(at, "not-yet",
                           fmt::format("reference {} is not supported yet", Quote(ref)));
    return stays;
  }
  std::optional<Ref> resolved;
  if (dotted && first == "task") {
    resolved = ResolveTask(ref, at, scope);
  } else if (dotted && first == "workflow") {
    const std::string_view rest = ref.substr(name_end + 1);
    const std::size_t end = std::min(rest.find_first_of(".["), rest.size());
    Scope run = scope;
    run.own_inputs = false;
    resolved = ResolveInput(rest.substr(0, end), rest.substr(end), run);
  } else if (ref == "run.id") {
    resolved = Ref{.kind = Ref::Kind::RunIdentity};
  } else if (!dotted || (first != "loop" && first != "run")) {
    resolved = ResolveInput(first, ref.substr(name_end), scope);
  }
  if (!resolved) {
    Unknown(ref, at, scope);
    return stays;
  }
  resolved->written = ref;
  return *std::move(resolved);
}

std::optional<Ref> References::ResolveInput(std::string_view name, std::string_view path,
                                            const Scope& scope) {
  if (!IsPath(path)) return std::nullopt;
  Ref ref{.name = std::string(name), .path = std::string(path)};
  if (scope.own_inputs && scope.task != kNone && HasOwnInput(scope.task, name)) {
    ref.kind = Ref::Kind::TaskInput;
    return ref;
  }
  if (inputs_.count(name) == 0) return std::nullopt;
  ref.kind = Ref::Kind::Input;
  return ref;
}

std::optional<Ref> References::ResolveTask(std::string_view ref, std::uint32_t at,
                                           const Scope& scope) {
  if (scope.task == kNone) return std::nullopt;
  const std::string_view rest = ref.substr(5);
  if (rest == "id") return Ref{.kind = Ref::Kind::SelfId};
  if (rest == "attempt") return Ref{.kind = Ref::Kind::SelfAttempt};
  // The longest id that fits; ids have at most 128 characters of at most 4 bytes.
  for (std::size_t end = std::min<std::size_t>(rest.size(), 513); end-- > 1;) {
    if (rest[end] != '.') continue;
    std::string_view path;
    const auto kind = MemberKind(rest.substr(end + 1), path);
    if (!kind) continue;
    const auto it = document_.task_index.find(rest.substr(0, end));
    if (it == document_.task_index.end()) continue;
    uses_.push_back({scope.task, it->second, at, *kind});
    if (scope.code && (*kind == Ref::Kind::TaskOutput || *kind == Ref::Kind::TaskResult)) {
      reader_.problems.Warning(
          at, "pasted-output",
          fmt::format("the output of task {} becomes program text here; pass it in \"env\"",
                      Quote(it->first)));
    }
    return Ref{.kind = *kind, .task = it->second, .path = std::string(path)};
  }
  const std::size_t end = std::min(rest.find_first_of(".["), rest.size());
  if (!scope.own_inputs || !IsPath(rest.substr(end)) ||
      !HasOwnInput(scope.task, rest.substr(0, end))) {
    return std::nullopt;
  }
  return Ref{.kind = Ref::Kind::TaskInput,
             .name = std::string(rest.substr(0, end)),
             .path = std::string(rest.substr(end))};
}

bool References::HasOwnInput(std::uint32_t task, std::string_view name) {
  const NodeId inputs = document_.tasks[task].inputs;
  if (inputs == kNoNode) return false;
  if (own_inputs_of_ != task) {
    own_inputs_of_ = task;
    own_inputs_.clear();
    for (const MapEntry& entry : reader_.tree.Entries(inputs)) {
      own_inputs_.insert(reader_.tree.Key(entry));
    }
  }
  return own_inputs_.count(name) > 0;
}

// Whether `ref` may mean something that was already refused as not supported.
bool References::IsSilenced(std::string_view ref, const Scope& scope) const {
  if (scope.task != kNone && document_.tasks[scope.task].refused_loop) return true;
  if (!StartsWith(ref, "task.")) return false;
  std::string_view name = ref.substr(5);
  for (std::size_t end = std::min<std::size_t>(name.size(), 513); end > 0; --end) {
    if (end < name.size() && name[end] != '.') continue;
    const auto it = document_.task_index.find(name.substr(0, end));
    if (it != document_.task_index.end()) return document_.tasks[it->second].refused_subtasks;
    if (document_.refused_names.count(name.substr(0, end)) > 0) return true;
  }
  return false;
}

void References::Unknown(std::string_view ref, std::uint32_t at, const Scope& scope) {
  if (scope.code && !StartsWith(ref, "workflow.") && !StartsWith(ref, "task.")) return;
  if (IsSilenced(ref, scope)) return;
  std::string message = fmt::format("{} is not known", Quote(ref));
  if (StartsWith(ref, "task.") && scope.task == kNone) {
    message = fmt::format("{} may not be used here, only inputs of the run and run.id", Quote(ref));
  } else if (ref == "task.output" || StartsWith(ref, "task.result")) {
    message = fmt::format(
        "{} may not be used here: the task has not run yet. To refer to another task, write "
        "task.NAME.output",
        Quote(ref));
  } else if (StartsWith(ref, "loop.") || ref == "iteration" || ref == "task.iteration") {
    message += ": there is no loop here";
  } else {
    std::string suggested = StartsWith(ref, "task.") ? SuggestTask(ref) : "";
    if (suggested.empty()) {
      std::vector<std::string_view> known(known_.begin(), known_.end());
      suggested = reader_.problems.Suggest(ref, known);
    }
    message += suggested;
  }
  reader_.problems.Error(at, "unknown-reference", std::move(message));
}

std::string References::SuggestTask(std::string_view ref) {
  const std::string_view rest = ref.substr(5);
  // A task that exists, with a member that does not?
  for (std::size_t end = std::min<std::size_t>(rest.size(), 513); end-- > 1;) {
    if (rest[end] != '.' || document_.task_index.count(rest.substr(0, end)) == 0) continue;
    std::vector<std::string> names;
    for (std::string_view member : kMembers) {
      names.push_back(fmt::format("task.{}.{}", rest.substr(0, end), member));
    }
    return reader_.problems.Suggest(ref, {names.begin(), names.end()});
  }
  // A member that exists, of a task that does not.
  for (std::size_t end = rest.size(); end-- > 1;) {
    std::string_view path;
    if (rest[end] != '.' || !MemberKind(rest.substr(end + 1), path)) continue;
    if (task_names_.empty()) {
      for (const TaskDoc& task : document_.tasks) task_names_.push_back(task.id);
    }
    if (reader_.problems.Suggest(rest.substr(0, end), task_names_).empty()) return "";
    const std::string meant = DidYouMean(rest.substr(0, end), task_names_);
    return fmt::format("; did you mean {}?",
                       Quote(fmt::format("task.{}{}", meant, rest.substr(end))));
  }
  return "";
}

std::vector<std::pair<std::string, Template>> References::CompileInputs(std::uint32_t task,
                                                                        bool& holds_references) {
  std::vector<std::pair<std::string, Template>> inputs;
  const NodeId node = document_.tasks[task].inputs;
  if (node == kNoNode) return inputs;
  for (const MapEntry& entry : reader_.tree.Entries(node)) {
    Template json = {std::string()};
    AppendJson(entry.value, task, json);
    holds_references = holds_references || json.size() > 1;
    inputs.emplace_back(reader_.tree.Key(entry), std::move(json));
  }
  return inputs;
}

// Literal pieces are JSON; what is put in for a reference is escaped by FillInputs().
void References::AppendJson(NodeId value, std::uint32_t task, Template& json) {
  const Tree& tree = reader_.tree;
  const auto add = [&](std::string_view text) {
    if (auto* literal = std::get_if<std::string>(&json.back())) {
      *literal += text;
    } else {
      json.emplace_back(std::string(text));
    }
  };
  switch (tree.Kind(value)) {
    case NodeKind::Null:
    case NodeKind::Bool:
    case NodeKind::Number:
      add(ToJson(reader_, value));
      return;
    case NodeKind::String:
      add("\"");
      for (Template::value_type& piece : Compile(value, {.task = task, .own_inputs = false})) {
        if (const auto* literal = std::get_if<std::string>(&piece)) {
          const std::string quoted = JsonString(*literal);
          add(std::string_view(quoted).substr(1, quoted.size() - 2));
        } else {
          json.push_back(std::move(piece));
        }
      }
      add("\"");
      return;
    case NodeKind::List: {
      std::string_view before = "[";
      for (NodeId item : tree.Items(value)) {
        add(before);
        before = ",";
        AppendJson(item, task, json);
      }
      add(before == "[" ? "[]" : "]");
      return;
    }
    case NodeKind::Map: {
      std::string_view before = "{";
      for (const MapEntry& entry : tree.Entries(value)) {
        add(before);
        before = ",";
        add(JsonString(tree.Key(entry)) + ":");
        AppendJson(entry.value, task, json);
      }
      add(before == "{" ? "{}" : "}");
      return;
    }
  }
}

void RenumberTasks(const std::vector<std::uint32_t>& plan_index, Template& text) {
  for (auto& piece : text) {
    auto* ref = std::get_if<Ref>(&piece);
    if (ref == nullptr) continue;
    switch (ref->kind) {
      case Ref::Kind::TaskOutput:
      case Ref::Kind::TaskResult:
      case Ref::Kind::TaskState:
      case Ref::Kind::TaskError:
        ref->task = plan_index[ref->task];
        break;
      case Ref::Kind::Input:
      case Ref::Kind::TaskInput:
      case Ref::Kind::SelfId:
      case Ref::Kind::SelfAttempt:
      case Ref::Kind::RunIdentity:
      case Ref::Kind::LoopIndex:
      case Ref::Kind::LoopItem:
      case Ref::Kind::SelfOutput:
      case Ref::Kind::SelfResult:
        break;
    }
  }
}

}  // namespace troupe
