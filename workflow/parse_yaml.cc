// Builds a Tree from yaml-cpp's events: the one file that knows that library.
//
// Events instead of its nodes, because those hide duplicate keys, further documents and quotes, and
// take some 12 KB per task. Limits hold while parsing: a handler that has seen enough throws Stop,
// which ends yaml-cpp's work and is caught here.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "workflow/piecewise_text.h"
#include "workflow/scalars.h"
#include "workflow/tree.h"

namespace troupe {
namespace {

constexpr std::uint32_t kDepthMax = 64;
constexpr std::uint64_t kNodesMax = 16'777'216;
constexpr std::uint64_t kAliasNodesMax = 1'000'000;

struct Stop {
  std::uint32_t at = kNoPlace;
  const char* code = "";
  std::string message = "";
};

// What yaml-cpp says, in words that help.
std::string Reworded(const std::string& message) {
  static const std::pair<std::string_view, std::string_view> kWords[] = {
      {YAML::ErrorMsg::END_OF_SEQ_FLOW, "did not find expected ',' or ']'"},
      {YAML::ErrorMsg::END_OF_MAP_FLOW, "did not find expected ',' or '}'"},
      {YAML::ErrorMsg::END_OF_MAP,
       "did not find expected key; is this line indented as it should?"},
      {YAML::ErrorMsg::END_OF_SEQ,
       "did not find expected '-'; is this line indented as it should?"},
      {YAML::ErrorMsg::EOF_IN_SCALAR, "a quoted string is not closed"},
      {YAML::ErrorMsg::TAB_IN_INDENTATION, "a tab may not be used to indent; use spaces"},
      {YAML::ErrorMsg::MAP_VALUE, "did not expect ':' here; put text that contains ': ' in quotes"},
      {YAML::ErrorMsg::BLOCK_ENTRY, "did not expect a list item here"},
      {YAML::ErrorMsg::MAP_KEY, "did not expect a key here"},
      {YAML::ErrorMsg::FLOW_END, "found ']' or '}' without its beginning"},
      {YAML::ErrorMsg::UNKNOWN_TOKEN, "found a character that cannot begin a value; use quotes"},
  };
  for (const auto& [theirs, ours] : kWords) {
    if (message == theirs) return std::string(ours);
  }
  return message;
}

// yaml-cpp takes some tabs before a key for blanks, and stumbles over what comes next.
std::optional<std::uint32_t> TabInIndentation(std::string_view text, std::size_t at) {
  const std::size_t before = text.rfind('\n', std::min(at, text.size()) - 1);
  std::size_t place = at == 0 || before == std::string_view::npos ? 0 : before + 1;
  while (place < text.size() && text[place] == ' ') ++place;
  if (place >= text.size() || place > at || text[place] != '\t') return std::nullopt;
  return static_cast<std::uint32_t>(place);
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const Source& source, Problems& problems, PiecewiseText& input, Tree& tree)
      : source_(source), text_(source.text()), problems_(problems), input_(input), tree_(tree) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {
    Finish();
    documents_ = 1;
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(NodeKind::List, Offset(mark), tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(NodeKind::Map, Offset(mark), tag, anchor);
  }
  void OnMapEnd() override { Close(); }

  // A text without any document is null.
  void Finish() {
    if (tree_.root_ == kNoNode) tree_.root_ = MakeNode(NodeKind::Null, 0, "");
  }
  // The name of the alias at `at`.
  std::string AliasName(std::uint32_t at) const;

 private:
  struct Part {  // A finished node, with what aliases to it cost.
    NodeId node = kNoNode;
    std::uint64_t size = 1;
    std::uint32_t height = 0;
  };
  struct Frame {  // A list or map that is still open.
    NodeKind kind = NodeKind::List;
    std::uint32_t at = 0;
    YAML::anchor_t anchor = 0;
    std::size_t first_item = 0;   // Its items, in items_.
    std::size_t first_entry = 0;  // Its entries, in entries_.
    std::optional<Part> key = {};
    bool key_quoted = false;
    bool merges = false;
    std::uint64_t size = 1;
    std::uint32_t height = 1;
  };
  struct Anchored {
    Part part = {};
    bool open = true;
    bool quoted = false;
  };

  std::uint32_t Offset(const YAML::Mark& mark) const {
    return std::min(static_cast<std::uint32_t>(std::max(mark.pos, 0)),
                    static_cast<std::uint32_t>(text_.size()));
  }
  void BeginNode(std::uint32_t at);
  std::uint32_t AfterProperties(std::uint32_t at) const;
  void CheckClosed(std::uint32_t at) const;
  std::string_view NullWordAt(std::uint32_t at) const;
  std::uint32_t PlaceOfNothing(std::uint32_t at) const;
  NodeId MakeNode(NodeKind kind, std::uint32_t at, std::string_view text);
  NodeKind KindOf(std::uint32_t at, const std::string& tag, const std::string& value) const;
  void Open(NodeKind kind, std::uint32_t at, const std::string& tag, YAML::anchor_t anchor);
  void Close();
  void Complete(const Part& part, bool quoted, YAML::anchor_t anchor);
  void AddEntry(Frame& map, const Part& value);
  void CheckRepeats(const Frame& map);
  void Merge(const Frame& map);
  void AddMerged(NodeId from, std::vector<MapEntry>& into,
                 std::unordered_set<std::string_view>& taken);
  bool ExpectsKey() const {
    return !open_.empty() && open_.back().kind == NodeKind::Map && !open_.back().key;
  }

  const Source& source_;
  std::string_view text_;
  Problems& problems_;
  PiecewiseText& input_;
  Tree& tree_;
  std::vector<Frame> open_;
  std::vector<NodeId> items_;
  std::vector<MapEntry> entries_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
  std::uint64_t alias_nodes_ = 0;
  std::uint32_t last_at_ = 0;
  int documents_ = 0;
};

// Called first by every event that begins a node.
void TreeBuilder::BeginNode(std::uint32_t at) {
  input_.AnEventCame();
  if (documents_ > 0) {
    // Without a separator yaml-cpp takes what follows a finished document for another one.
    const std::string_view between = text_.substr(last_at_, at - std::min(at, last_at_));
    for (const char* separator : {"\n---", "\n..."}) {
      const auto found = between.rfind(separator);
      if (found == std::string_view::npos) continue;
      throw Stop{last_at_ + static_cast<std::uint32_t>(found) + 1, "several-documents",
                 "a second document begins here; a file holds one workflow"};
    }
    throw Stop{at, "yaml", "did not expect anything after the end of the document"};
  }
  last_at_ = at;
  if (tree_.nodes_.size() >= kNodesMax) {
    throw Stop{at, "too-large", fmt::format("the file has more than {} values", kNodesMax)};
  }
}

std::uint32_t TreeBuilder::AfterProperties(std::uint32_t at) const {
  std::size_t i = at;
  while (i < text_.size() && (text_[i] == '!' || text_[i] == '&')) {
    while (i < text_.size() && !IsBlank(text_[i])) ++i;
    while (i < text_.size() && (IsBlank(text_[i]) || text_[i] == '#')) {
      if (text_[i] == '#') i = std::min(text_.find('\n', i), text_.size() - 1);
      ++i;
    }
  }
  return static_cast<std::uint32_t>(std::min(i, text_.size()));
}

// yaml-cpp accepts a quoted string that the end of the file ends, if a newline comes before that.
void TreeBuilder::CheckClosed(std::uint32_t at) const {
  const std::uint32_t begin = AfterProperties(at);
  if (begin >= text_.size()) return;
  const char quote = text_[begin];
  if (quote != '"' && quote != '\'') return;
  for (std::size_t i = begin + 1; i < text_.size(); ++i) {
    if (quote == '"' && text_[i] == '\\') {
      ++i;
    } else if (text_[i] == quote) {
      if (quote == '"' || i + 1 >= text_.size() || text_[i + 1] != '\'') return;
      ++i;
    }
  }
  throw Stop{begin, "yaml", "a quoted string is not closed"};
}

// yaml-cpp reports null without its text: `~`, `null`, `Null`, `NULL`, or "" if nothing is there
// and `at` belongs to what follows.
std::string_view TreeBuilder::NullWordAt(std::uint32_t at) const {
  const std::uint32_t begin = AfterProperties(at);
  const bool key = ExpectsKey();
  if (!key && !open_.empty() && open_.back().kind == NodeKind::Map &&
      tree_.At(open_.back().key->node) == at) {
    return "";
  }
  for (std::string_view word : {"null", "Null", "NULL", "~"}) {
    if (text_.substr(begin, word.size()) != word) continue;
    if (key) return word;
    std::size_t i = begin + word.size();
    while (i < text_.size() && (text_[i] == ' ' || text_[i] == '\t')) ++i;
    if (i < text_.size() && text_[i] == ':') return "";
    return word;
  }
  return "";
}

// Where a value would stand that is not there: at its key, or at the dash of its item.
std::uint32_t TreeBuilder::PlaceOfNothing(std::uint32_t at) const {
  if (open_.empty()) return at;
  const Frame& frame = open_.back();
  if (frame.kind == NodeKind::Map) return frame.key ? tree_.At(frame.key->node) : at;
  std::uint32_t i = at;
  while (i > frame.at && IsBlank(text_[i - 1])) --i;
  const char before = i > frame.at ? text_[i - 1] : '\0';
  return before == '-' || before == ',' ? i - 1 : at;
}

NodeId TreeBuilder::MakeNode(NodeKind kind, std::uint32_t at, std::string_view text) {
  const auto first = static_cast<std::uint32_t>(tree_.characters_.size());
  tree_.characters_.append(text);
  tree_.nodes_.push_back({kind, at, first, static_cast<std::uint32_t>(text.size())});
  return static_cast<NodeId>(tree_.nodes_.size() - 1);
}

NodeKind TreeBuilder::KindOf(std::uint32_t at, const std::string& tag,
                             const std::string& value) const {
  constexpr std::string_view kCore = "tag:yaml.org,2002:";
  if (tag == "!" || tag == kCore.data() + std::string("str")) return NodeKind::String;
  const NodeKind kind = KindOfPlain(value);
  if (tag == "?") return kind;
  const std::string_view name = std::string_view(tag).substr(0, kCore.size()) == kCore
                                    ? std::string_view(tag).substr(kCore.size())
                                    : "";
  if (name == "null" && kind == NodeKind::Null) return kind;
  if (name == "bool" && kind == NodeKind::Bool) return kind;
  if (name == "float" && kind == NodeKind::Number) return kind;
  if (name == "int" && kind == NodeKind::Number && IsJsonInteger(value)) return kind;
  const std::string shown = name.empty() ? tag : "!!" + std::string(name);
  for (std::string_view known : {"null", "bool", "float", "int", "map", "seq"}) {
    if (name == known)
      throw Stop{at, "tag", fmt::format("tag {} does not fit {}", Quote(shown), Quote(value))};
  }
  throw Stop{at, "tag", fmt::format("tag {} is not allowed", Quote(shown))};
}

void TreeBuilder::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                           const std::string& value) {
  const std::uint32_t at = Offset(mark);
  BeginNode(at);
  const NodeKind kind = KindOf(at, tag, value);
  if (tag != "?") CheckClosed(at);
  Complete({MakeNode(kind, at, value), 1, 0}, tag != "?", anchor);
}

void TreeBuilder::OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) {
  const std::uint32_t at = Offset(mark);
  BeginNode(at);
  const std::string_view word = NullWordAt(at);
  const NodeKind kind = word == "Null" || word == "NULL" ? NodeKind::String : NodeKind::Null;
  Complete({MakeNode(kind, word.empty() ? PlaceOfNothing(at) : at, word), 1, 0}, false, anchor);
}

std::string TreeBuilder::AliasName(std::uint32_t at) const {
  if (at >= text_.size() || text_[at] != '*') return "";
  std::size_t end = at + 1;
  while (end < text_.size() && !IsBlank(text_[end]) &&
         std::string_view(",]}").find(text_[end]) == std::string_view::npos) {
    ++end;
  }
  return std::string(text_.substr(at + 1, end - at - 1));
}

void TreeBuilder::OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) {
  const std::uint32_t at = Offset(mark);
  BeginNode(at);
  const auto it = anchors_.find(anchor);
  if (it == anchors_.end() || it->second.open) {
    throw Stop{at, "alias",
               fmt::format("alias {} stands within what it stands for", Quote(AliasName(at)))};
  }
  const Anchored& target = it->second;
  alias_nodes_ += target.part.size;
  if (alias_nodes_ > kAliasNodesMax) {
    throw Stop{at, "alias", fmt::format("aliases make more than {} values", kAliasNodesMax)};
  }
  if (open_.size() + target.part.height > kDepthMax) {
    throw Stop{at, "too-large",
               fmt::format("lists and maps are nested more than {} levels deep", kDepthMax)};
  }
  Complete(target.part, target.quoted, 0);
}

void TreeBuilder::Open(NodeKind kind, std::uint32_t at, const std::string& tag,
                       YAML::anchor_t anchor) {
  BeginNode(at);
  const std::string_view fits =
      kind == NodeKind::Map ? "tag:yaml.org,2002:map" : "tag:yaml.org,2002:seq";
  if (tag != "?" && tag != "!" && !tag.empty() && tag != fits) {
    throw Stop{at, "tag", fmt::format("tag {} is not allowed here", Quote(tag))};
  }
  if (open_.size() >= kDepthMax) {
    throw Stop{at, "too-large",
               fmt::format("lists and maps are nested more than {} levels deep", kDepthMax)};
  }
  if (anchor != 0) anchors_[anchor] = {};
  open_.push_back({.kind = kind,
                   .at = at,
                   .anchor = anchor,
                   .first_item = items_.size(),
                   .first_entry = entries_.size()});
}

void TreeBuilder::Close() {
  input_.AnEventCame();
  Frame frame = open_.back();
  std::uint32_t first = 0;
  std::size_t count = 0;
  if (frame.kind == NodeKind::List) {
    first = static_cast<std::uint32_t>(tree_.items_.size());
    tree_.items_.insert(tree_.items_.end(),
                        items_.begin() + static_cast<std::ptrdiff_t>(frame.first_item),
                        items_.end());
    count = items_.size() - frame.first_item;
    items_.resize(frame.first_item);
  } else {
    CheckRepeats(frame);
    if (frame.merges) Merge(frame);
    first = static_cast<std::uint32_t>(tree_.entries_.size());
    tree_.entries_.insert(tree_.entries_.end(),
                          entries_.begin() + static_cast<std::ptrdiff_t>(frame.first_entry),
                          entries_.end());
    count = entries_.size() - frame.first_entry;
    entries_.resize(frame.first_entry);
  }
  tree_.nodes_.push_back({frame.kind, frame.at, first, static_cast<std::uint32_t>(count)});
  open_.pop_back();
  Complete({static_cast<NodeId>(tree_.nodes_.size() - 1), frame.size, frame.height}, false,
           frame.anchor);
}

// A node is finished: gives it to the list or map it stands in.
void TreeBuilder::Complete(const Part& part, bool quoted, YAML::anchor_t anchor) {
  if (anchor != 0) anchors_[anchor] = {part, false, quoted};
  if (open_.empty()) {
    tree_.root_ = part.node;
    return;
  }
  Frame& frame = open_.back();
  frame.size += part.size;
  frame.height = std::max(frame.height, part.height + 1);
  if (frame.kind == NodeKind::List) {
    items_.push_back(part.node);
  } else if (!frame.key) {
    frame.key = part;
    frame.key_quoted = quoted;
  } else {
    AddEntry(frame, part);
  }
}

void TreeBuilder::AddEntry(Frame& map, const Part& value) {
  const NodeId key = map.key->node;
  const bool plain = !map.key_quoted;
  map.key.reset();
  const NodeKind kind = tree_.Kind(key);
  if (kind == NodeKind::List || kind == NodeKind::Map) {
    problems_.Error(
        tree_.At(key), "wrong-type",
        fmt::format("a key must be text, not a {}", kind == NodeKind::List ? "list" : "map"));
    return;
  }
  if (kind == NodeKind::Null || tree_.Text(key).empty()) {
    problems_.Error(tree_.At(key), "wrong-type",
                    kind == NodeKind::Null ? "a key must be text, not null; use quotes"
                                           : "a key may not be empty");
    return;
  }
  if (plain && tree_.Text(key) == "<<") map.merges = true;
  entries_.push_back({tree_.nodes_[key].first, tree_.nodes_[key].count, tree_.At(key), value.node});
}

// Reports keys that stand twice; the first one counts.
void TreeBuilder::CheckRepeats(const Frame& map) {
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(map.first_entry);
  const auto repeated = [&](const MapEntry& first, const MapEntry& again) {
    problems_.Error(again.key_at, "duplicate-key",
                    fmt::format("key {} appears twice (first on line {})", Quote(tree_.Key(again)),
                                source_.LineAt(first.key_at)));
  };
  const auto count = static_cast<std::size_t>(entries_.end() - begin);
  if (count < 2) return;
  if (count <= 8) {
    auto end = begin + 1;
    for (auto it = begin + 1; it != entries_.end(); ++it) {
      const auto first = std::find_if(
          begin, end, [&](const MapEntry& entry) { return tree_.Key(entry) == tree_.Key(*it); });
      if (first == end) {
        *end++ = *it;
      } else {
        repeated(*first, *it);
      }
    }
    entries_.erase(end, entries_.end());
    return;
  }
  std::unordered_map<std::string_view, MapEntry> seen;
  seen.reserve(count);
  const auto end = std::remove_if(begin, entries_.end(), [&](const MapEntry& entry) {
    const auto [it, fresh] = seen.emplace(tree_.Key(entry), entry);
    if (!fresh) repeated(it->second, entry);
    return !fresh;
  });
  entries_.erase(end, entries_.end());
}

// Puts the entries of merged maps where `<<` stands.
void TreeBuilder::Merge(const Frame& map) {
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(map.first_entry);
  const std::vector<MapEntry> written(begin, entries_.end());
  std::unordered_set<std::string_view> taken;
  for (const MapEntry& entry : written) taken.insert(tree_.Key(entry));
  std::vector<MapEntry> merged;
  for (const MapEntry& entry : written) {
    if (tree_.Key(entry) != "<<") {
      merged.push_back(entry);
      continue;
    }
    if (tree_.Kind(entry.value) == NodeKind::List) {
      for (NodeId item : tree_.Items(entry.value)) AddMerged(item, merged, taken);
    } else {
      AddMerged(entry.value, merged, taken);
    }
  }
  entries_.resize(map.first_entry);
  entries_.insert(entries_.end(), merged.begin(), merged.end());
}

void TreeBuilder::AddMerged(NodeId from, std::vector<MapEntry>& into,
                            std::unordered_set<std::string_view>& taken) {
  if (tree_.Kind(from) != NodeKind::Map) {
    problems_.Error(tree_.At(from), "wrong-type", "\"<<\" must be a map or a list of maps");
    return;
  }
  for (const MapEntry& entry : tree_.Entries(from)) {
    if (taken.insert(tree_.Key(entry)).second) into.push_back(entry);
  }
}

bool ParseYaml(const Source& source, Problems& problems, Tree& tree) {
  PiecewiseText input(source.text());
  std::istream stream(&input);
  TreeBuilder builder(source, problems, input, tree);
  const auto stop = [&](std::uint32_t at, const char* code, std::string message) {
    if (input.gave_up()) {
      at = kNoPlace;
      code = "too-large";
      message =
          "one value holds too much, or too much stands within one pair of brackets; write the "
          "file in "
          "block style";
    }
    problems = Problems();
    problems.Error(at, code, std::move(message));
    return false;
  };
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    if (input.gave_up()) return stop(kNoPlace, "", "");
    builder.Finish();
    return true;
  } catch (const Stop& found) {
    if (std::string_view(found.code) == "several-documents") {
      problems.Error(found.at, found.code, found.message);
      return true;
    }
    return stop(found.at, found.code, found.message);
  } catch (const YAML::Exception& error) {
    const auto at = static_cast<std::uint32_t>(std::max(error.mark.pos, 0));
    if (const std::string alias = builder.AliasName(at); !alias.empty()) {
      return stop(at, "alias", fmt::format("alias {} is not defined", Quote(alias)));
    }
    if (const auto tab = TabInIndentation(source.text(), at)) {
      return stop(*tab, "yaml", Reworded(YAML::ErrorMsg::TAB_IN_INDENTATION));
    }
    return stop(at, "yaml", Reworded(error.msg));
  }
}

}  // namespace troupe
