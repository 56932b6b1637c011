#include "worker/attendant/event_log.h"

#include <string>
#include <utility>

#include "base/attempt.h"
#include "worker/attendant/json_text.h"
#include "worker/attendant/utf8.h"

namespace troupe {

EventLog::EventLog(std::filesystem::path path) : path_(std::move(path)) {}

void EventLog::Append(Instant at, const std::vector<AgentEvent>& events) {
  using std::chrono::milliseconds;
  std::string lines;
  for (const AgentEvent& event : events) {
    Json json = {{"at", std::chrono::duration_cast<milliseconds>(at.time_since_epoch()).count()},
                 {"type", event.type},
                 {"text", ValidUtf8(Front(event.text, kEventTextBytesMax))}};
    if (event.value) json["value"] = *event.value;
    const std::string line = CompactJson(json) + "\n";
    if (line.size() > left_) break;
    left_ -= line.size();
    lines += line;
  }
  if (lines.empty()) return;
  tail_ += lines;
  if (tail_.size() > kOutcomeEventsBytesMax) {
    const std::size_t cut = tail_.find('\n', tail_.size() - kOutcomeEventsBytesMax);
    tail_.erase(0, cut == std::string::npos ? tail_.size() : cut + 1);
  }
  if (!file_.open()) file_ = OpenLog(path_);
  if (!file_.open() || !WriteAll(file_.get(), lines)) left_ = 0;
}

}  // namespace troupe
