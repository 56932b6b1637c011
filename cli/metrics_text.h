// A coordinator's metrics in Prometheus' text format (docs/operating.md lists them all).
#pragma once

#include <cstdint>
#include <string>

#include "coordinator/tally.h"

namespace troupe {

struct MetricsSnapshot {
  Tally tally;
  Gauges gauges;
};

// What the machine says: files and this process.
struct SystemUsage {
  std::uint64_t store_bytes = 0;
  std::uint64_t store_free_bytes = 0;  // Of its file system, for us.
  std::uint64_t resident_bytes = 0;
  std::uint64_t open_files = 0;
  double cpu_seconds = 0;
};
SystemUsage MeasureUsage(const std::string& store_directory);

// Names from workflows are escaped as the format has it.
std::string MetricsText(const MetricsSnapshot& snapshot, const SystemUsage& usage);

}  // namespace troupe
