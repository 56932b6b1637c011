#include "coordinator/worker_pool.h"

#include <algorithm>
#include <utility>

namespace troupe {
namespace {

// A message of dispatches has at most so many: the worker is at work on one while the next is made.
constexpr std::size_t kDispatchMax = 64;
constexpr std::size_t kDispatchBytesMax = 8u << 20;  // … and is about so large.

std::size_t RoughSize(const AttemptSpec& spec) {
  std::size_t bytes = 512 + spec.prompt.size() + spec.script_content.size() +
                      spec.inputs_json.size() + spec.mock.output.size();
  for (const std::string& argument : spec.argv) bytes += argument.size();
  for (const auto& [name, value] : spec.env) bytes += name.size() + value.size();
  return bytes;
}

}  // namespace

void Lease::Renew(Instant now, Duration length) {
  after_ = length / 2;
  next_ = now + (length - after_);
}

bool Lease::Ends(Instant now) {
  if (now < next_) return false;
  if (after_ == Duration{}) return true;
  next_ = now + std::exchange(after_, Duration{});
  return false;
}

Worker* WorkerPool::Find(const std::string& name) {
  const auto it = workers_.find(name);
  return it == workers_.end() ? nullptr : &it->second;
}

Worker* WorkerPool::FindPeer(const std::string& peer) {
  const auto it = by_peer_.find(peer);
  return it == by_peer_.end() ? nullptr : it->second;
}

Worker WorkerPool::Forget(const std::string& name) {
  const auto it = workers_.find(name);
  if (it == workers_.end()) return {};
  Disconnect(it->second);
  std::erase(ordered_, &it->second);
  return std::move(workers_.extract(it).mapped());
}

void WorkerPool::Connect(Worker& worker, const std::string& peer) {
  Disconnect(worker);
  worker.peer = peer;
  by_peer_[peer] = &worker;
  Rank(worker);
}

void WorkerPool::Disconnect(Worker& worker) {
  const auto it = by_peer_.find(worker.peer);
  if (it != by_peer_.end() && it->second == &worker) by_peer_.erase(it);
  worker.peer.clear();
  Rank(worker);
}

void WorkerPool::Drain(Worker& worker, bool on) {
  worker.draining = on;
  Rank(worker);
}

// To be called when anything has changed that the rank depends on. One that is not known any more
// is not connected either, so that it gets none.
void WorkerPool::Rank(Worker& worker) {
  const bool open = !worker.peer.empty() && !worker.draining;
  const std::uint32_t free = worker.slots > worker.used ? worker.slots - worker.used : 0;
  if (open == worker.open && free == worker.free) return;
  if (open && (!worker.open || free > worker.free)) in_vain_.clear();
  if (worker.open) ranks_.erase(&worker);
  worker.open = open;
  worker.free = free;
  if (open) ranks_.insert(&worker);
}

void WorkerPool::Renew(Worker& worker, Instant now, Duration length) {
  worker.lease.Renew(now, length);
  next_lease_ = std::min(next_lease_, worker.lease.next());
}

// A lease that is renewed ends later, so that nobody need look before the time that was the first
// when all were looked at.
std::vector<std::string> WorkerPool::TakeEnded(Instant now) {
  std::vector<std::string> ended;
  if (now < next_lease_) return ended;
  next_lease_ = kNever;
  for (auto& [name, worker] : workers_) {
    if (worker.lease.Ends(now)) {
      ended.push_back(name);
    } else {
      next_lease_ = std::min(next_lease_, worker.lease.next());
    }
  }
  return ended;
}

void WorkerPool::Order(Worker& worker, AttemptSpec&& spec) {
  if (worker.outbox.empty()) ordered_.push_back(&worker);
  if (worker.outbox.empty() || worker.outbox.back().size() >= kDispatchMax ||
      worker.outbox_bytes >= kDispatchBytesMax) {
    worker.outbox.emplace_back().reserve(std::min<std::size_t>(
        worker.slots > worker.used ? worker.slots - worker.used + 1 : 1, kDispatchMax));
    worker.outbox_bytes = 0;
  }
  worker.outbox_bytes += RoughSize(spec);
  worker.outbox.back().push_back(std::move(spec));
}

std::vector<Worker*> WorkerPool::TakeOrdered() {
  std::vector<Worker*> ordered = std::exchange(ordered_, {});
  std::sort(ordered.begin(), ordered.end(),
            [](const Worker* a, const Worker* b) { return a->name < b->name; });
  return ordered;
}

bool WorkerPool::Fits(const Worker& worker, const Requirement& requirement) {
  if (!requirement.provider.empty() && !worker.providers.contains(requirement.provider)) {
    return false;
  }
  return std::all_of(requirement.labels.begin(), requirement.labels.end(),
                     [&](const std::string& label) { return worker.labels.contains(label); });
}

Worker* WorkerPool::Pick(const Requirement& requirement, const std::vector<std::string>& never,
                         const std::vector<std::string>& avoid, bool slot) {
  const auto in = [](const std::vector<std::string>& names, const Worker& worker) {
    return std::find(names.begin(), names.end(), worker.name) != names.end();
  };
  if (slot && in_vain_.contains(requirement)) return nullptr;
  Worker* avoided = nullptr;
  for (Worker* worker : ranks_) {
    if (slot && worker->free == 0) break;
    if (!Fits(*worker, requirement) || in(never, *worker)) continue;
    if (!in(avoid, *worker)) return worker;
    if (avoided == nullptr) avoided = worker;
  }
  if (slot && avoided == nullptr && never.empty()) in_vain_.insert(requirement);
  return avoided;
}

void WorkerPool::Hold(Worker& worker, const AttemptId& id) {
  if (!worker.held.insert(id).second || id.subject != Subject::Task) return;
  ++worker.used;
  Rank(worker);
}

bool WorkerPool::Release(Worker& worker, const AttemptId& id) {
  if (worker.held.erase(id) == 0) return false;
  if (id.subject != Subject::Task) return true;
  --worker.used;
  Rank(worker);
  return true;
}

}  // namespace troupe
