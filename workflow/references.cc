#include "workflow/references.h"

#include <fmt/format.h>

#include <algorithm>

#include "workflow/names.h"
#include "workflow/values.h"

namespace troupe {
namespace {

constexpr std::size_t kPiecesMax = 4'000'000;
constexpr std::string_view kMembers[] = {"output", "result", "status", "error"};

bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// Where the path at the end of `text` begins: the longest `.a.b[0]` that nothing follows. All its
// steps begin paths too.
std::size_t PathBegin(std::string_view text) {
  const auto is_word = [](char c) { return IsLetter(c) || IsDigit(c) || c == '-'; };
  std::size_t begin = text.size();
  while (begin > 0) {
    std::size_t i = begin;
    if (text[i - 1] == ']') {
      --i;
      const std::size_t end = i;
      while (i > 0 && IsDigit(text[i - 1])) --i;
      if (i == end || end - i > 9 || i == 0 || text[i - 1] != '[') break;
    } else {
      while (i > 0 && is_word(text[i - 1])) --i;
      if (i == begin || i == 0 || text[i - 1] != '.') break;
    }
    begin = i - 1;
  }
  return begin;
}

bool IsPath(std::string_view path) { return PathBegin(path) == 0; }

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

RefWords Words(std::string_view name, std::string_view path) {
  return {.name = std::string(name), .path = std::string(path)};
}

// The kind of `output`, `result.a`, ... at the end of a reference, whose path begins at
// `path_begin` of `member` or before it. Nothing if it is none of them.
std::optional<Ref::Kind> MemberKind(std::string_view member, std::size_t path_begin,
                                    std::string_view& path) {
  path = "";
  if (member == "output") return Ref::Kind::TaskOutput;
  if (member == "status") return Ref::Kind::TaskState;
  if (member == "error") return Ref::Kind::TaskError;
  if (!StartsWith(member, "result")) return std::nullopt;
  const bool more = member.size() > 6;
  if (more && ((member[6] != '.' && member[6] != '[') || path_begin > 6)) return std::nullopt;
  path = member.substr(6);
  return Ref::Kind::TaskResult;
}

}  // namespace

References::References(Reader& reader, const Document& document)
    : reader_(reader), document_(document), names_(document, reader.problems) {
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
  if (!TakePiece(at)) return pieces;
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
    if (!TakePiece(at)) break;
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

// Counts texts and references. False after reporting that there are too many.
bool References::TakePiece(std::uint32_t at) {
  if (++pieces_ <= kPiecesMax) return true;
  if (pieces_ == kPiecesMax + 1) {
    reader_.problems.Error(
        at, "too-large", fmt::format("the file has more than {} texts and references", kPiecesMax));
  }
  return false;
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
  const std::string_view rest = dotted ? ref.substr(name_end + 1) : "";
  const std::size_t word_end = std::min(rest.find_first_of(".["), rest.size());
  if (dotted && first == "task") {
    resolved = ResolveTask(ref, at, scope);
  } else if (dotted && first == "workflow") {
    Scope run = scope;
    run.own_inputs = false;
    resolved = ResolveNamed(rest.substr(0, word_end), rest.substr(word_end), run);
  } else if (dotted && first == "loop") {
    resolved = ResolveLoop(rest.substr(0, word_end), rest.substr(word_end), scope);
  } else if (ref == "run.id") {
    resolved = Ref{.kind = Ref::Kind::RunIdentity};
  } else if (!dotted || first != "run") {
    resolved = ResolveBare(first, ref.substr(name_end), scope);
  }
  if (!resolved) {
    Unknown(ref, at, scope);
    return stays;
  }
  resolved->words.Change().written = ref;
  return *std::move(resolved);
}

// The loop whose iterations the text belongs to; null without one.
const Loop* References::LoopOf(const Scope& scope) const {
  if (scope.task == kNone || !scope.iteration) return nullptr;
  const TaskDoc& task = document_.tasks[scope.task];
  return task.loop ? &task.loop->loop : nullptr;
}

// `loop.NAME`
std::optional<Ref> References::ResolveLoop(std::string_view name, std::string_view path,
                                           const Scope& scope) {
  const Loop* loop = LoopOf(scope);
  if (loop == nullptr) return std::nullopt;
  if (name == "index" && path.empty()) return Ref{.kind = Ref::Kind::LoopIndex};
  if (name == loop->iterator && IsPath(path)) {
    return Ref{.kind = Ref::Kind::LoopItem, .words = Words(name, path)};
  }
  if (name == "iteration" && path.empty()) return Ref{.kind = Ref::Kind::LoopIndex};
  return std::nullopt;
}

// A bare `NAME`: a loop variable, an input of the task or of the run.
std::optional<Ref> References::ResolveBare(std::string_view name, std::string_view path,
                                           const Scope& scope) {
  if (name != "index") {
    if (auto ref = ResolveLoop(name, path, scope)) return ref;
  } else if (const Loop* loop = LoopOf(scope); loop != nullptr && loop->iterator == name) {
    if (!IsPath(path)) return std::nullopt;
    return Ref{.kind = Ref::Kind::LoopItem, .words = Words(name, path)};
  }
  return ResolveNamed(name, path, scope);
}

// An input of the task or of the run.
std::optional<Ref> References::ResolveNamed(std::string_view name, std::string_view path,
                                            const Scope& scope) {
  if (!IsPath(path)) return std::nullopt;
  Ref ref{.words = Words(name, path)};
  if (scope.own_inputs && scope.task != kNone && HasOwnInput(scope.task, name)) {
    if (scope.inputs_vary) return std::nullopt;
    ref.kind = Ref::Kind::TaskInput;
    return ref;
  }
  if (inputs_.count(name) == 0) return std::nullopt;
  ref.kind = Ref::Kind::Input;
  return ref;
}

// `task.` and what follows.
std::optional<Ref> References::ResolveTask(std::string_view ref, std::uint32_t at,
                                           const Scope& scope) {
  if (scope.task == kNone) return std::nullopt;
  const std::string_view rest = ref.substr(5);
  if (rest == "id") return Ref{.kind = Ref::Kind::SelfId};
  if (rest == "attempt") return Ref{.kind = Ref::Kind::SelfAttempt};
  const std::size_t path_begin = PathBegin(rest);
  const auto member_at = [&](std::size_t begin, std::string_view& path) {
    return MemberKind(rest.substr(begin), path_begin - std::min(begin, path_begin), path);
  };
  std::string_view path;
  // The longest id that fits.
  const std::vector<std::size_t> ends = names_.PrefixesIn(rest);
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    const auto kind = member_at(*end + 1, path);
    if (!kind) continue;
    const std::uint32_t task = names_.Find(rest.substr(0, *end), scope.task);
    if (task == kNone) continue;
    uses_.push_back({scope.task, task, at, *kind});
    if (scope.code && (*kind == Ref::Kind::TaskOutput || *kind == Ref::Kind::TaskResult)) {
      reader_.problems.Warning(
          at, "pasted-output",
          fmt::format("the output of task {} becomes program text here; pass it in \"env\"",
                      Quote(document_.tasks[task].id)));
    }
    return Ref{.kind = *kind, .task = task, .words = Words("", path)};
  }
  if (scope.ended) {
    const auto kind = member_at(0, path);
    if (kind == Ref::Kind::TaskOutput) return Ref{.kind = Ref::Kind::SelfOutput};
    if (kind == Ref::Kind::TaskResult) {
      return Ref{.kind = Ref::Kind::SelfResult, .words = Words("", path)};
    }
  }
  const std::size_t end = std::min(rest.find_first_of(".["), rest.size());
  const std::string_view name = rest.substr(0, end);
  if (scope.own_inputs && !scope.inputs_vary && IsPath(rest.substr(end)) &&
      HasOwnInput(scope.task, name)) {
    return Ref{.kind = Ref::Kind::TaskInput, .words = Words(name, rest.substr(end))};
  }
  if (name == "index") return std::nullopt;
  return ResolveLoop(name, rest.substr(end), scope);
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

// Whether `ref` may mean something that was already refused.
bool References::IsSilenced(std::string_view ref, const Scope& scope) const {
  if (scope.task != kNone && document_.tasks[scope.task].refused_loop) return true;
  return StartsWith(ref, "task.") && names_.IsRefused(ref.substr(5));
}

void References::Unknown(std::string_view ref, std::uint32_t at, const Scope& scope) {
  if (scope.code && !StartsWith(ref, "workflow.") && !StartsWith(ref, "task.")) return;
  if (IsSilenced(ref, scope)) return;
  const bool of_task = StartsWith(ref, "task.");
  const std::string_view word = of_task ? ref.substr(5) : ref;
  std::string message = fmt::format("{} is not known", Quote(ref));
  if (of_task && scope.task == kNone) {
    message = fmt::format("{} may not be used here, only inputs of the run and run.id", Quote(ref));
  } else if (ref == "task.output" || StartsWith(ref, "task.result")) {
    message = fmt::format(
        "{} may not be used here: the task has not run yet. To refer to another task, write "
        "task.NAME.output",
        Quote(ref));
  } else if (scope.inputs_vary &&
             HasOwnInput(scope.task,
                         word.substr(0, std::min(word.find_first_of(".["), word.size())))) {
    message = fmt::format(
        "{} may not be used here: the inputs of the task differ from iteration to iteration",
        Quote(ref));
  } else if (LoopOf(scope) == nullptr && MeansIteration(ref, scope)) {
    message = scope.iteration
                  ? fmt::format("{} is not known: there is no loop here", Quote(ref))
                  : fmt::format("{} may not be used here: this belongs to the loop as a whole",
                                Quote(ref));
  } else {
    std::string suggested = of_task ? SuggestTask(ref, scope) : "";
    message += suggested.empty() ? SuggestOther(ref, scope) : suggested;
  }
  reader_.problems.Error(at, "unknown-reference", std::move(message));
}

// Whether an iteration would know `ref`.
bool References::MeansIteration(std::string_view ref, const Scope& scope) const {
  if (StartsWith(ref, "loop.") || ref == "iteration" || ref == "task.iteration") return true;
  Scope of_iteration = scope;
  of_iteration.iteration = true;
  const Loop* loop = LoopOf(of_iteration);
  if (loop == nullptr) return false;
  const std::string_view word = StartsWith(ref, "task.") ? ref.substr(5) : ref;
  return word.substr(0, std::min(word.find_first_of(".["), word.size())) == loop->iterator;
}

std::string References::SuggestOther(std::string_view ref, const Scope& scope) {
  if (!reader_.problems.MaySuggest()) return "";
  std::vector<std::string> of_loop;
  if (const Loop* loop = LoopOf(scope); loop != nullptr) {
    of_loop = {loop->iterator, "loop." + loop->iterator, "loop.index"};
  }
  std::vector<std::string_view> known(of_loop.begin(), of_loop.end());
  known.insert(known.end(), known_.begin(), known_.end());
  return reader_.problems.Suggest(ref, known);
}

std::string References::SuggestTask(std::string_view ref, const Scope& scope) {
  const std::string_view rest = ref.substr(5);
  // A task that exists, with a member that does not?
  const std::vector<std::size_t> ends = names_.PrefixesIn(rest);
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    const std::string_view name = rest.substr(0, *end);
    if (names_.Find(name, scope.task) == kNone) continue;
    std::vector<std::string> members;
    for (std::string_view member : kMembers) {
      members.push_back(fmt::format("task.{}.{}", name, member));
    }
    return reader_.problems.Suggest(ref, {members.begin(), members.end()});
  }
  // A member that exists, of a task that does not.
  const std::size_t path_begin = PathBegin(rest);
  for (std::size_t end = rest.size(); end-- > 1;) {
    std::string_view path;
    if (rest[end] != '.') continue;
    const std::size_t begin = end + 1;
    if (!MemberKind(rest.substr(begin), path_begin - std::min(begin, path_begin), path)) continue;
    const std::string meant = names_.Meant(rest.substr(0, end), scope.task);
    if (meant.empty()) return "";
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
    AppendJson(entry.value, {.task = task, .own_inputs = false}, json);
    holds_references = holds_references || json.size() > 1;
    inputs.emplace_back(reader_.tree.Key(entry), std::move(json));
  }
  return inputs;
}

std::vector<StateWrite> References::CompileSet(NodeId set, const Scope& scope) {
  std::vector<StateWrite> writes;
  if (set == kNoNode) return writes;
  for (const MapEntry& entry : reader_.tree.Entries(set)) {
    StateWrite write{.key = std::string(reader_.tree.Key(entry))};
    if (reader_.tree.Kind(entry.value) == NodeKind::String) {
      write.value = Compile(entry.value, scope);
    } else {
      write.json = true;
      write.value = {std::string()};
      AppendJson(entry.value, scope, write.value);
    }
    writes.push_back(std::move(write));
  }
  return writes;
}

// Literal pieces are JSON; what is put in for a reference is escaped by FillJson().
void References::AppendJson(NodeId value, const Scope& scope, Template& json) {
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
      for (Template::value_type& piece : Compile(value, scope)) {
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
        AppendJson(item, scope, json);
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
        AppendJson(entry.value, scope, json);
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
