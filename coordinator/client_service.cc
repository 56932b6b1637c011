#include "coordinator/client_service.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <utility>

#include "coordinator/stored_records.h"
#include "workflow/compile.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr Duration kTransferKept = std::chrono::seconds(30);
constexpr std::size_t kTransfersMax = 16;
constexpr Duration kWatchKept = std::chrono::seconds(20);
constexpr std::size_t kWatchesMax = 1'000;
constexpr std::size_t kEventsInMessage = 1'000;
constexpr Duration kOutputWithin = std::chrono::seconds(10);
constexpr std::size_t kTicketsMax = 10'000;
constexpr std::size_t kLargeText = 1u << 20;
constexpr std::uintmax_t kFreeBytesMin = 64u << 20;  // New runs need room to be recorded in.
constexpr const char* kBusy = "the coordinator has too many questions to answer; ask again later";

}  // namespace

ClientService::ClientService(const RocksDbCheckpointStore& store, fs::path db,
                             const Coordinator& coordinator, std::uint64_t seed, ClientLoop loop)
    : store_(store),
      db_(std::move(db)),
      coordinator_(coordinator),
      random_(seed),
      loop_(std::move(loop)) {}
ClientService::~ClientService() = default;

bool ClientService::Hear(const std::string& peer, const ToCoordinator& message, Instant now) {
  now_ = now;
  if (const auto* submit = std::get_if<ClientSubmit>(&message)) {
    Submit(peer, *submit);
  } else if (const auto* read = std::get_if<ClientRead>(&message)) {
    Read(peer, *read, now);
  } else if (const auto* retry = std::get_if<ClientRetry>(&message)) {
    Retry(peer, *retry);
  } else if (const auto* watch = std::get_if<ClientWatch>(&message)) {
    Watch(peer, *watch, now);
  } else if (const auto* output = std::get_if<ClientReadOutput>(&message)) {
    ReadOutputOf(peer, *output, now);
  } else if (const auto* part = std::get_if<Output>(&message)) {
    OnOutput(peer, *part);
  } else if (const auto* list = std::get_if<ClientListWorkers>(&message)) {
    ListWorkers(peer, list->request, now);
  } else if (const auto* command = std::get_if<ClientCommand>(&message);
             command != nullptr && retrying_.contains(command->run)) {
    Fail({peer, command->request},
         fmt::format("run {} is being retried just now", command->run.value));
  } else {
    return false;
  }
  return true;
}

void ClientService::Fail(const Asker& asker, const std::string& why) {
  loop_.send(asker.first, ClientReply{asker.second, why});
}

Status ClientService::TakeFinished(Instant now) {
  now_ = now;
  compiler_.RunDone();
  reader_.RunDone();
  return std::exchange(reworked_, {});
}

// --- submitting ---

void ClientService::Submit(const std::string& peer, const ClientSubmit& submit) {
  const Asker asker{peer, submit.request};
  if (const RunId known = coordinator_.RunOfKey(submit.key);
      !submit.key.empty() && known != RunId{}) {
    loop_.send(peer, ClientSubmitted{submit.request, known, true, ""});
    return;
  }
  std::error_code error;
  if (const fs::space_info space = fs::space(db_, error);
      !error && space.available < kFreeBytesMin) {
    Fail(asker, fmt::format("the coordinator's disk is full ({} MiB are free, {} are needed for a "
                            "new run); nothing was submitted",
                            space.available >> 20, kFreeBytesMin >> 20));
    return;
  }
  if (!at_work_.insert(asker).second) return;  // Asked again, and not ready yet.
  const bool taken = compiler_.Post([this, asker, submit]() -> Background::Done {
    const Compiled compiled =
        CompileWorkflow(submit.text, {.workflow = submit.workflow, .lenient = submit.lenient});
    // What only compiling took lies between what stays: the system would not get it back.
    if (submit.text.size() > kLargeText) malloc_trim(0);
    std::string problems = FormatProblems(submit.file, compiled.problems);
    SubmitRun run;
    if (compiled.plan != nullptr) {
      BoundInputs inputs = BindInputs(*compiled.plan, submit.inputs);
      problems += FormatProblems(submit.file, inputs.problems);
      if (inputs.problems.empty()) run.plan = compiled.plan;
      run.draft.workflow_name = compiled.plan->name;
      run.draft.workflow_version = compiled.plan->version;
      run.draft.inputs_json = std::move(inputs.json);
    }
    run.text = submit.text;
    run.draft.file = submit.file;
    run.draft.chosen_workflow = submit.workflow;
    run.draft.run_dir = submit.run_dir;
    run.draft.key = submit.key;
    Submission submission{asker, std::move(problems), submit.watch};
    return [this, run = std::move(run), submission = std::move(submission)] {
      OnCompiled(submission, run);
    };
  });
  if (taken) return;
  at_work_.erase(asker);
  Fail(asker, kBusy);
}

void ClientService::OnCompiled(Submission submission, SubmitRun run) {
  const Asker& asker = submission.asker;
  at_work_.erase(asker);
  if (run.plan == nullptr) {
    loop_.send(asker.first,
               ClientSubmitted{asker.second, RunId{}, false, std::move(submission.problems)});
    return;
  }
  run.request = ++numbers_;
  submissions_[run.request] = std::move(submission);
  loop_.step(run);
}

void ClientService::On(const SubmitReply& reply) {
  const auto it = submissions_.find(reply.request);
  if (it == submissions_.end()) return;
  const Submission& submission = it->second;
  loop_.send(submission.asker.first, ClientSubmitted{submission.asker.second, reply.run,
                                                     reply.existed, submission.problems});
  if (submission.watch && !reply.existed) {
    Watch(submission.asker.first, ClientWatch{submission.asker.second, reply.run}, now_);
  }
  submissions_.erase(it);
}

// --- reading ---

void ClientService::Read(const std::string& peer, const ClientRead& read, Instant now) {
  const Asker asker{peer, read.request};
  if (const auto it = transfers_.find(peer);
      it != transfers_.end() && it->second.request == read.request) {
    SendPart(peer, it->second, read.part, now);
    return;
  }
  if (read.part != 0) {
    Fail(asker, "this answer is not kept any more; ask again");
    return;
  }
  if (!at_work_.insert(asker).second) return;
  const bool taken = reader_.Post([this, asker, read]() -> Background::Done {
    const auto current = store_.Reader();
    Status done;
    std::vector<StoredRecord> records;
    const auto take = [&](const auto& result) {
      if (result) {
        records = ToStored(*result);
      } else {
        done = result.error();
      }
    };
    if (done) {
      switch (read.kind) {
        case ReadKind::Runs:
          take(current->Runs());
          break;
        case ReadKind::Run:
          take(current->Load(read.run));
          break;
        case ReadKind::Attempts:
          take(current->Attempts(read.run, read.subject, read.index));
          break;
      }
    }
    auto parts =
        std::make_shared<std::vector<std::vector<StoredRecord>>>(InParts(std::move(records)));
    return [this, asker, done, parts] {
      at_work_.erase(asker);
      if (!done) {
        Fail(asker, done.error().message);
        return;
      }
      Transfer& transfer = transfers_[asker.first];
      transfer = {asker.second, std::move(*parts), now_};
      SendPart(asker.first, transfer, 0, now_);
    };
  });
  if (taken) return;
  at_work_.erase(asker);
  Fail(asker, kBusy);
}

// A single part is an answer that is cheap to read again; of several all are kept for a while.
void ClientService::SendPart(const std::string& peer, Transfer& transfer, std::uint32_t part,
                             Instant now) {
  transfer.used = now;
  if (part >= transfer.parts.size()) {
    Fail({peer, transfer.request}, "there is no such part");
    return;
  }
  const bool last = part + 1 == transfer.parts.size();
  loop_.send(peer, ClientRecords{transfer.request, part, last, transfer.parts[part]});
  if (transfer.parts.size() == 1) transfers_.erase(peer);
}

// --- retrying ---

void ClientService::Retry(const std::string& peer, const ClientRetry& retry) {
  const Asker asker{peer, retry.request};
  if (coordinator_.Find(retry.run) != nullptr || retrying_.contains(retry.run)) {
    Fail(asker, fmt::format("run {} has not ended; only a run that has ended can be retried",
                            retry.run.value));
    return;
  }
  retrying_.insert(retry.run);
  const bool taken = reader_.Post([this, asker, retry]() -> Background::Done {
    auto reworked = std::make_shared<Result<Reworked>>([&]() -> Result<Reworked> {
      const auto current = store_.Reader();
      const Result<Resumable> saved = LoadRun(*current, retry.run);
      if (!saved) return saved.error();
      return Redrive(*current, *saved, retry.tasks);
    }());
    return [this, asker, reworked, run = retry.run] {
      retrying_.erase(run);
      if (!*reworked) {
        Fail(asker, reworked->error().message);
        return;
      }
      reworked_ = loop_.rework(**reworked);
      if (reworked_) loop_.send(asker.first, ClientReply{asker.second, ""});
    };
  });
  if (taken) return;
  retrying_.erase(retry.run);
  Fail(asker, kBusy);
}

// --- events ---

void ClientService::Watch(const std::string& peer, const ClientWatch& watch, Instant now) {
  const Asker asker{peer, watch.request};
  if (watch.stop) {
    subscriptions_.erase(asker);
    return;
  }
  if (subscriptions_.size() >= kWatchesMax && !subscriptions_.contains(asker)) {
    Fail(asker, kBusy);
    return;
  }
  Subscription& subscription = subscriptions_[asker];
  if (subscription.stream == 0) {
    subscription.run = watch.run;
    subscription.stream = random_.Next() | 1;
  }
  subscription.renewed = now;
  SendEvents(asker, subscription);
}

void ClientService::On(const RunEvent& event) {
  for (auto& [asker, subscription] : subscriptions_) {
    if (event.run == subscription.run || event.run == RunId{}) {
      subscription.events.push_back(event);
    }
  }
}

// Also without events: then it says that the stream lives, and how far it is.
void ClientService::SendEvents(const Asker& asker, Subscription& subscription) {
  const LiveRun* run = coordinator_.Find(subscription.run);
  std::vector<RunEvent> events = std::exchange(subscription.events, {});
  std::size_t sent = 0;
  do {
    ClientEvents message{
        .request = asker.second, .stream = subscription.stream, .first = subscription.next};
    if (run != nullptr) {
      message.tasks = run->record().tasks;
      message.settled = run->record().settled;
    }
    for (; sent < events.size() && message.events.size() < kEventsInMessage; ++sent) {
      message.events.push_back(std::move(events[sent]));
    }
    subscription.next += message.events.size();
    loop_.send(asker.first, message);
  } while (sent < events.size());
}

// --- live output ---

void ClientService::ReadOutputOf(const std::string& peer, const ClientReadOutput& read,
                                 Instant now) {
  const auto& workers = coordinator_.pool().all();
  const auto holder = std::find_if(workers.begin(), workers.end(), [&](const auto& entry) {
    return entry.second.held.contains(read.id) && !entry.second.peer.empty();
  });
  if (holder == workers.end() || tickets_.size() >= kTicketsMax) {
    loop_.send(peer, ClientOutput{read.request, false, ""});
    return;
  }
  const std::uint64_t ticket = ++numbers_;
  tickets_[ticket] = {{peer, read.request}, holder->second.peer, now + kOutputWithin};
  loop_.send(holder->second.peer, ReadOutput{ticket, read.id, read.stream, read.offset});
}

void ClientService::OnOutput(const std::string& peer, const Output& output) {
  const auto it = tickets_.find(output.ticket);
  if (it == tickets_.end() || it->second.worker != peer) return;
  loop_.send(it->second.asker.first,
             ClientOutput{it->second.asker.second, output.found, output.bytes});
  tickets_.erase(it);
}

// --- workers ---

void ClientService::ListWorkers(const std::string& peer, std::uint64_t request, Instant now) {
  ClientWorkers list{.request = request};
  for (const auto& [name, worker] : coordinator_.pool().all()) {
    WorkerInfo info{.name = name, .slots = worker.slots, .used = worker.used};
    info.state = worker.left           ? WorkerState::Left
                 : worker.peer.empty() ? WorkerState::Silent
                 : worker.draining     ? WorkerState::Draining
                                       : WorkerState::Connected;
    info.labels = {worker.labels.begin(), worker.labels.end()};
    info.providers = {worker.providers.begin(), worker.providers.end()};
    info.holding = {worker.held.begin(), worker.held.end()};
    info.lease = worker.lease.end() - now;
    list.workers.push_back(std::move(info));
  }
  loop_.send(peer, list);
}

// --- the end of a turn ---

void ClientService::EndTurn(Instant now) {
  for (auto& [asker, subscription] : subscriptions_) {
    if (!subscription.events.empty()) SendEvents(asker, subscription);
  }
  std::erase_if(subscriptions_,
                [&](const auto& entry) { return now > entry.second.renewed + kWatchKept; });
  std::erase_if(transfers_,
                [&](const auto& entry) { return now > entry.second.used + kTransferKept; });
  while (transfers_.size() > kTransfersMax) {
    transfers_.erase(std::min_element(
        transfers_.begin(), transfers_.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  }
  for (auto it = tickets_.begin(); it != tickets_.end();) {
    if (now <= it->second.until) {
      ++it;
      continue;
    }
    loop_.send(it->second.asker.first, ClientOutput{it->second.asker.second, false, ""});
    it = tickets_.erase(it);
  }
}

void ClientService::OnGone(const std::string& peer) {
  transfers_.erase(peer);
  std::erase_if(subscriptions_, [&](const auto& entry) { return entry.first.first == peer; });
}

}  // namespace troupe
