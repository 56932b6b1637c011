// Messages on their way. Of one connection they arrive in the order in which they were sent;
// connections overtake each other. What a cut stops is lost, or arrives when it is over.
#include <fmt/format.h>

#include <algorithm>

#include "simulation/world.h"

namespace troupe {

std::uint32_t World::IndexOf(const Machine& machine) const {
  for (std::uint32_t i = 0; i < machines_.size(); ++i) {
    if (&machines_[i] == &machine) return i;
  }
  return 0;
}

std::uint64_t World::Keep(Flight flight) {
  if (free_flights_.empty()) {
    flights_.push_back(std::move(flight));
    return flights_.size() - 1;
  }
  const std::uint64_t slot = free_flights_.back();
  free_flights_.pop_back();
  flights_[slot] = std::move(flight);
  return slot;
}

World::Flight World::Take(std::uint64_t flight) {
  free_flights_.push_back(flight);
  return std::move(flights_[flight]);
}

void World::SendUp(Machine& machine, ToCoordinator message) {
  const std::uint32_t index = IndexOf(machine);
  Link& link = links_[index];
  Duration takes = dice_.Skewed(std::chrono::milliseconds(5));
  if (!calm_) {
    if (dice_.Chance(faults_.loss)) return;
    if (dice_.Chance(faults_.slow)) takes += dice_.Skewed(std::chrono::seconds(8));
    if (link.cut_up > now_) {
      if (dice_.OneIn(2)) return;
      takes += link.cut_up - now_;
    }
  }
  link.last_up = std::max(link.last_up, now_ + takes);
  if (!calm_ && dice_.Chance(faults_.duplicate)) {
    const Instant again = link.last_up + dice_.Skewed(std::chrono::seconds(2));
    Push(again, What::ArrivesUp, index, Keep({index, machine.peer(), crashes_, message, {}, true}));
  }
  Push(link.last_up, What::ArrivesUp, index,
       Keep({index, machine.peer(), crashes_, std::move(message), {}}));
}

void World::SendDown(const Outgoing& outgoing) {
  for (std::uint32_t i = 0; i < machines_.size(); ++i) {
    if (machines_[i].peer() != outgoing.peer) continue;
    Link& link = links_[i];
    Duration takes = dice_.Skewed(std::chrono::milliseconds(5));
    if (!calm_) {
      if (dice_.Chance(faults_.loss)) return;
      if (dice_.Chance(faults_.slow)) takes += dice_.Skewed(std::chrono::seconds(8));
      if (link.cut_down > now_) {
        if (dice_.OneIn(2)) return;
        takes += link.cut_down - now_;
      }
    }
    link.last_down = std::max(link.last_down, now_ + takes);
    if (!calm_ && dice_.Chance(faults_.duplicate)) {
      const Instant again = link.last_down + dice_.Skewed(std::chrono::seconds(2));
      Push(again, What::ArrivesDown, i, Keep({i, outgoing.peer, crashes_, {}, outgoing.message}));
    }
    Push(link.last_down, What::ArrivesDown, i,
         Keep({i, outgoing.peer, crashes_, {}, outgoing.message}));
    return;
  }
}

void World::DeliverUp(std::uint64_t slot) {
  if (coordinator_ == nullptr) {
    backlog_.push_back(slot);
    return;
  }
  Flight flight = Take(slot);
  // What was on its way to a coordinator that is gone: its sender has it still, or it is gone too.
  const Machine& sender = machines_[flight.machine];
  const bool gone = flight.again || !sender.up() || sender.peer() != flight.peer;
  if (flight.epoch != crashes_ && gone) return;
  Say([&] {
    constexpr const char* kNames[] = {"hello", "heartbeat", "started", "finished", "goodbye"};
    const std::size_t kind = flight.up->index();
    return fmt::format("{} says {}", flight.peer, kind < 5 ? kNames[kind] : "something");
  });
  Step(PeerSpoke{std::move(flight.peer), *std::move(flight.up)});
}

void World::DeliverDown(std::uint64_t slot) {
  const Flight flight = Take(slot);
  Machine& machine = machines_[flight.machine];
  if (!machine.up() || machine.peer() != flight.peer) return;
  Say([&] {
    constexpr const char* kNames[] = {"welcome", "dispatch", "stop",  "committed", "unknown",
                                      "refused", "reply",    "alive", "drain"};
    const std::size_t kind = flight.down->index();
    return fmt::format("{} hears {}", flight.peer, kind < 9 ? kNames[kind] : "something");
  });
  machine.Hear(*flight.down, now_);
  CheckWake(flight.machine);
}

}  // namespace troupe
