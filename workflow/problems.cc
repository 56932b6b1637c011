#include "workflow/problems.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace troupe {
namespace {

constexpr std::size_t kMessageBytesMax = 400;
constexpr std::size_t kQuotedBytesMax = 160;
constexpr std::size_t kPrintedMax = 100;
constexpr std::size_t kFoundMax = 200'000;
constexpr std::size_t kCandidatesMax = 10'000'000;
constexpr std::size_t kWordMax = 128;

// The number of inserts, deletes, replacements and swaps of neighbours that make `b` of `a`;
// `limit` + 1 if it is more than `limit`.
std::size_t Distance(const std::u32string& a, const std::u32string& b, std::size_t limit) {
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) > limit) return limit + 1;
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    std::size_t least = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
      least = std::min(least, row[j]);
    }
    if (least > limit) return limit + 1;
    std::swap(before, above);
    std::swap(above, row);
  }
  return std::min(above[b.size()], limit + 1);
}

}  // namespace

std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (word.size() > 4 * kWordMax) return "";
  const std::u32string wanted = DecodeUtf8(word);
  if (wanted.empty() || wanted.size() > kWordMax) return "";
  std::size_t limit = std::max<std::size_t>(1, wanted.size() / 3);
  std::string_view best;
  for (std::string_view candidate : candidates) {
    if (candidate.empty() || candidate.size() > 4 * (wanted.size() + limit)) continue;
    const std::size_t distance = Distance(wanted, DecodeUtf8(candidate), limit);
    if (distance > limit) continue;
    best = candidate;
    if (distance <= 1) break;
    limit = distance - 1;
  }
  return std::string(best);
}

std::string CutText(std::string text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  std::size_t end = bytes - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

std::string Quote(std::string_view text) {
  const bool cut = text.size() > kQuotedBytesMax;
  std::string quoted = "\"";
  for (char c : cut ? CutText(std::string(text.substr(0, 2 * kQuotedBytesMax)), kQuotedBytesMax)
                    : std::string(text)) {
    switch (c) {
      case '"':
        quoted += "\\\"";
        break;
      case '\\':
        quoted += "\\\\";
        break;
      case '\n':
        quoted += "\\n";
        break;
      case '\t':
        quoted += "\\t";
        break;
      case '\r':
        quoted += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          quoted += c;
        }
    }
  }
  return quoted + "\"";
}

void Problems::Error(std::uint32_t at, const char* code, std::string message) {
  has_errors_ = true;
  Add({at, false, code, std::move(message)});
}

void Problems::Warning(std::uint32_t at, const char* code, std::string message) {
  Add({at, true, code, std::move(message)});
}

void Problems::Add(Found found) {
  if (found_.size() >= kFoundMax) return;  // More than anyone reads, and bounded.
  found.message = CutText(std::move(found.message), kMessageBytesMax);
  found_.push_back(std::move(found));
}

std::string Problems::Suggest(std::string_view word,
                              const std::vector<std::string_view>& candidates) {
  const std::string meant = Nearest(word, candidates);
  return meant.empty() ? "" : fmt::format("; did you mean {}?", Quote(meant));
}

std::string Problems::Nearest(std::string_view word,
                              const std::vector<std::string_view>& candidates) {
  if (!MaySuggest()) return "";
  looked_at_ += candidates.size();
  return DidYouMean(word, candidates);
}

bool Problems::MaySuggest() const { return looked_at_ <= kCandidatesMax; }

std::vector<Problem> Problems::TakeSorted(const Source& source) {
  const auto key = [](const Found& found) {
    // Problems without a place come first.
    return std::tuple(found.at == kNoPlace ? 0 : std::uint64_t{found.at} + 1, found.warning,
                      std::string_view(found.code), std::string_view(found.message));
  };
  std::stable_sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) {
    return (a.at == kNoPlace ? 0 : std::uint64_t{a.at} + 1) <
           (b.at == kNoPlace ? 0 : std::uint64_t{b.at} + 1);
  });
  std::vector<Problem> problems;
  for (std::size_t i = 0; i < found_.size(); ++i) {
    // What an alias repeats is said once; equal problems have one place.
    bool repeated = false;
    for (std::size_t j = i; j-- > 0 && i - j <= 8 && found_[j].at == found_[i].at && !repeated;) {
      repeated = key(found_[j]) == key(found_[i]);
    }
    if (repeated) continue;
    const Place place = source.At(found_[i].at);
    problems.push_back(
        {place.line, place.column, found_[i].warning, found_[i].code, found_[i].message});
  }
  found_.clear();
  has_errors_ = false;
  return problems;
}

std::string FormatProblems(std::string_view file, const std::vector<Problem>& problems) {
  std::string text;
  for (std::size_t i = 0; i < problems.size() && i < kPrintedMax; ++i) {
    const Problem& problem = problems[i];
    text += file;
    if (problem.line > 0) text += fmt::format(":{}:{}", problem.line, problem.column);
    text += fmt::format(": {}: {} [{}]\n", problem.warning ? "warning" : "error", problem.message,
                        problem.code);
  }
  if (problems.size() > kPrintedMax) {
    text += fmt::format("... and {} more\n", problems.size() - kPrintedMax);
  }
  return text;
}

}  // namespace troupe
