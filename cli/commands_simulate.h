// `troupe simulate`: the real cores under faults that a seed draws.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe {

struct SimulateOptions {
  std::string file = "";  // The user's own workflow; "": workflows are drawn, too.
  std::uint64_t seed = 1;
  std::uint64_t seeds = 1;
  std::string faults = "";  // See PickFaults(); "": all, of a file none.
  bool trace = false;
  std::uint32_t jobs = 0;  // 0: as many as there are cores.
  // Of a file.
  std::string workflow = "";
  std::vector<std::string> inputs = {};
  double fail = 0.1;                      // The share of attempts that fail, …
  std::vector<std::string> classes = {};  // … and how; empty: agent_error.
  double fastest_secs = 1;
  double slowest_secs = 60;
  std::string from = "";  // As in this run, or the "newest"; "": all within these bounds.
  std::string state_dir = ".troupe";
  bool state_dir_given = false;
  std::uint32_t workers = 2;
  std::uint32_t slots = 4;
};
// 0: no promise was broken; 1: one was, which is shown with how to see it again.
int Simulate(const SimulateOptions& options);

}  // namespace troupe
