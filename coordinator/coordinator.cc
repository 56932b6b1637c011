#include "coordinator/coordinator.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"

namespace troupe {
namespace {

constexpr std::size_t kIdsMax = 10'000;  // In one message.

}  // namespace

const LiveRun* Coordinator::Find(RunId run) const {
  const auto it = runs_.find(run);
  return it == runs_.end() ? nullptr : &it->second;
}

LiveRun* Coordinator::Live(RunId run) {
  const auto it = runs_.find(run);
  return it == runs_.end() ? nullptr : &it->second;
}

void Coordinator::Restore(const Resumable& saved, bool dormant, Instant now, Effects& effects) {
  Turn turn{now, effects, pool_, random_};
  const RunId id = saved.checkpoint.run.id;
  const auto [it, added] = runs_.try_emplace(id, LiveRun(saved.checkpoint.run, saved.plan));
  CHECK(added);
  retention_.Drop(id);
  it->second.Restore(saved.checkpoint, saved.outcomes, dormant, turn);
  for (auto& [name, worker] : pool_.all()) {
    if (worker.session == 0) pool_.Renew(worker, now, options_.grace);
  }
}

void Coordinator::Step(const Event& event, Instant now, Effects& effects) {
  Turn turn{now, effects, pool_, random_};
  if (const auto* submit = std::get_if<SubmitRun>(&event)) {
    OnSubmit(*submit, turn);
  } else if (const auto* spoke = std::get_if<PeerSpoke>(&event)) {
    OnPeer(*spoke, turn);
  } else if (const auto* gone = std::get_if<PeerGone>(&event)) {
    if (Worker* worker = pool_.FindPeer(gone->peer)) pool_.Disconnect(*worker);
  } else if (const auto* pause = std::get_if<PauseRun>(&event)) {
    if (LiveRun* run = Live(pause->run)) run->Pause(pause->stop_running, turn);
  } else if (const auto* resume = std::get_if<ResumeRun>(&event)) {
    if (LiveRun* run = Live(resume->run)) run->Resume(turn);
  } else if (const auto* cancel = std::get_if<CancelRun>(&event)) {
    if (LiveRun* run = Live(cancel->run)) run->Cancel(turn);
  } else {
    OnTick(turn);
  }
}

RunId Coordinator::RunOfKey(const std::string& key) const {
  const auto it = keys_.find(key);
  return it == keys_.end() ? RunId{} : it->second;
}

void Coordinator::OnSubmit(const SubmitRun& submit, Turn& turn) {
  RunRecord record = submit.draft;
  if (const RunId known = RunOfKey(record.key); !record.key.empty() && known != RunId{}) {
    turn.effects.replies.push_back({submit.request, known, true});
    return;
  }
  if (!record.key.empty() && !Mutant(Defect::KeyForgotten)) keys_[record.key] = next_run_;
  record.id = next_run_;
  next_run_.value += 1;
  record.created = turn.now;
  turn.effects.save.texts.push_back({record.id, submit.text});
  turn.effects.replies.push_back({submit.request, record.id});
  const RunId id = record.id;
  const auto [it, added] = runs_.try_emplace(id, LiveRun(std::move(record), submit.plan));
  it->second.Begin(turn);
}

void Coordinator::OnPeer(const PeerSpoke& spoke, Turn& turn) {
  if (const auto* hello = std::get_if<Hello>(&spoke.message)) {
    OnHello(spoke.peer, *hello, turn);
    return;
  }
  if (const auto* command = std::get_if<ClientCommand>(&spoke.message)) {
    OnCommand(spoke.peer, *command, turn);
    return;
  }
  if (const auto* drain = std::get_if<ClientDrain>(&spoke.message)) {
    OnDrain(spoke.peer, *drain, turn);
    return;
  }
  if (RequestOf(spoke.message)) return;  // The shell answers the others.
  Worker* worker = pool_.FindPeer(spoke.peer);
  if (worker == nullptr) {
    turn.effects.send.push_back({spoke.peer, UnknownWorker{}});
    return;
  }
  pool_.Renew(*worker, turn.now, options_.lease);
  if (const auto* finished = std::get_if<Finished>(&spoke.message)) {
    OnFinished(*worker, *finished, turn);
  } else if (const auto* heartbeat = std::get_if<Heartbeat>(&spoke.message)) {
    if (heartbeat->session == worker->session) {
      turn.effects.send.push_back({worker->peer, Alive{.session = worker->session}});
    }
  } else if (const auto* goodbye = std::get_if<Goodbye>(&spoke.message)) {
    OnGoodbye(*worker, *goodbye, turn);
  }
}

void Coordinator::OnHello(const std::string& peer, const Hello& hello, Turn& turn) {
  if (hello.protocol_min > kProtocolMax || hello.protocol_max < kProtocolMin) {
    turn.effects.send.push_back(
        {peer, Refused{fmt::format("this coordinator speaks protocol {} to {}, worker {} speaks "
                                   "{} to {}; install the same version of troupe on both",
                                   kProtocolMin, kProtocolMax, hello.worker, hello.protocol_min,
                                   hello.protocol_max)}});
    return;
  }
  const Worker* before = pool_.Find(hello.worker);
  const bool is_new = before == nullptr || before->peer != peer;
  // What was said long ago and arrives only now: it would say that what was dispatched since is not
  // there.
  if (before != nullptr && before->spool == hello.spool && !Mutant(Defect::StaleHelloTaken) &&
      std::pair(hello.incarnation, hello.number) <= std::pair(before->incarnation, before->hello)) {
    return;
  }
  // A successor has the spool of its predecessor, and only one daemon at a time has a spool.
  if (is_new && before != nullptr && !before->peer.empty() && before->spool != hello.spool) {
    turn.effects.send.push_back(
        {peer, Refused{fmt::format("another worker is there under the name {}; give each its own "
                                   "name. If that one is gone, this one is taken when its lease "
                                   "has ended",
                                   hello.worker),
                       true}});
    return;
  }
  Worker& worker = pool_.Know(hello.worker);
  worker.session = ++sessions_;
  const bool same_spool = worker.spool == 0 || worker.spool == hello.spool;
  worker.spool = hello.spool;
  worker.incarnation = hello.incarnation;
  worker.hello = hello.number;
  worker.slots = hello.slots;
  worker.labels = {hello.labels.begin(), hello.labels.end()};
  worker.providers = {hello.providers.begin(), hello.providers.end()};
  worker.draining = hello.draining;
  worker.left = false;
  pool_.Connect(worker, peer);
  pool_.Renew(worker, turn.now, options_.lease);

  const std::set<AttemptId> holding(hello.holding.begin(), hello.holding.end());
  Stop stop{.ids = {}, .discard = true};
  Stop again{.ids = {}, .discard = false};  // Of runs that are being cancelled: it may not know.
  for (const AttemptId& id : holding) {
    const LiveRun* run = Find(id.run);
    if (run != nullptr && run->IsCurrent(id, worker.name)) {
      pool_.Hold(worker, id);
      if (run->record().cancelling) again.ids.push_back(id);
    } else if (!Mutant(Defect::LeaseCheckRemoved)) {
      stop.ids.push_back(id);
    }
  }
  ReturnAllBut(holding, worker, !same_spool, turn);
  turn.effects.send.push_back({peer, Welcome{.protocol = kProtocolMax,
                                             .session = worker.session,
                                             .lease = options_.lease,
                                             .heartbeat = options_.heartbeat,
                                             .window = options_.window,
                                             .hello = hello.number}});
  if (!stop.ids.empty()) turn.effects.send.push_back({peer, std::move(stop)});
  if (!again.ids.empty()) turn.effects.send.push_back({peer, std::move(again)});
  if (!is_new) return;
  RunEvent event;
  event.kind = RunEvent::Kind::WorkerJoined;
  event.at = turn.now;
  event.worker = worker.name;
  turn.effects.tell.push_back(std::move(event));
}

// What we believed it to have and it has not: it never began, or it is gone.
void Coordinator::ReturnAllBut(const std::set<AttemptId>& holding, Worker& worker, bool began,
                               Turn& turn) {
  const std::set<AttemptId> expected = worker.held;
  for (const AttemptId& id : expected) {
    if (holding.contains(id)) continue;
    pool_.Release(worker, id);
    LiveRun* run = Live(id.run);
    if (run == nullptr) continue;
    if (began) {
      run->OnLost(id, worker.name, turn);
    } else {
      run->OnReturned(id, worker.name, turn);
    }
  }
}

// A worker that leaves with nothing is forgotten; else its successor is waited for.
void Coordinator::OnGoodbye(Worker& worker, const Goodbye& goodbye, Turn& turn) {
  pool_.Disconnect(worker);
  worker.left = true;
  pool_.Renew(worker, turn.now, options_.grace);
  ReturnAllBut({goodbye.holding.begin(), goodbye.holding.end()}, worker, false, turn);
  if (worker.held.empty()) pool_.Forget(std::string(worker.name));
}

void Coordinator::OnFinished(Worker& worker, const Finished& finished, Turn& turn) {
  for (const AttemptOutcome& outcome : finished.outcomes) {
    pool_.Release(worker, outcome.id);
    if (LiveRun* run = Live(outcome.id.run)) run->OnOutcome(outcome, worker.name, turn);
    committed_[worker.peer].push_back(outcome.id);
  }
}

void Coordinator::OnCommand(const std::string& peer, const ClientCommand& command, Turn& turn) {
  ClientReply reply{.request = command.request};
  LiveRun* run = Live(command.run);
  if (run == nullptr && command.kind != CommandKind::Delete) {
    reply.error = fmt::format("run {} is not running", command.run.value);
  } else {
    switch (command.kind) {
      case CommandKind::Cancel:
        run->Cancel(turn);
        break;
      case CommandKind::Pause:
        run->Pause(false, turn);
        break;
      case CommandKind::Resume:
        run->Resume(turn);
        break;
      case CommandKind::Delete:
        if (run != nullptr) {
          reply.error = fmt::format("run {} is running; it can be deleted when it has ended",
                                    command.run.value);
        } else {
          ForgetRuns({command.run}, turn.effects);
        }
        break;
    }
  }
  turn.effects.send.push_back({peer, std::move(reply)});
}

// The worker remembers it, and says so after a restart of ours.
void Coordinator::OnDrain(const std::string& peer, const ClientDrain& drain, Turn& turn) {
  ClientReply reply{.request = drain.request};
  Worker* worker = pool_.Find(drain.worker);
  if (worker == nullptr || worker->peer.empty()) {
    reply.error = fmt::format("there is no worker {} connected", drain.worker);
  } else {
    pool_.Drain(*worker, drain.on);
    turn.effects.send.push_back({worker->peer, Drain{drain.on}});
  }
  turn.effects.send.push_back({peer, std::move(reply)});
}

void Coordinator::LoseWorker(Worker& worker, Turn& turn) {
  RunEvent event;
  event.kind = RunEvent::Kind::WorkerLost;
  event.at = turn.now;
  event.worker = worker.name;
  turn.effects.tell.push_back(std::move(event));
  const std::set<AttemptId> held = worker.held;
  for (const AttemptId& id : held) {
    pool_.Release(worker, id);
    if (LiveRun* run = Live(id.run)) run->OnLost(id, worker.name, turn);
  }
}

void Coordinator::OnTick(Turn& turn) {
  for (const std::string& name : pool_.TakeEnded(turn.now)) {
    Worker gone = pool_.Forget(name);  // Before its tasks look for another one.
    LoseWorker(gone, turn);
  }
  for (auto& [id, run] : runs_) run.OnTime(turn);
}

// The run with the fewest tasks under way comes next, so that a large one leaves the others their
// share of the slots.
void Coordinator::PlaceRuns(Turn& turn) {
  if (runs_.size() == 1) {
    runs_.begin()->second.Place(kNone, turn);
    return;
  }
  std::set<std::pair<std::uint32_t, RunId>> next;
  for (const auto& [id, run] : runs_) next.insert({run.running(), id});
  while (!next.empty()) {
    const RunId id = next.extract(next.begin()).value().second;
    LiveRun& run = runs_.at(id);
    if (run.Place(1, turn)) next.insert({run.running(), id});
  }
}

void Coordinator::EndTurn(Instant now, Effects& effects) {
  Turn turn{now, effects, pool_, random_};
  PlaceRuns(turn);
  for (auto& [id, run] : runs_) run.SaveChanges(turn);
  ForgetRuns(retention_.Take(now), effects);  // None of which this turn saves anything.
  for (auto& [peer, ids] : committed_) {
    for (std::size_t first = 0; first < ids.size(); first += kIdsMax) {
      const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(first);
      const auto count = static_cast<std::ptrdiff_t>(std::min(kIdsMax, ids.size() - first));
      effects.send.push_back({peer, Committed{{begin, begin + count}}});
    }
  }
  committed_.clear();
  for (Worker* worker : pool_.TakeOrdered()) SendOutbox(*worker, effects);
  NumberOrders(effects);
  std::erase_if(runs_, [&](const auto& entry) {
    if (entry.second.ended()) retention_.Ended(entry.first, now);
    return entry.second.ended();
  });
  effects.wake_at = std::min(pool_.next_lease(), retention_.next());
  for (const auto& [id, run] : runs_)
    effects.wake_at = std::min(effects.wake_at, run.NextTime(now));
}

void Coordinator::ForgetRuns(const std::vector<RunId>& runs, Effects& effects) {
  if (runs.empty()) return;
  const std::set<RunId> forgotten(runs.begin(), runs.end());
  for (const RunId run : runs) {
    retention_.Drop(run);
    effects.save.deleted_runs.push_back(run);
  }
  std::erase_if(keys_, [&](const auto& entry) { return forgotten.contains(entry.second); });
}

void Coordinator::SendOutbox(Worker& worker, Effects& effects) {
  for (std::vector<AttemptSpec>& part : worker.outbox) {
    effects.send.push_back(
        {worker.peer, Dispatch{.session = worker.session, .specs = std::move(part)}});
  }
  worker.outbox.clear();
}

void Coordinator::NumberOrders(Effects& effects) {
  for (Outgoing& outgoing : effects.send) {
    auto* dispatch = std::get_if<Dispatch>(&outgoing.message);
    auto* stop = std::get_if<Stop>(&outgoing.message);
    auto* alive = std::get_if<Alive>(&outgoing.message);
    const bool welcome = std::holds_alternative<Welcome>(outgoing.message);
    if (dispatch == nullptr && stop == nullptr && alive == nullptr && !welcome) continue;
    Worker* worker = pool_.FindPeer(outgoing.peer);
    if (worker == nullptr) continue;
    if (welcome) {
      worker->sent = 0;
    } else if (dispatch != nullptr) {
      dispatch->number = ++worker->sent;
    } else if (alive != nullptr) {
      alive->orders = worker->sent;
    } else {
      stop->session = worker->session;
      stop->number = ++worker->sent;
    }
  }
}

}  // namespace troupe
