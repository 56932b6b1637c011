// Answers /metrics and /healthz over HTTP, in a thread of its own.
//
// The daemon's loop publishes how things stand about once a second; a scrape never waits for the
// loop, nor the loop for a scrape. /healthz says whether the loop still turns.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "cli/metrics_text.h"

namespace troupe {

class MetricsServer {
 public:
  // `address`: HOST:PORT or [HOST]:PORT; port 0 takes a free one. Invalid if it cannot be had.
  // A loop that has published nothing for `hung_after` is not healthy.
  static Result<std::unique_ptr<MetricsServer>> Listen(
      const std::string& address, std::string store_directory,
      std::chrono::milliseconds hung_after = std::chrono::seconds(10));
  ~MetricsServer();

  // "127.0.0.1:9464"
  const std::string& address() const;
  // For the thread of the loop.
  void Publish(MetricsSnapshot snapshot);

 private:
  struct State;
  explicit MetricsServer(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace troupe
