#include "worker/attendant/collection.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "worker/attendant/json_text.h"
#include "worker/attendant/utf8.h"

namespace troupe {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kReasonBytesMax = 200;

Error Bad(std::string message) { return {ErrorCode::Invalid, std::move(message)}; }

Error TooMany() { return Bad(fmt::format("more than {} items", kCollectionItemsMax)); }

Error TooLong() {
  return Bad(fmt::format("its items are more than {} MiB of JSON", kCollectionBytesMax >> 20));
}

// Grows item by item.
class ItemList {
 public:
  Status Add(std::string_view json) {
    if (count_ == kCollectionItemsMax) return TooMany();
    const std::size_t around = count_ > 0 ? 2 : 1;  // A comma and the closing bracket.
    if (text_.size() + json.size() + around > kCollectionBytesMax) return TooLong();
    if (count_++ > 0) text_ += ',';
    text_ += json;
    return {};
  }
  std::string Take() && { return std::move(text_) + "]"; }

 private:
  std::string text_ = "[";
  std::size_t count_ = 0;
};

// What there is to know of a JSON text without building it in memory: a value of the library takes
// many times the bytes of its text.
class JsonSurvey {
 public:
  bool null() { return Value(); }
  bool boolean(bool) { return Value(); }
  bool number_integer(Json::number_integer_t) { return Value(); }
  bool number_unsigned(Json::number_unsigned_t) { return Value(); }
  bool number_float(Json::number_float_t, const std::string&) { return Value(); }
  bool string(std::string&) { return Value(); }
  bool binary(Json::binary_t&) { return Value(); }
  bool key(std::string&) { return true; }
  bool start_object(std::size_t) { return Open(); }
  bool end_object() { return Close(); }
  bool start_array(std::size_t) {
    if (depth_ == 0) list_ = true;
    return Open();
  }
  bool end_array() { return Close(); }
  template <class Exception>
  bool parse_error(std::size_t position, const std::string&, const Exception& error) {
    position_ = position;
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while …"
    std::string_view what = error.what();
    what.remove_prefix(what.find("] ") + 2);
    if (what.starts_with("parse error at ")) what.remove_prefix(what.find(": ") + 2);
    problem_ = fmt::format("not JSON: {}", Front(what, kReasonBytesMax));
    return false;
  }

  bool list() const { return list_; }
  std::size_t items() const { return items_; }  // Of the outermost list.
  const std::string& problem() const { return problem_; }
  std::size_t position() const { return position_; }  // Behind where it was noticed; 0: not known.

 private:
  bool Value() {
    if (depth_ == 1) ++items_;
    return true;
  }
  bool Open() {
    Value();
    if (++depth_ <= kJsonDepthMax) return true;
    problem_ = fmt::format("nested deeper than {}", kJsonDepthMax);
    return false;
  }
  bool Close() {
    --depth_;
    return true;
  }

  bool list_ = false;
  int depth_ = 0;
  std::size_t items_ = 0;
  std::size_t position_ = 0;
  std::string problem_;
};

// The same without the blanks between its words. `json` is valid JSON.
std::string Compact(std::string_view json) {
  std::string compact;
  compact.reserve(json.size());
  bool in_string = false;
  bool escaped = false;
  for (const char c : json) {
    if (!in_string && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) continue;
    if (c == '"' && !escaped) in_string = !in_string;
    escaped = in_string && c == '\\' && !escaped;
    compact += c;
  }
  return compact;
}

std::size_t LineOf(std::string_view text, std::size_t position) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(position, text.size()));
  return 1 + static_cast<std::size_t>(std::count(text.begin(), end, '\n'));
}

// Where a character begins that is none.
std::optional<std::size_t> FirstByteNotUtf8(std::string_view text) {
  const std::string valid = ValidUtf8(text);
  if (valid == text) return std::nullopt;
  const auto differs = std::mismatch(text.begin(), text.end(), valid.begin(), valid.end()).first;
  auto at = static_cast<std::size_t>(differs - text.begin());
  // U+FFFD, which stands there now, is EF BF BD: the first of these may be the same.
  if (at > 1 && text.substr(at - 2, 2) == "\xEF\xBF") return at - 2;
  if (at > 0 && text[at - 1] == '\xEF') return at - 1;
  return at;
}

std::string Quoted(std::string_view text) { return CompactJson(Json(text)); }

Result<std::string> JsonItems(std::string_view text) {
  JsonSurvey survey;
  if (!Json::sax_parse(text, &survey)) {
    if (survey.position() == 0) return Bad(survey.problem());
    return Bad(fmt::format("line {}: {}", LineOf(text, survey.position() - 1), survey.problem()));
  }
  if (!survey.list()) return Bad("it is not a JSON list");
  if (survey.items() > kCollectionItemsMax) return TooMany();
  return Compact(text);
}

// Calls take(line, number) until there is none left or one is refused.
template <class Take>
Status ForEachLine(std::string_view text, Take take) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (end != std::string_view::npos && line.ends_with('\r')) line.remove_suffix(1);
    if (Status taken = take(line, number); !taken) return taken;
  }
  return {};
}

Result<std::string> JsonLineItems(std::string_view text) {
  ItemList items;
  Status all = ForEachLine(text, [&](std::string_view line, std::size_t number) -> Status {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return {};
    JsonSurvey survey;
    if (Json::sax_parse(line, &survey)) return items.Add(Compact(line));
    return Bad(fmt::format("line {}: {}", number, survey.problem()));
  });
  if (!all) return all.error();
  return std::move(items).Take();
}

Result<std::string> LineItems(std::string_view text) {
  ItemList items;
  Status all = ForEachLine(
      text, [&](std::string_view line, std::size_t) -> Status { return items.Add(Quoted(line)); });
  if (!all) return all.error();
  return std::move(items).Take();
}

// Rows of fields, as RFC 4180 has them.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : left_(text) {}

  bool done() const { return left_.empty(); }
  std::size_t row() const { return row_; }  // Of the last Next(), counted from 1.

  Result<std::vector<std::string>> Next() {
    ++row_;
    std::vector<std::string> fields;
    for (;;) {
      Result<std::string> field = left_.starts_with('"') ? QuotedField() : PlainField();
      if (!field) return field.error();
      fields.push_back(*std::move(field));
      if (left_.empty()) return fields;
      const bool more = left_.front() == ',';
      left_.remove_prefix(left_.starts_with("\r\n") ? 2 : 1);
      if (!more) return fields;
    }
  }

 private:
  // Leaves what follows the field: a comma, the end of the row or nothing.
  Result<std::string> PlainField() {
    std::string_view field = left_.substr(0, left_.find_first_of(",\n"));
    if (left_.substr(field.size()).starts_with('\n') && field.ends_with('\r')) {
      field.remove_suffix(1);
    }
    if (field.find('"') != std::string_view::npos) {
      return Bad(fmt::format("row {}: a quote in the field {}, which does not begin with one", row_,
                             Quoted(Front(field, kReasonBytesMax))));
    }
    left_.remove_prefix(field.size());
    return std::string(field);
  }

  Result<std::string> QuotedField() {
    std::string field;
    left_.remove_prefix(1);
    for (;;) {
      const std::size_t end = left_.find('"');
      if (end == std::string_view::npos) {
        return Bad(fmt::format("row {}: a quote is not closed", row_));
      }
      field += left_.substr(0, end);
      left_.remove_prefix(end + 1);
      if (!left_.starts_with('"')) break;
      field += '"';  // Two of them are one.
      left_.remove_prefix(1);
    }
    if (left_.empty() || left_.front() == ',' || left_.front() == '\n' ||
        left_.starts_with("\r\n")) {
      return field;
    }
    return Bad(fmt::format("row {}: text behind the closing quote of a field", row_));
  }

  std::string_view left_;
  std::size_t row_ = 0;
};

Result<std::string> CsvItems(std::string_view text) {
  CsvReader reader(text);
  if (reader.done()) return Bad("it has no first row, which would name the columns");
  const Result<std::vector<std::string>> columns = reader.Next();
  if (!columns) return columns.error();
  std::set<std::string> seen;
  std::vector<std::string> keys;
  for (const std::string& column : *columns) {
    if (!seen.insert(column).second) {
      return Bad(
          fmt::format("row 1: two columns are named {}", Quoted(Front(column, kReasonBytesMax))));
    }
    keys.push_back(Quoted(column) + ":");
  }
  ItemList items;
  while (!reader.done()) {
    const Result<std::vector<std::string>> fields = reader.Next();
    if (!fields) return fields.error();
    if (fields->size() != keys.size()) {
      return Bad(fmt::format("row {}: {} field{}, but the first row names {} column{}",
                             reader.row(), fields->size(), fields->size() == 1 ? "" : "s",
                             keys.size(), keys.size() == 1 ? "" : "s"));
    }
    std::string item = "{";
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (i > 0) item += ',';
      item += keys[i] + Quoted((*fields)[i]);
    }
    if (Status added = items.Add(item + "}"); !added) return added.error();
  }
  return std::move(items).Take();
}

}  // namespace

Result<std::string> CollectionItems(std::string_view text, CollectionFormat format) {
  if (text.size() > kCollectionBytesMax) {
    return Bad(fmt::format("more than {} MiB", kCollectionBytesMax >> 20));
  }
  if (const std::optional<std::size_t> at = FirstByteNotUtf8(text)) {
    return Bad(fmt::format("line {}: byte 0x{:02x} is not UTF-8", LineOf(text, *at),
                           static_cast<unsigned char>(text[*at])));
  }
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  switch (format) {
    case CollectionFormat::Json:
      return JsonItems(text);
    case CollectionFormat::JsonLines:
      return JsonLineItems(text);
    case CollectionFormat::Lines:
      return LineItems(text);
    case CollectionFormat::Csv:
      return CsvItems(text);
  }
  CHECK(false);
}

}  // namespace troupe
