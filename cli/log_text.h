// Output of attempts as one text that grows: a heading wherever another attempt or stream goes on,
// nothing left out when an attempt ends between two looks, and nothing twice if that can be told.
// Pure.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace troupe {

class LogText {
 public:
  enum class Stream { Output, Error, Events };

  // A running attempt has printed more; `Known()` bytes of each stream were there before.
  void Running(const AttemptId& id, const std::string& name, std::string_view more_output,
               std::string_view more_error, std::string_view more_events);
  std::size_t Known(const AttemptId& id, Stream stream) const;

  // What is kept of an attempt that has ended as `end` says: "attempt 1 on w1: ok".
  // Events are as in AttemptOutcome::events.
  void Ended(const AttemptId& id, const std::string& name, const std::string& end,
             std::string_view output, std::string_view error, std::string_view events);
  bool HasEnded(const AttemptId& id) const { return ended_.contains(id); }

  // What is new since the last call.
  std::string Take();

 private:
  // What was shown of a stream.
  struct Shown {
    std::size_t bytes = 0;
    std::string tail = "";
    void Add(std::string_view text);
    // Where in `kept`, the stream as it was kept in the end, that goes on.
    std::size_t PlaceIn(std::string_view kept) const;
  };
  struct Attempt {
    Shown output = {};
    Shown error = {};
    Shown events = {};
  };

  void Heading(const std::string& text);
  void Print(Stream stream, std::string_view text);

  std::map<AttemptId, Attempt> running_;
  std::set<AttemptId> ended_;
  AttemptId at_{};  // The attempt that was printed last, if it runs, and its stream.
  Stream stream_ = Stream::Output;
  bool line_open_ = false;
  std::string text_ = "";
};

}  // namespace troupe
