// What a coordinator has done since it started, in numbers: the source of its metrics.
//
// Pure. It counts what is committed, told and sent anyway, so that the core knows nothing of it. A
// count costs a few additions; what it holds is bounded whatever workflows call their agents.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/failure.h"
#include "base/run_event.h"
#include "base/time.h"
#include "coordinator/coordinator.h"
#include "storage/records.h"

namespace troupe {

// How often a value was at most each bound, and the rest.
class Distribution {
 public:
  // Ascending.
  explicit Distribution(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void Add(double value, std::uint64_t times = 1);

  const std::vector<double>& bounds() const { return bounds_; }
  const std::vector<std::uint64_t>& counts() const { return counts_; }  // One more than bounds.
  double sum() const { return sum_; }
  std::uint64_t count() const;

 private:
  std::vector<double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

using CountsByClass = std::array<std::uint64_t, kFailureClassCount>;

struct AgentTally {
  std::uint64_t succeeded = 0;
  CountsByClass failed = {};
  std::uint64_t taken_over = 0;  // As a fallback.
  std::uint64_t shut = 0;        // By its rate limit or its breaker.
};

class Tally {
 public:
  // Records of attempts that were under way at `started` say nothing of their time in the queue.
  explicit Tally(Instant started) : started_until_(started) {}

  // After the commit of a batch that took so long.
  void OnCommit(const Batch& batch, Duration took);
  void OnEvent(const RunEvent& event);
  // Attempts were sent, so long after the turn began.
  void OnDispatch(std::uint64_t attempts, Duration took);

  // At most kAgentsMax names, then kOtherAgents for all others; "" is for tasks without an agent.
  const std::map<std::string, AgentTally, std::less<>>& agents() const { return agents_; }
  const std::map<std::string, std::uint64_t>& runs_finished() const { return runs_finished_; }
  const std::map<std::string, std::uint64_t>& hooks_finished() const { return hooks_finished_; }
  const CountsByClass& retries() const { return retries_; }
  const CountsByClass& dead_letters() const { return dead_letters_; }

  static constexpr std::size_t kAgentsMax = 100;
  static constexpr std::string_view kOtherAgents = "(other)";

  std::uint64_t runs_started = 0;
  std::uint64_t dispatched = 0;
  std::uint64_t stale_outcomes = 0;
  std::uint64_t workers_joined = 0;
  std::uint64_t workers_lost = 0;
  Distribution queue_seconds{
      {0.001, 0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3'600, 14'400, 86'400}};
  Distribution dispatch_seconds{
      {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}};
  Distribution commit_seconds{
      {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}};
  Distribution commit_records{{1, 2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000}};

 private:
  AgentTally& Of(const std::string& agent);

  std::map<std::string, AgentTally, std::less<>> agents_;
  std::map<std::string, std::uint64_t> runs_finished_;  // By status; so the next.
  std::map<std::string, std::uint64_t> hooks_finished_;
  CountsByClass retries_ = {};
  CountsByClass dead_letters_ = {};
  Instant started_until_{};
};

// How everything stands now.
struct Gauges {
  std::uint64_t runs_running = 0;
  std::uint64_t runs_paused = 0;
  std::array<std::uint64_t, kTaskStateCount> tasks = {};  // Of these runs, by state.
  std::uint64_t workers_connected = 0;
  std::uint64_t workers_draining = 0;
  std::uint64_t workers_away = 0;  // Waited for.
  std::uint64_t slots = 0;         // Of connected workers, draining ones too.
  std::uint64_t slots_used = 0;
  std::uint64_t breakers_open = 0;
  std::uint64_t breakers_half_open = 0;
  std::uint64_t rate_limited = 0;  // Agents that wait for their provider.
};
Gauges GaugesOf(const Coordinator& coordinator, Instant now);

}  // namespace troupe
