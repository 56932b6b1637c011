#include "cli/metrics_text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

namespace troupe {
namespace {

namespace fs = std::filesystem;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  void Begin(const char* name, const char* help, MetricType type) {
    families_.push_back({name, help, type, {}});
  }
  void Add(Labels labels, std::uint64_t value) {
    Add(std::move(labels), static_cast<double>(value));
  }
  void Add(Labels labels, double value) {
    ClientMetric& metric = New(std::move(labels));
    metric.counter.value = metric.gauge.value = value;
  }
  void Counter(const char* name, const char* help, std::uint64_t value) {
    Begin(name, help, MetricType::Counter);
    Add({}, value);
  }
  void Gauge(const char* name, const char* help, double value) {
    Begin(name, help, MetricType::Gauge);
    Add({}, value);
  }
  void Gauge(const char* name, const char* help, std::uint64_t value) {
    Gauge(name, help, static_cast<double>(value));
  }
  void Histogram(const char* name, const char* help, const Distribution& values) {
    Begin(name, help, MetricType::Histogram);
    ClientMetric::Histogram& histogram = New({}).histogram;
    histogram.sample_count = values.count();
    histogram.sample_sum = values.sum();
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < values.counts().size(); ++i) {
      below += values.counts()[i];
      const bool last = i == values.bounds().size();
      histogram.bucket.push_back(
          {below, last ? std::numeric_limits<double>::infinity() : values.bounds()[i]});
    }
  }
  std::string Text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  ClientMetric& New(Labels labels) {
    ClientMetric& metric = families_.back().metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }

  std::vector<MetricFamily> families_;
};

// Classes that never came are left out.
void AddByClass(Families& families, const CountsByClass& counts, const Labels& labels) {
  for (int i = 0; i < kFailureClassCount; ++i) {
    const std::uint64_t count = counts[static_cast<std::size_t>(i)];
    if (count == 0) continue;
    Labels with_class = labels;
    with_class.push_back({"class", std::string(Name(static_cast<FailureClass>(i)))});
    families.Add(std::move(with_class), count);
  }
}

void AddRuns(Families& families, const MetricsSnapshot& now) {
  families.Begin("troupe_runs", "Runs that have not ended, by state.", MetricType::Gauge);
  families.Add({{"state", "running"}}, now.gauges.runs_running);
  families.Add({{"state", "paused"}}, now.gauges.runs_paused);
  families.Counter("troupe_runs_started_total", "Runs that were begun.", now.tally.runs_started);
  families.Begin("troupe_runs_finished_total", "Runs that have ended, by status.",
                 MetricType::Counter);
  for (const char* status : {"succeeded", "failed", "cancelled"}) {
    const auto it = now.tally.runs_finished().find(status);
    families.Add({{"status", status}}, it == now.tally.runs_finished().end() ? 0 : it->second);
  }
  families.Begin("troupe_tasks",
                 "Tasks of runs that have not ended, by state; parents and loops under way are "
                 "pending.",
                 MetricType::Gauge);
  for (int i = 0; i < kTaskStateCount; ++i) {
    families.Add({{"state", std::string(Name(static_cast<TaskState>(i)))}},
                 now.gauges.tasks[static_cast<std::size_t>(i)]);
  }
  families.Begin("troupe_hooks_finished_total", "Executions of hooks, by status.",
                 MetricType::Counter);
  for (const auto& [status, count] : now.tally.hooks_finished()) {
    families.Add({{"status", status}}, count);
  }
}

void AddAttempts(Families& families, const MetricsSnapshot& now) {
  const Tally& tally = now.tally;
  families.Counter("troupe_attempts_dispatched_total",
                   "Attempts that were sent to workers, hooks included.", tally.dispatched);
  families.Begin("troupe_attempts_total",
                 "Attempts of tasks that have ended, by agent and by class: succeeded or the class "
                 "of the failure.",
                 MetricType::Counter);
  for (const auto& [agent, counts] : tally.agents()) {
    if (counts.succeeded > 0) {
      families.Add({{"agent", agent}, {"class", "succeeded"}}, counts.succeeded);
    }
    AddByClass(families, counts.failed, {{"agent", agent}});
  }
  families.Counter("troupe_stale_outcomes_total",
                   "Outcomes that came too late, of attempts that were given up.",
                   tally.stale_outcomes);
  families.Begin("troupe_retries_total", "Retries, by the class of the failure before.",
                 MetricType::Counter);
  AddByClass(families, tally.retries(), {});
  families.Begin("troupe_dead_letters_total", "Tasks that were given up, by class.",
                 MetricType::Counter);
  AddByClass(families, tally.dead_letters(), {});
  families.Begin("troupe_fallbacks_total", "Tasks that went on with another agent: this one.",
                 MetricType::Counter);
  for (const auto& [agent, counts] : tally.agents()) {
    if (counts.taken_over > 0) families.Add({{"agent", agent}}, counts.taken_over);
  }
  families.Histogram("troupe_queue_seconds", "From ready to dispatched, of tasks.",
                     tally.queue_seconds);
  families.Histogram("troupe_dispatch_seconds",
                     "From the begin of a turn to the dispatch of its attempts.",
                     tally.dispatch_seconds);
}

void AddAgents(Families& families, const MetricsSnapshot& now) {
  families.Begin("troupe_breakers", "Circuit breakers that are not closed, in all runs, by state.",
                 MetricType::Gauge);
  families.Add({{"state", "open"}}, now.gauges.breakers_open);
  families.Add({{"state", "half_open"}}, now.gauges.breakers_half_open);
  families.Gauge("troupe_agents_rate_limited", "Agents that wait for their provider, in all runs.",
                 now.gauges.rate_limited);
  families.Begin("troupe_agent_shut_total",
                 "How often an agent was shut by its breaker or a rate limit.",
                 MetricType::Counter);
  for (const auto& [agent, counts] : now.tally.agents()) {
    if (counts.shut > 0) families.Add({{"agent", agent}}, counts.shut);
  }
}

void AddWorkers(Families& families, const MetricsSnapshot& now) {
  families.Begin("troupe_workers",
                 "Workers by state; one that is away is waited for until its lease ends.",
                 MetricType::Gauge);
  families.Add({{"state", "connected"}}, now.gauges.workers_connected);
  families.Add({{"state", "draining"}}, now.gauges.workers_draining);
  families.Add({{"state", "away"}}, now.gauges.workers_away);
  families.Counter("troupe_workers_joined_total", "Workers that came.", now.tally.workers_joined);
  families.Counter("troupe_workers_lost_total", "Workers whose lease ended.",
                   now.tally.workers_lost);
  families.Gauge("troupe_slots", "Attempts that connected workers take at one time.",
                 now.gauges.slots);
  families.Gauge("troupe_slots_used", "Attempts of tasks that they have.", now.gauges.slots_used);
}

void AddStore(Families& families, const MetricsSnapshot& now, const SystemUsage& usage) {
  families.Histogram("troupe_commit_seconds", "A commit to the store, its fsync included.",
                     now.tally.commit_seconds);
  families.Histogram("troupe_commit_records", "Records in a commit.", now.tally.commit_records);
  families.Gauge("troupe_store_bytes", "Size of the store's files.", usage.store_bytes);
  families.Gauge("troupe_store_free_bytes", "Free space of its file system.",
                 usage.store_free_bytes);
  families.Gauge("process_resident_memory_bytes", "Resident memory.", usage.resident_bytes);
  families.Gauge("process_open_fds", "Open file descriptors.", usage.open_files);
  families.Begin("process_cpu_seconds_total", "Processor time.", MetricType::Counter);
  families.Add({}, usage.cpu_seconds);
}

}  // namespace

SystemUsage MeasureUsage(const std::string& store_directory) {
  SystemUsage usage;
  std::error_code error;
  // Files come and go meanwhile.
  for (fs::directory_iterator it(store_directory, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;
    const std::uintmax_t size = it->file_size(gone);
    if (!gone) usage.store_bytes += size;
  }
  const fs::space_info space = fs::space(store_directory, error);
  if (!error) usage.store_free_bytes = space.available;
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  usage.resident_bytes = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const fs::directory_iterator files("/proc/self/fd", error);
  if (!error)
    usage.open_files = static_cast<std::uint64_t>(std::distance(begin(files), end(files)));
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  usage.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  return usage;
}

std::string MetricsText(const MetricsSnapshot& snapshot, const SystemUsage& usage) {
  Families families;
  AddRuns(families, snapshot);
  AddAttempts(families, snapshot);
  AddAgents(families, snapshot);
  AddWorkers(families, snapshot);
  AddStore(families, snapshot, usage);
  return families.Text();
}

}  // namespace troupe
