// `troupe bench`: how fast a coordinator and its workers are on this machine, as separate processes
// over ipc, with every completion on disk, and beside them what ZeroMQ and RocksDB can do alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace troupe {

struct BenchOptions {
  std::vector<std::string> what = {};  // Of kBenchNames; empty: all.
  std::uint32_t tasks = 100'000;       // Of the throughput; the others are in proportion.
  std::uint32_t workers = 1;
  std::uint32_t repeat = 5;
  std::string directory = "";  // On the disk that is meant; "": a new one in $TMPDIR or /tmp.
  bool json = false;
  std::string answer = "";  // Be the worker of a bare pipeline at this endpoint.
};
int RunBench(const BenchOptions& options);

inline constexpr const char* kBenchNames[] = {"bare",  "throughput", "chain",  "fan",  "process",
                                              "xargs", "restart",    "memory", "idle", "fleet"};

// Tasks a second of a bare pipeline between two processes: a task of 246 bytes goes to a worker and
// a result of 60 comes back; for each, two values of 200 bytes are written, synced for all that
// came in one turn. No graph, no records, no decisions.
// The worker is this program with `bench --answer ENDPOINT`, which is AnswerBarePipeline().
Result<double> BarePipeline(const std::filesystem::path& directory, std::uint32_t tasks);

int AnswerBarePipeline(const std::string& endpoint);

}  // namespace troupe
