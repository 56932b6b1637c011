// What goes wrong in a simulation, and how often.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "simulation/dice.h"

namespace troupe {

// Chances are in a million: of a message, of a turn of the coordinator, of an attempt. The others
// are how many of them happen, on average, in a minute of the time in which there are faults.
struct Faults {
  // Per message.
  std::uint32_t loss = 0;
  std::uint32_t duplicate = 0;
  std::uint32_t slow = 0;  // It takes seconds.
  // Per minute.
  std::uint32_t partitions = 0;  // One way or both.
  std::uint32_t worker_crashes = 0;
  std::uint32_t leaves = 0;          // An orderly stop of the daemon, and a successor.
  std::uint32_t reboots = 0;         // All its processes end; its disk stays.
  std::uint32_t machine_losses = 0;  // A new machine with the same name comes.
  std::uint32_t operators = 0;       // They cancel, pause, resume, redrive, drain, submit again.
  // Per turn of the coordinator.
  std::uint32_t crash_before_commit = 0;
  std::uint32_t crash_after_commit = 0;  // Nothing, or a part of it, is sent.
  std::uint32_t commit_fails = 0;        // Nothing landed; the process ends.
  std::uint32_t commit_lies = 0;         // It landed, and was reported as failed.
  std::uint32_t disk_full = 0;           // Several starts in a row fail.
  std::uint32_t clock_jumps = 0;         // Per start of the coordinator.
  bool agents = false;                   // They fail, hang and end late.
};

// All that can go wrong, drawn: often little, sometimes much.
Faults DrawFaults(Dice& dice);

// "none", "all" (DrawFaults), or a list of: network, crashes, machines, disk, operators, agents,
// clock. Leaves of `drawn` those that are named. Invalid if a word is none of these.
Result<Faults> PickFaults(const Faults& drawn, std::string_view words);

}  // namespace troupe
