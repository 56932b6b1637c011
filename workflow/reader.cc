#include "workflow/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "workflow/names.h"
#include "workflow/scalars.h"

namespace troupe {
namespace {

// What people call keys that have another name here.
constexpr std::pair<std::string_view, std::string_view> kHints[] = {
    {"needs", "depends_on"},           {"timeout", "timeout_secs"}, {"retries", "on_error.retry"},
    {"max_retries", "on_error.retry"}, {"prompt", "description"},   {"run", "command"},
    {"retires", "on_error.retry"},
};

// The fixed hint for `word`, if what it names may stand here.
std::string_view HintFor(std::string_view word, const std::vector<std::string_view>& known) {
  const auto is_known = [&](std::string_view key) {
    return std::find(known.begin(), known.end(), key) != known.end();
  };
  for (const auto& [wrong, right] : kHints) {
    if (word != wrong) continue;
    const std::size_t dot = right.find('.');
    if (is_known(right.substr(0, dot))) return right;
    if (dot != std::string_view::npos && is_known(right.substr(dot + 1))) {
      return right.substr(dot + 1);
    }
  }
  return "";
}

// What a value is, behind "not ": `the string "3"`, `true`, `a list`.
std::string ShowValue(const Tree& tree, NodeId node) {
  switch (tree.Kind(node)) {
    case NodeKind::Null:
      return "null";
    case NodeKind::Bool:
      return std::string(tree.Text(node));
    case NodeKind::Number:
      return std::string(tree.Text(node).substr(0, 60));
    case NodeKind::String:
      return "the string " + Quote(tree.Text(node));
    case NodeKind::List:
      return "a list";
    case NodeKind::Map:
      return "a map";
  }
  return "";
}

// What would make a string the value that was wanted.
std::string Cure(std::string_view must, std::string_view text) {
  const NodeKind meant = KindOfPlain(text);
  if (must == "an integer" && IsJsonInteger(text)) return "; remove the quotes";
  if (must.substr(0, 8) == "a number" && meant == NodeKind::Number) return "; remove the quotes";
  if (must != "true or false") return "";
  if (meant == NodeKind::Bool) return "; remove the quotes";
  for (std::string_view word : {"yes", "Yes", "YES", "on", "On", "ON", "True", "TRUE", "y", "Y"}) {
    if (text == word) return "; did you mean true?";
  }
  for (std::string_view word :
       {"no", "No", "NO", "off", "Off", "OFF", "False", "FALSE", "n", "N"}) {
    if (text == word) return "; did you mean false?";
  }
  return "";
}

std::string ShowNumber(double number) {
  return std::floor(number) == number ? fmt::format("{:.0f}", number) : fmt::format("{}", number);
}

std::string Listed(const std::vector<std::string_view>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace

std::string Show(const Field& field) {
  return field.of.empty() ? Quote(field.name) : "an item of " + Quote(field.of);
}

std::string Show(const MapName& name) {
  return name.kind.empty() ? Quote(name.name) : fmt::format("{} {}", name.kind, Quote(name.name));
}

void Reader::WrongType(const Field& field, std::string_view must) {
  const std::uint32_t at = tree.At(field.node);
  if (tree.Kind(field.node) == NodeKind::Null) {
    problems.Error(at, "wrong-type",
                   fmt::format("{} has no value; remove {}", Show(field),
                               field.of.empty() ? "the key" : "it"));
    return;
  }
  std::string cure;
  if (tree.Kind(field.node) == NodeKind::String) cure = Cure(must, tree.Text(field.node));
  problems.Error(
      at, "wrong-type",
      fmt::format("{} must be {}, not {}{}", Show(field), must, ShowValue(tree, field.node), cure));
}

void Reader::NotYet(std::uint32_t at, std::string_view what, std::string_view name) {
  problems.Error(at, "not-yet", fmt::format("{} {} is not supported yet", what, Quote(name)));
}

std::optional<std::string_view> Reader::String(const Field& field) {
  switch (tree.Kind(field.node)) {
    case NodeKind::Bool:
    case NodeKind::Number:
    case NodeKind::String:
      return tree.Text(field.node);
    case NodeKind::Null:
    case NodeKind::List:
    case NodeKind::Map:
      break;
  }
  WrongType(field, "a string");
  return std::nullopt;
}

std::optional<bool> Reader::Bool(const Field& field) {
  if (tree.Kind(field.node) == NodeKind::Bool) return tree.Text(field.node) == "true";
  WrongType(field, "true or false");
  return std::nullopt;
}

std::optional<std::int64_t> Reader::Int(const Field& field, std::int64_t least, std::int64_t most) {
  const bool number = tree.Kind(field.node) == NodeKind::Number;
  const std::string_view text = number ? tree.Text(field.node) : "";
  if (!number || !IsJsonInteger(text)) {
    WrongType(field, "an integer");
    return std::nullopt;
  }
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && value >= least && value <= most) return value;
  problems.Error(At(field), "out-of-range",
                 fmt::format("{} must be between {} and {}, not {}", Show(field), least, most,
                             text.substr(0, 60)));
  return std::nullopt;
}

std::optional<double> Reader::Number(const Field& field, double least, double most) {
  if (tree.Kind(field.node) != NodeKind::Number) {
    WrongType(field, "a number");
    return std::nullopt;
  }
  const std::string text(tree.Text(field.node));
  const double value = std::strtod(text.c_str(), nullptr);
  if (value >= least && value <= most) return value;
  problems.Error(At(field), "out-of-range",
                 fmt::format("{} must be between {} and {}, not {}", Show(field), ShowNumber(least),
                             ShowNumber(most), text.substr(0, 60)));
  return std::nullopt;
}

std::optional<Duration> Reader::Seconds(const Field& field, bool above_zero) {
  if (tree.Kind(field.node) != NodeKind::Number) {
    WrongType(field, "a number of seconds");
    return std::nullopt;
  }
  const std::optional<double> value = Number(field, 0, kSecondsMax);
  if (!value) return std::nullopt;
  // A tiny time is the shortest there is, not none.
  const Duration duration = troupe::Seconds(*value);
  if (*value > 0 && duration == Duration{}) return Duration{1};
  if (above_zero && *value <= 0) {
    problems.Error(At(field), "out-of-range",
                   fmt::format("{} must be above 0, not {}", Show(field), tree.Text(field.node)));
    return std::nullopt;
  }
  return duration;
}

std::optional<std::size_t> Reader::Word(const Field& field,
                                        const std::vector<std::string_view>& words) {
  const std::optional<std::string_view> word = String(field);
  if (!word) return std::nullopt;
  const auto it = std::find(words.begin(), words.end(), *word);
  if (it != words.end()) return static_cast<std::size_t>(it - words.begin());
  problems.Error(At(field), "bad-value",
                 fmt::format("{} must be {}, not {}{}", Show(field), Listed(words), Quote(*word),
                             problems.Suggest(*word, words)));
  return std::nullopt;
}

bool Reader::IsMap(const Field& field) {
  if (tree.Kind(field.node) == NodeKind::Map) return true;
  WrongType(field, "a map");
  return false;
}

bool Reader::IsList(const Field& field) {
  if (tree.Kind(field.node) == NodeKind::List) return true;
  WrongType(field, "a list");
  return false;
}

std::vector<Field> Reader::List(const Field& field) {
  std::vector<Field> items;
  EachItem(field, [&](const Field& item) {
    items.push_back(item);
    return true;
  });
  return items;
}

std::vector<Named> Reader::Strings(const Field& field) {
  std::vector<Named> names;
  if (tree.Kind(field.node) == NodeKind::List) names.reserve(tree.Items(field.node).size());
  EachItem(field, [&](const Field& item) {
    if (const auto text = String(item)) names.push_back({*text, At(item)});
    return true;
  });
  return names;
}

bool Reader::TakePart(std::uint32_t at) {
  if (++parts_ <= kPartsMax) return true;
  if (parts_ == kPartsMax + 1) {
    problems.Error(
        at, "too-large",
        fmt::format("the file has more than {} agents, workflows, stages and hooks", kPartsMax));
  }
  return false;
}

bool Reader::CheckName(std::string_view kind, std::string_view name, std::uint32_t at) {
  const std::string wrong = WrongWithName(name);
  if (wrong.empty()) return true;
  problems.Error(at, "bad-name", fmt::format("{} {} {}", kind, Quote(name), wrong));
  return false;
}

bool Reader::CheckIdent(std::string_view kind, std::string_view name, std::uint32_t at) {
  const std::string wrong = WrongWithIdent(name);
  if (wrong.empty()) return true;
  problems.Error(at, "bad-name", fmt::format("{} {} {}", kind, Quote(name), wrong));
  return false;
}

bool Reader::IsLater(const Field& field, std::string_view what,
                     std::initializer_list<std::string_view> words) {
  if (tree.Kind(field.node) != NodeKind::String) return false;
  const std::string_view word = tree.Text(field.node);
  if (std::find(words.begin(), words.end(), word) == words.end()) return false;
  NotYet(At(field), what, word);
  return true;
}

bool Reader::CheckReserved(std::string_view what, std::string_view name, std::uint32_t at) {
  constexpr std::string_view kReserved[] = {"id", "attempt", "output", "result", "error", "status"};
  if (std::find(std::begin(kReserved), std::end(kReserved), name) == std::end(kReserved)) {
    return true;
  }
  problems.Error(at, "bad-name",
                 fmt::format("{} may not be called {}: ${{task.{}}} means something else", what,
                             Quote(name), name));
  return false;
}

void ReportUnknownKey(Reader& reader, const MapEntry& entry, const MapName& map,
                      const std::vector<std::string_view>& known) {
  const std::string_view word = reader.tree.Key(entry);
  const std::string_view hint = HintFor(word, known);
  const std::string meant = hint.empty() ? reader.problems.Suggest(word, known)
                                         : fmt::format("; did you mean {}?", Quote(hint));
  const std::string where =
      map.kind.empty() && map.name.empty() ? "" : fmt::format(" in {}", Show(map));
  if (reader.lenient) {
    reader.problems.Warning(
        entry.key_at, "unknown-key",
        fmt::format("unknown key {}{} is ignored{}", Quote(word), where, meant));
  } else {
    reader.problems.Error(entry.key_at, "unknown-key",
                          fmt::format("unknown key {}{}{}", Quote(word), where, meant));
  }
}

void ReportMissingKey(Reader& reader, std::uint32_t at, std::string_view key, const MapName& map,
                      std::string_view why) {
  const std::string who = map.kind.empty() && map.name.empty() ? "the workflow" : Show(map);
  reader.problems.Error(
      at, "missing-key",
      fmt::format("{} needs {}{}{}", who, Quote(key), why.empty() ? "" : ": ", why));
}

void WarnIgnored(Reader& reader, const MapEntry& entry) {
  reader.problems.Warning(
      entry.key_at, "unsupported",
      fmt::format("key {} is not supported and is ignored", Quote(reader.tree.Key(entry))));
}

}  // namespace troupe
