#include "cli/log_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/text.h"

namespace troupe {
namespace {

constexpr std::size_t kTailBytes = 1'024;

std::string_view WithoutNewlines(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// "12:00:03 tool Bash", a line each.
std::string EventText(std::string_view lines) {
  std::string text;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const auto json = nlohmann::json::parse(lines.substr(0, end), nullptr, false);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (!json.is_object()) continue;
    const auto member = [&](const char* key) {
      const auto it = json.find(key);
      return it != json.end() && it->is_string() ? Escaped(it->get<std::string>()) : "";
    };
    const auto at = json.find("at");
    const std::int64_t ms =
        at != json.end() && at->is_number_integer() ? at->get<std::int64_t>() : 0;
    text += fmt::format("{} {} {}", FormatLocal(Instant{} + std::chrono::milliseconds(ms)),
                        member("type"), member("text"));
    if (json.contains("value")) text += " " + json["value"].dump();
    text += '\n';
  }
  return text;
}

}  // namespace

void LogText::Shown::Add(std::string_view text) {
  bytes += text.size();
  tail += text;
  if (tail.size() > kTailBytes) tail.erase(0, tail.size() - kTailBytes);
}

// The kept text has no newlines at its end, and may have lost its beginning or its middle. Rather
// twice than not at all.
std::size_t LogText::Shown::PlaceIn(std::string_view kept) const {
  if (bytes == 0) return 0;
  const std::string_view end = WithoutNewlines(tail);
  const std::size_t cut = bytes - (tail.size() - end.size());
  const bool whole = kept.size() >= cut && kept.substr(cut - end.size(), end.size()) == end;
  if (whole) return std::min(kept.size(), bytes);
  const std::size_t place = end.empty() ? std::string_view::npos : kept.find(end);
  return place == std::string_view::npos ? 0 : std::min(kept.size(), place + tail.size());
}

void LogText::Running(const AttemptId& id, const std::string& name, std::string_view more_output,
                      std::string_view more_error, std::string_view more_events) {
  const auto [it, added] = running_.try_emplace(id);
  if (!added && more_output.empty() && more_error.empty() && more_events.empty()) return;
  if (at_ != id) Heading(fmt::format("{}, attempt {}: running", name, id.number));
  at_ = id;
  it->second.output.Add(more_output);
  it->second.error.Add(more_error);
  it->second.events.Add(more_events);
  Print(Stream::Events, EventText(more_events));
  Print(Stream::Output, more_output);
  Print(Stream::Error, more_error);
}

std::size_t LogText::Known(const AttemptId& id, Stream stream) const {
  const auto it = running_.find(id);
  if (it == running_.end()) return 0;
  if (stream == Stream::Events) return it->second.events.bytes;
  return stream == Stream::Output ? it->second.output.bytes : it->second.error.bytes;
}

void LogText::Ended(const AttemptId& id, const std::string& name, const std::string& end,
                    std::string_view output, std::string_view error, std::string_view events) {
  if (!ended_.insert(id).second) return;
  Attempt shown;
  if (const auto it = running_.find(id); it != running_.end()) {
    shown = std::move(it->second);
    running_.erase(it);
  }
  const std::string heading = fmt::format("{}, {}", name, end);
  const bool goes_on = at_ == id;  // Then its last lines stand where they belong, under the first.
  if (!goes_on) Heading(heading);
  Print(Stream::Events, EventText(events.substr(shown.events.PlaceIn(events))));
  Print(Stream::Output, output.substr(shown.output.PlaceIn(output)));
  Print(Stream::Error, error.substr(shown.error.PlaceIn(error)));
  if (goes_on) Heading(heading);
  at_ = {};
}

std::string LogText::Take() {
  if (line_open_ && at_ == AttemptId{}) {  // Whoever runs may go on in its line.
    text_ += '\n';
    line_open_ = false;
  }
  return std::exchange(text_, "");
}

void LogText::Heading(const std::string& text) {
  if (line_open_) text_ += '\n';
  line_open_ = false;
  stream_ = Stream::Output;
  text_ += "=== " + text + "\n";
}

void LogText::Print(Stream stream, std::string_view text) {
  if (text.empty()) return;
  if (stream != stream_) {
    if (line_open_) text_ += '\n';
    text_ += stream == Stream::Error    ? "--- stderr\n"
             : stream == Stream::Events ? "--- events\n"
                                        : "--- stdout\n";
    stream_ = stream;
  }
  text_ += text;
  line_open_ = text.back() != '\n';
}

}  // namespace troupe
