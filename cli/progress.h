// What people (or programs) see while a run goes on.
//
// Live: on a terminal, a block of lines at the bottom that is redrawn, with notable events
// scrolling above it. Plain: a line per notable event. Json: an object per event and line, on
// stdout. Live and plain write to stderr and honour NO_COLOR. The cursor stays visible: a process
// that is killed could not bring it back. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/run_event.h"
#include "base/time.h"
#include "storage/checkpoint_store.h"
#include "workflow/plan.h"

namespace troupe {

enum class ProgressStyle : std::uint8_t { Live, Plain, Json };

// Live if stderr is a terminal that can be drawn on, else plain.
ProgressStyle DetectStyle();

class Progress {
 public:
  virtual ~Progress() = default;

  virtual void Begin(const Plan& plan, RunId run) = 0;
  // In place of Begin() for a run that goes on: also shows what runs and waits already.
  virtual void Resume(const Plan& plan, const Checkpoint& checkpoint) = 0;
  virtual void On(const RunEvent& event) = 0;
  // How many tasks there are, as RunRecord counts them, and how many are settled.
  virtual void Count(std::uint32_t tasks, std::uint32_t settled) = 0;
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

// The first line: `run 7 of "flow": 12 tasks, 3 of them settled before`.
std::string Heading(const std::string& workflow, RunId run, std::uint32_t tasks,
                    std::uint32_t settled, std::uint32_t running);

// Events as lines, each with its newline. Of tasks that are blocked or cancelled one after another
// the first few are named and the others counted: an abort may do this to thousands at once.
class EventLines {
 public:
  // `timed`: each line begins with the time since the first event.
  EventLines(bool timed, bool color) : timed_(timed), color_(color) {}

  void On(const RunEvent& event);
  void Note(const std::string& text);
  // What has come since the last call.
  std::string Take();

 private:
  void Add(const std::string& line);
  void CloseGroup();

  bool timed_;
  bool color_;
  Instant began_{};
  Instant now_{};
  std::string lines_ = "";
  RunEvent::Kind group_ = RunEvent::Kind::RunStarted;
  std::size_t in_group_ = 0;
};

// The state behind the live block; what it draws is a function of it, the time and the size.
class LiveModel {
 public:
  void Resume(const Plan& plan, const Checkpoint& checkpoint);
  void On(const RunEvent& event);
  void Count(std::uint32_t tasks, std::uint32_t settled);
  std::vector<std::string> Draw(Instant now, std::size_t columns, std::size_t rows,
                                bool color) const;

 private:
  struct Running {
    std::string name = "";
    std::string who = "";  // Agent and worker.
    Instant since{};
  };
  struct Waiting {
    std::string what = "";  // "retry 1 of 3"
    std::string cause = "";
    Instant until{};
  };

  void Start(const std::string& key, std::string name, std::string who, Instant since);
  void Stop(const std::string& key);
  static Waiting WaitingFor(const RunEvent& event, Instant until);

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

// Rows that lines of these widths take on a terminal that breaks lines at `columns`.
std::size_t RowsOf(const std::vector<std::size_t>& widths, std::size_t columns);

}  // namespace troupe
