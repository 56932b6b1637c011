#include "simulation/faults.h"

#include <fmt/format.h>

namespace troupe {
namespace {

// None at all in half of the worlds, so that other faults are seen without this one.
std::uint32_t Rate(Dice& dice, std::uint32_t most) {
  if (dice.OneIn(2)) return 0;
  return dice.Below(dice.Below(most) + 1) + 1;
}

}  // namespace

Faults DrawFaults(Dice& dice) {
  Faults f;
  f.loss = Rate(dice, 100'000);
  f.duplicate = Rate(dice, 100'000);
  f.slow = Rate(dice, 100'000);
  f.partitions = Rate(dice, 4);
  f.worker_crashes = Rate(dice, 6);
  f.leaves = Rate(dice, 4);
  f.reboots = Rate(dice, 3);
  f.machine_losses = Rate(dice, 3);
  f.operators = Rate(dice, 8);
  f.crash_before_commit = Rate(dice, 40'000);
  f.crash_after_commit = Rate(dice, 40'000);
  f.commit_fails = Rate(dice, 20'000);
  f.commit_lies = Rate(dice, 20'000);
  f.disk_full = Rate(dice, 10'000);
  f.clock_jumps = Rate(dice, 400'000);
  f.agents = !dice.OneIn(8);
  return f;
}

Result<Faults> PickFaults(const Faults& drawn, std::string_view words) {
  Faults picked;
  while (!words.empty()) {
    const std::size_t comma = std::min(words.find(','), words.size());
    const std::string_view word = words.substr(0, comma);
    words.remove_prefix(std::min(comma + 1, words.size()));
    if (word == "none") continue;
    if (word == "all") return drawn;
    if (word == "network") {
      picked.loss = drawn.loss;
      picked.duplicate = drawn.duplicate;
      picked.slow = drawn.slow;
      picked.partitions = drawn.partitions;
    } else if (word == "crashes") {
      picked.crash_before_commit = drawn.crash_before_commit;
      picked.crash_after_commit = drawn.crash_after_commit;
      picked.worker_crashes = drawn.worker_crashes;
      picked.leaves = drawn.leaves;
    } else if (word == "machines") {
      picked.reboots = drawn.reboots;
      picked.machine_losses = drawn.machine_losses;
    } else if (word == "disk") {
      picked.commit_fails = drawn.commit_fails;
      picked.commit_lies = drawn.commit_lies;
      picked.disk_full = drawn.disk_full;
    } else if (word == "operators") {
      picked.operators = drawn.operators;
    } else if (word == "agents") {
      picked.agents = drawn.agents;
    } else if (word == "clock") {
      picked.clock_jumps = drawn.clock_jumps;
    } else {
      return Error{ErrorCode::Invalid,
                   fmt::format("\"{}\" is no kind of fault; there are none, all, network, crashes, "
                               "machines, disk, operators, agents, clock",
                               word)};
    }
  }
  return picked;
}

}  // namespace troupe
