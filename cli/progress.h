// What people (or programs) see while a run goes on.
//
// Live: on a terminal, a block of lines at the bottom that is redrawn, with notable events
// scrolling above it. Plain: a line per notable event. Json: an object per event and line, on
// stdout. Live and plain write to stderr and honour NO_COLOR. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "coordinator/run_event.h"
#include "workflow/plan.h"

namespace troupe {

enum class ProgressStyle : std::uint8_t { Live, Plain, Json };

// Live if stderr is a terminal that can be drawn on, else plain.
ProgressStyle DetectStyle();

class Progress {
 public:
  virtual ~Progress() = default;

  // `settled`: how many tasks of a resumed run are settled already.
  virtual void Begin(const Plan& plan, RunId run, std::uint32_t settled) = 0;
  virtual void On(const RunEvent& event) = 0;
  // A line of our own between the events: "pausing; …".
  virtual void Note(const std::string& text) = 0;
  // Redraws; to be called about ten times a second. Does nothing unless live.
  virtual void Tick(Instant now) = 0;
  // Nothing more comes: takes the live block off the screen.
  virtual void Close() = 0;
};

std::unique_ptr<Progress> MakeProgress(ProgressStyle style);

// One event as a JSON object, as `--json` prints it, without a newline.
std::string ToJson(const RunEvent& event);

// A line for people: "completed  draft  3.1s (writer, attempt 2)". Empty: not notable.
std::string DescribeEvent(const RunEvent& event, bool color);

// The state behind the live block; what it draws is a function of it, the time and the size.
class LiveModel {
 public:
  void Begin(std::uint32_t tasks, std::uint32_t settled, Instant now);
  void On(const RunEvent& event);
  std::vector<std::string> Draw(Instant now, std::size_t columns, std::size_t rows,
                                bool color) const;

 private:
  struct Running {
    std::string name = "";
    std::string who = "";  // Agent and worker.
    Instant since{};
  };
  struct Waiting {
    std::string text = "";
    Instant until{};
  };

  std::uint32_t tasks_ = 0;
  std::uint32_t settled_ = 0;
  std::uint32_t failed_ = 0;
  std::uint32_t skipped_ = 0;
  bool paused_ = false;
  Instant began_{};
  std::map<std::pair<Instant, std::string>, Running> running_;  // Longest first.
  std::map<std::string, Instant> since_;
  std::map<std::string, Waiting> waiting_;
};

}  // namespace troupe
