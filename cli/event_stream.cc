#include "cli/event_stream.h"

#include <iterator>
#include <utility>

namespace troupe {

void EventStream::On(ClientEvents message) {
  const bool begins = whole_ && stream_ == 0 && message.first == 0;
  if (begins) {
    needs_snapshot_ = false;
  } else if (message.stream != stream_ || message.first != next_) {
    needs_snapshot_ = true;
    events_.clear();
  }
  stream_ = message.stream;
  next_ = message.first + message.events.size();
  std::move(message.events.begin(), message.events.end(), std::back_inserter(events_));
  if (message.tasks == 0) return;
  tasks_ = message.tasks;
  settled_ = message.settled;
}

// The times in a snapshot and those of its events are of one clock. The end of the run is never
// dropped: who waits for it must see it.
void EventStream::Snapshot(Instant until) {
  needs_snapshot_ = false;
  std::erase_if(events_, [&](const RunEvent& event) {
    return event.at <= until && event.kind != RunEvent::Kind::RunFinished;
  });
}

std::vector<RunEvent> EventStream::Take() {
  if (needs_snapshot_) return {};
  return std::exchange(events_, {});
}

}  // namespace troupe
