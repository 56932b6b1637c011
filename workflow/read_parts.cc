// Parts of a workflow file that occur in several places.
#include <fmt/format.h>

#include <algorithm>

#include "workflow/document.h"
#include "workflow/key_tables.h"
#include "workflow/names.h"

namespace troupe {
namespace {

using R = Reader;
using F = Field;

constexpr std::int64_t kBytesMax = 16'777'216;  // Kept of an output; the attendant keeps no more.

std::uint32_t ReadClasses(Reader& reader, const Field& field) {
  std::vector<std::string_view> known;
  for (int i = 0; i < kFailureClassCount; ++i) {
    const FailureTraits& traits = Traits(static_cast<FailureClass>(i));
    if (traits.listable) known.push_back(traits.name);
  }
  std::uint32_t mask = 0;
  for (const Named& word : reader.Strings(field)) {
    const std::optional<FailureClass> c = FailureClassFromName(word.name);
    if (c && Traits(*c).listable) {
      mask |= 1u << static_cast<unsigned>(*c);
    } else if (c) {
      reader.problems.Error(
          word.at, "unknown-class",
          fmt::format("failure class {} may not stand in {}", Quote(word.name), Quote(field.name)));
    } else {
      reader.problems.Error(word.at, "unknown-class",
                            fmt::format("failure class {} does not exist{}", Quote(word.name),
                                        reader.problems.Suggest(word.name, known)));
    }
  }
  return mask;
}

std::optional<std::uint32_t> Count(Reader& reader, const Field& field, std::int64_t least,
                                   std::int64_t most) {
  const std::optional<std::int64_t> value = reader.Int(field, least, most);
  if (!value) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

std::optional<OnExhausted> Exhausted(Reader& reader, const Field& field) {
  const auto word = reader.Word(field, {"abort", "skip", "continue"});
  if (!word) return std::nullopt;
  return static_cast<OnExhausted>(*word);
}

constexpr Key<OnErrorDoc> kOnErrorKeys[] = {
    {"retry", Support::Now,
     [](R& r, const F& f, OnErrorDoc& o) { o.retry = Count(r, f, 0, 1000); }},
    {"retry_delay_secs", Support::Now,
     [](R& r, const F& f, OnErrorDoc& o) {
       o.retry_delay = r.Seconds(f);
       o.retry_delay_at = r.At(f);
     }},
    {"exponential_backoff", Support::Now,
     [](R& r, const F& f, OnErrorDoc& o) { o.exponential_backoff = r.Bool(f); }},
    {"max_retry_delay_secs", Support::Now,
     [](R& r, const F& f, OnErrorDoc& o) {
       o.max_retry_delay = r.Seconds(f);
       o.max_retry_delay_at = r.At(f);
     }},
    {"jitter", Support::Now, [](R& r, const F& f, OnErrorDoc& o) { o.jitter = r.Number(f, 0, 1); }},
    {"retry_on", Support::Now,
     [](R& r, const F& f, OnErrorDoc& o) { o.retry_on = ReadClasses(r, f); }},
    {"no_retry_on", Support::Now,
     [](R& r, const F& f, OnErrorDoc& o) { o.no_retry_on = ReadClasses(r, f); }},
    {"fallback_agent", Support::Now,
     [](R& r, const F& f, OnErrorDoc& o) { o.fallback_names = r.Strings(f); }},
    {"fallback_retry", Support::Now,
     [](R& r, const F& f, OnErrorDoc& o) { o.fallback_retry = Count(r, f, 0, 1000); }},
    {"on_exhausted", Support::Now,
     [](R& r, const F& f, OnErrorDoc& o) { o.on_exhausted = Exhausted(r, f); }},
    {"prefer_other_worker", Support::Now,
     [](R& r, const F& f, OnErrorDoc& o) { o.prefer_other_worker = r.Bool(f); }},
};

constexpr Key<BreakerRules> kBreakerKeys[] = {
    {"failures", Support::Now,
     [](R& r, const F& f, BreakerRules& b) {
       b.failures = Count(r, f, 1, 1'000'000).value_or(b.failures);
     }},
    {"window_secs", Support::Now,
     [](R& r, const F& f, BreakerRules& b) { b.window = r.Seconds(f, true).value_or(b.window); }},
    {"cooldown_secs", Support::Now,
     [](R& r, const F& f, BreakerRules& b) {
       b.cooldown = r.Seconds(f, true).value_or(b.cooldown);
     }},
};

void ReadLabels(Reader& reader, const Field& field, Settings& settings) {
  std::vector<std::string> labels;
  for (const Named& label : reader.Strings(field)) {
    if (reader.CheckName("label", label.name, label.at)) labels.emplace_back(label.name);
  }
  settings.labels = std::move(labels);
}

constexpr Key<Settings> kRequiresKeys[] = {
    {"labels", Support::Now, ReadLabels},
    {"cpus", Support::NotYet},
    {"gpus", Support::NotYet},
    {"memory", Support::NotYet},
};

std::optional<std::uint64_t> Bytes(Reader& reader, const Field& field) {
  const std::optional<std::int64_t> value = reader.Int(field, 0, kBytesMax);
  if (!value) return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

void ReadTruncation(Reader& reader, const Field& field, Settings& settings) {
  if (reader.tree.Kind(field.node) == NodeKind::String &&
      reader.tree.Text(field.node) == "summary") {
    reader.NotYet(reader.At(field), "truncation_strategy", "summary");
    return;
  }
  if (const auto word = reader.Word(field, {"head", "tail", "both"})) {
    settings.truncation = static_cast<Truncation>(*word);
  }
}

constexpr Key<Settings> kLimitsKeys[] = {
    {"max_stdout_bytes", Support::Now,
     [](R& r, const F& f, Settings& s) { s.max_stdout_bytes = Bytes(r, f); }},
    {"max_stderr_bytes", Support::Now,
     [](R& r, const F& f, Settings& s) { s.max_stderr_bytes = Bytes(r, f); }},
    {"max_combined_bytes", Support::Now,
     [](R& r, const F& f, Settings& s) { s.max_combined_bytes = Bytes(r, f); }},
    {"truncation_strategy", Support::Now, ReadTruncation},
    {"max_context_bytes", Support::NotYet},
    {"max_context_tasks", Support::NotYet},
    {"external_storage_threshold", Support::Ignored},
    {"external_storage_dir", Support::Ignored},
    {"compress_external", Support::Ignored},
    {"cleanup_strategy", Support::Ignored},
};

bool IsKnownTool(std::string_view tool) {
  constexpr std::string_view kTools[] = {"Read", "Write",     "Edit",      "Bash",
                                         "Grep", "Glob",      "WebSearch", "WebFetch",
                                         "Task", "TodoWrite", "Skill",     "SlashCommand"};
  if (tool.substr(0, 5) == "mcp__") {
    const std::size_t second = tool.find("__", 5);
    return second != std::string_view::npos && second > 5 && second + 2 < tool.size();
  }
  const std::size_t pattern = tool.find('(');
  if (pattern != std::string_view::npos) {
    if (tool.back() != ')') return false;
    tool = tool.substr(0, pattern);
  }
  return std::find(std::begin(kTools), std::end(kTools), tool) != std::end(kTools);
}

}  // namespace

void AddSharedTables(std::vector<KeyTable>& tables) {
  AddTable("on_error", kOnErrorKeys, tables);
  AddTable("circuit_breaker", kBreakerKeys, tables);
  AddTable("requires", kRequiresKeys, tables);
  AddTable("limits", kLimitsKeys, tables);
}

OnErrorDoc ReadOnError(Reader& reader, const Field& field) {
  OnErrorDoc doc;
  switch (reader.tree.Kind(field.node)) {
    case NodeKind::String:
      doc.on_exhausted = Exhausted(reader, field);
      break;
    case NodeKind::Map:
      ReadMap(reader, field.node, kOnErrorKeys, {"", "on_error"}, doc);
      break;
    case NodeKind::Null:
    case NodeKind::Bool:
    case NodeKind::Number:
    case NodeKind::List:
      reader.WrongType(field, "a map, or abort, skip or continue");
      break;
  }
  return doc;
}

void ReadBreaker(Reader& reader, const Field& field, std::optional<BreakerRules>& breaker) {
  if (!reader.IsMap(field)) return;
  breaker.emplace();
  ReadMap(reader, field.node, kBreakerKeys, {"", "circuit_breaker"}, *breaker);
}

void ReadRequires(Reader& reader, const Field& field, Settings& settings) {
  if (reader.IsMap(field)) {
    ReadMap(reader, field.node, kRequiresKeys, {"", "requires"}, settings);
  }
}

void ReadLimits(Reader& reader, const Field& field, Settings& settings) {
  if (reader.IsMap(field)) ReadMap(reader, field.node, kLimitsKeys, {"", "limits"}, settings);
}

EnvDoc ReadEnv(Reader& reader, const Field& field) {
  EnvDoc env;
  if (!reader.IsMap(field)) return env;
  for (const MapEntry& entry : reader.tree.Entries(field.node)) {
    const std::string_view name = reader.tree.Key(entry);
    if (const std::string wrong = WrongWithVariable(name); !wrong.empty()) {
      reader.problems.Error(entry.key_at, "bad-name",
                            fmt::format("environment variable {} {}", Quote(name), wrong));
      continue;
    }
    const NodeId text = ReadText(reader, {name, entry.value});
    if (text != kNoNode) env.emplace_back(name, text);
  }
  return env;
}

std::vector<std::string> ReadTools(Reader& reader, const Field& field) {
  std::vector<std::string> tools;
  for (const Named& tool : reader.Strings(field)) {
    if (!IsKnownTool(tool.name)) {
      reader.problems.Warning(tool.at, "unknown-tool",
                              fmt::format("tool {} is not known here", Quote(tool.name)));
    }
    tools.emplace_back(tool.name);
  }
  return tools;
}

std::optional<Provider> ReadProvider(Reader& reader, const Field& field, bool& refused) {
  const std::optional<std::string_view> word = reader.String(field);
  if (!word) return std::nullopt;
  for (std::string_view later : {"codex", "acp", "anthropic", "openai", "ollama", "google"}) {
    if (*word != later) continue;
    reader.NotYet(reader.At(field), "provider", later);
    refused = true;
    return std::nullopt;
  }
  const auto known = reader.Word(field, {"claude", "command", "mock"});
  if (!known) {
    refused = true;
    return std::nullopt;
  }
  return static_cast<Provider>(*known);
}

NodeId ReadText(Reader& reader, const Field& field) {
  return reader.String(field) ? field.node : kNoNode;
}

NodeId ReadPath(Reader& reader, const Field& field) {
  const NodeId text = ReadText(reader, field);
  if (text == kNoNode || !reader.tree.Text(text).empty()) return text;
  reader.problems.Error(reader.At(field), "bad-value",
                        fmt::format("{} may not be empty", Show(field)));
  return kNoNode;
}

std::vector<NodeId> ReadTexts(Reader& reader, const Field& field) {
  std::vector<NodeId> texts;
  reader.EachItem(field, [&](const Field& item) {
    if (reader.String(item)) texts.push_back(item.node);
    return true;
  });
  return texts;
}

}  // namespace troupe
