#include "worker/attendant/output_capture.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace troupe {
namespace {

constexpr std::string_view kNewlines = "\r\n";
constexpr std::string_view kBlank = " \t\r\n\v\f";
constexpr std::size_t kHeldMax = 65536;
constexpr std::size_t kLineMax = 1000;

std::uint64_t HeadShare(std::uint64_t bytes, Truncation truncation) {
  switch (truncation) {
    case Truncation::Head:
      return bytes;
    case Truncation::Tail:
      return 0;
    case Truncation::Both:
      return bytes / 2;
  }
  return 0;
}

std::string WithoutNewlinesAtEnd(std::string text) {
  text.resize(text.find_last_not_of(kNewlines) + 1);
  return text;
}

}  // namespace

TextKeeper::TextKeeper(std::uint64_t bytes_max, Truncation truncation)
    : truncation_(truncation),
      head_max_(HeadShare(bytes_max, truncation)),
      tail_max_(bytes_max - head_max_) {}

void TextKeeper::Append(std::string_view text) {
  const std::size_t end = text.find_last_not_of(kNewlines) + 1;  // 0: nothing but newlines.
  if (end > 0) {
    Keep(held_);
    held_.clear();
    Keep(text.substr(0, end));
  }
  held_ += text.substr(end);
  if (held_.size() > kHeldMax) {
    Keep(held_);
    held_.clear();
  }
}

void TextKeeper::Keep(std::string_view text) {
  total_ += text.size();
  if (head_.size() < head_max_) {
    const std::size_t room = head_max_ - head_.size();
    head_ += text.substr(0, room);
    text.remove_prefix(std::min(room, text.size()));
  }
  if (tail_max_ == 0) return;
  if (text.size() > tail_max_) text.remove_prefix(text.size() - tail_max_);
  tail_ += text;
  if (tail_.size() / 2 > tail_max_) tail_.erase(0, tail_.size() - tail_max_);
}

std::string TextKeeper::Text(std::uint64_t bytes_max) const {
  const bool all_there = head_.size() + tail_.size() == total_;
  if (total_ <= bytes_max && all_there) return head_ + tail_;
  const std::uint64_t head_bytes = HeadShare(bytes_max, truncation_);
  const std::uint64_t tail_bytes = bytes_max - head_bytes;
  const std::string all = all_there ? head_ + tail_ : std::string();
  const std::string_view head = Front(all_there ? all : head_, head_bytes);
  const std::string_view tail = Back(all_there ? all : tail_, tail_bytes);
  return fmt::format("{}[... {} bytes left out ...]{}", head, total_ - head.size() - tail.size(),
                     tail);
}

StreamCapture::StreamCapture(std::filesystem::path spool, std::uint64_t bytes_max,
                             Truncation truncation, KeepWhole keep_whole)
    : spool_path_(std::move(spool)), kept_(bytes_max, truncation), keep_whole_(keep_whole) {}

void StreamCapture::Spool(std::string_view bytes) {
  if (spool_left_ == kSpooledBytesMax && !bytes.empty()) spool_ = OpenLog(spool_path_);
  const std::string_view part = bytes.substr(0, spool_left_);
  spool_left_ -= part.size();
  if (!spool_.open()) return;
  if (!WriteAll(spool_.get(), part) || spool_left_ == 0) spool_.Close();
}

void StreamCapture::Append(std::string_view bytes) {
  Spool(bytes);
  std::string text;
  filter_.Feed(bytes, text);
  Take(text);
}

void StreamCapture::Finish() {
  std::string text;
  filter_.Finish(text);
  Take(text);
  TakeLine();
}

void StreamCapture::Take(std::string_view text) {
  kept_.Append(text);
  if (keep_whole_ != KeepWhole::Never) {
    whole_ += text;
    const std::size_t first = whole_.find_first_not_of(kBlank);
    const bool other = first != std::string::npos && whole_[first] != '{' && whole_[first] != '[';
    if (whole_.size() > kWholeBytesMax || (keep_whole_ == KeepWhole::IfItMayBeJson && other)) {
      keep_whole_ = KeepWhole::Never;
      whole_ = std::string();
    }
  }
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(kNewlines);
    if (line_.size() < 2 * kLineMax) line_ += text.substr(0, std::min(end, 2 * kLineMax));
    if (end == std::string_view::npos) return;
    TakeLine();
    text.remove_prefix(end + 1);
  }
}

void StreamCapture::TakeLine() {
  const std::size_t first = line_.find_first_not_of(kBlank);
  if (first != std::string::npos) {
    const std::size_t end = line_.find_last_not_of(kBlank) + 1;
    last_line_ = Front(ValidUtf8(line_.substr(first, end - first)), kLineMax);
  }
  line_.clear();
}

std::optional<std::string_view> StreamCapture::whole() const {
  if (keep_whole_ == KeepWhole::Never) return std::nullopt;
  return whole_;
}

OutputLimits Bounded(OutputLimits limits) {
  for (std::uint64_t* bytes :
       {&limits.stdout_bytes, &limits.stderr_bytes, &limits.combined_bytes}) {
    *bytes = std::min(*bytes, kKeptBytesMax);
  }
  return limits;
}

CutOutput CutToLimits(const AttemptSpec& spec, const std::optional<std::string>& text,
                      const StreamCapture& standard_output, const StreamCapture& standard_error) {
  const OutputLimits& limits = spec.limits;
  const std::uint64_t first_max = std::min(limits.stdout_bytes, limits.combined_bytes);
  TextKeeper said(first_max, limits.truncation);
  if (text) said.Append(*text);
  const bool has_first = text || spec.capture_stdout;
  const TextKeeper& first = text ? said : standard_output.kept();
  const std::uint64_t first_bytes = has_first ? std::min(first.total(), first_max) : 0;
  const std::uint64_t error_max =
      std::min(limits.stderr_bytes, limits.combined_bytes - first_bytes);

  CutOutput cut;
  cut.error_output = standard_error.kept().Text(error_max);
  if (has_first) cut.output = first.Text(first_max);
  if (!text && spec.capture_stderr) {
    if (has_first) cut.output += first.newlines_at_end();
    cut.output = WithoutNewlinesAtEnd(cut.output + cut.error_output);
  }
  return cut;
}

}  // namespace troupe
