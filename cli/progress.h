// What people (or programs) see while a run goes on.
//
// Live: on a terminal, a block of lines at the bottom that is redrawn, with notable events
// scrolling above it. Plain: a line per notable event. Json: an object per event and line, on
// stdout. Live and plain write to stderr and honour NO_COLOR. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

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

// "0.4s", "12.3s", "4m 05s", "1h 02m".
std::string FormatDuration(Duration duration);

}  // namespace troupe
