// tasks.NAME.loop
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "workflow/document.h"
#include "workflow/key_tables.h"
#include "workflow/names.h"

namespace troupe {
namespace {

using R = Reader;
using F = Field;

constexpr std::uint64_t kRangeItemsMax = 1'000'000;
constexpr std::int64_t kParallelMax = 100'000;

// A loop while it is read.
struct Reading {
  LoopDoc doc = {};
  bool fine = true;
};

void ReadItems(Reader& reader, const Field& field, Reading& loop) {
  const bool list = reader.tree.Kind(field.node) == NodeKind::List;
  if (!list && !reader.String(field)) {
    loop.fine = false;
    return;
  }
  loop.doc.items = field.node;
  if (!list || reader.tree.Items(field.node).size() <= kCollectionItemsMax) return;
  loop.fine = false;
  reader.problems.Error(reader.At(field), "too-large",
                        fmt::format("\"items\" has {} items; the limit is {}",
                                    reader.tree.Items(field.node).size(), kCollectionItemsMax));
}

template <std::int64_t Loop::*member>
void ReadBound(Reader& reader, const Field& field, Reading& loop) {
  using Limits = std::numeric_limits<std::int64_t>;
  const auto value = reader.Int(field, Limits::min(), Limits::max());
  loop.fine = loop.fine && value.has_value();
  loop.doc.loop.*member = value.value_or(1);
}

void ReadStep(Reader& reader, const Field& field, Reading& loop) {
  ReadBound<&Loop::step>(reader, field, loop);
  if (loop.doc.loop.step != 0) return;
  loop.fine = false;
  reader.problems.Error(reader.At(field), "out-of-range", "\"step\" may not be 0");
}

constexpr Key<Reading> kInlineKeys[] = {
    {"source", Support::Now, [](R&, const F&, Reading&) {}, ""},
    {"items", Support::Now, ReadItems, ""},
};
constexpr Key<Reading> kRangeKeys[] = {
    {"source", Support::Now, [](R&, const F&, Reading&) {}, ""},
    {"start", Support::Now, ReadBound<&Loop::start>, ""},
    {"end", Support::Now, ReadBound<&Loop::end>, ""},
    {"step", Support::Now, ReadStep},
};
constexpr Key<Reading> kFileKeys[] = {
    {"source", Support::Now, [](R&, const F&, Reading&) {}, ""},
    {"path", Support::Now, [](R& r, const F& f, Reading& l) { l.doc.path = ReadPath(r, f); }, ""},
    {"format", Support::Now,
     [](R& r, const F& f, Reading& l) {
       if (const auto word = r.Word(f, {"json", "json_lines", "lines", "csv"})) {
         l.doc.loop.format = static_cast<CollectionFormat>(*word);
       }
     },
     ""},
};

void CheckRange(Reader& reader, const Field& field, Reading& loop) {
  if (!loop.fine || RangeItems(loop.doc.loop) <= kRangeItemsMax) return;
  loop.fine = false;
  reader.problems.Error(reader.At(field), "too-large",
                        fmt::format("the range has {} items; the limit is {}",
                                    RangeItems(loop.doc.loop), kRangeItemsMax));
}

void ReadCollection(Reader& reader, const Field& field, Reading& loop) {
  loop.fine = false;
  if (!reader.IsMap(field)) return;
  const NodeId source = reader.tree.Find(field.node, "source");
  if (source == kNoNode) {
    ReportMissingKey(reader, reader.At(field), "source", {"", "collection"}, "");
    return;
  }
  const Field type{"source", source};
  if (reader.IsLater(type, "source", {"state", "http"})) return;
  const auto word = reader.Word(type, {"inline", "range", "file"});
  if (!word) return;
  loop.fine = true;
  const MapName name{"", "collection"};
  loop.doc.loop.source = static_cast<Loop::Source>(*word);
  switch (loop.doc.loop.source) {
    case Loop::Source::Inline:
      ReadMap(reader, field.node, kInlineKeys, name, loop);
      break;
    case Loop::Source::Range:
      ReadMap(reader, field.node, kRangeKeys, name, loop);
      CheckRange(reader, field, loop);
      break;
    case Loop::Source::File:
      ReadMap(reader, field.node, kFileKeys, name, loop);
      break;
  }
}

void ReadIterator(Reader& reader, const Field& field, Reading& loop) {
  const auto name = reader.String(field);
  if (!name) return;
  loop.doc.loop.iterator = *name;
  if (!reader.CheckIdent("loop variable", *name, reader.At(field))) return;
  reader.CheckReserved("a loop variable", *name, reader.At(field));
}

constexpr Key<Reading> kForEachKeys[] = {
    {"type", Support::Now, [](R&, const F&, Reading&) {}, ""},
    {"iterator", Support::Now, ReadIterator, ""},
    {"collection", Support::Now, ReadCollection, ""},
    {"parallel", Support::Now,
     [](R& r, const F& f, Reading& l) { l.doc.loop.parallel = r.Bool(f).value_or(false); }},
    {"max_parallel", Support::Now,
     [](R& r, const F& f, Reading& l) {
       l.doc.loop.max_parallel =
           static_cast<std::uint32_t>(r.Int(f, 1, kParallelMax).value_or(kNone));
     }},
};

}  // namespace

void AddLoopTables(std::vector<KeyTable>& tables) {
  AddTable("loop", kForEachKeys, tables);
  AddTable("collection_inline", kInlineKeys, tables);
  AddTable("collection_range", kRangeKeys, tables);
  AddTable("collection_file", kFileKeys, tables);
}

std::unique_ptr<LoopDoc> ReadLoop(Reader& reader, const Field& field) {
  if (!reader.IsMap(field)) return nullptr;
  const NodeId type = reader.tree.Find(field.node, "type");
  if (type == kNoNode) {
    ReportMissingKey(reader, reader.At(field), "type", {"", "loop"}, "");
    return nullptr;
  }
  const Field word{"type", type};
  if (reader.IsLater(word, "loop type", {"repeat", "while", "repeat_until"}) ||
      !reader.Word(word, {"for_each"})) {
    return nullptr;
  }
  Reading loop;
  ReadMap(reader, field.node, kForEachKeys, {"", "loop"}, loop);
  if (!loop.fine || loop.doc.loop.iterator.empty()) return nullptr;
  return std::make_unique<LoopDoc>(std::move(loop.doc));
}

}  // namespace troupe
