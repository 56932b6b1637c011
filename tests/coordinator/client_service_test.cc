// What clients get from a coordinator daemon, over real sockets.
#include <gmock/gmock.h>

#include "coordinator/stored_records.h"
#include "tests/coordinator/daemon_fixture.h"

namespace troupe {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kFlow = "name: flow\ntasks: {a: {command: 'true'}, b: {command: 'true'}}\n";

class ClientServiceTest : public CoordinatorDaemonTest {
 protected:
  ClientServiceTest() { daemon->Serve(*store, directory.path() / "db", 1); }

  ClientSubmit SubmitOf(const std::string& text, const std::string& key = "") {
    return {.request = ++request, .text = text, .file = "f.yaml", .run_dir = "/", .key = key};
  }
  RunId Submit(const std::string& text = kFlow) {
    return AskFor<ClientSubmitted>(client, SubmitOf(text)).run;
  }
  // All parts of an answer.
  std::vector<StoredRecord> ReadAll(ClientRead read) {
    std::vector<StoredRecord> records;
    read.request = ++request;
    for (bool last = false; !last; ++read.part) {
      const ClientRecords part = AskFor<ClientRecords>(client, read);
      EXPECT_EQ(part.request, read.request);
      EXPECT_EQ(part.part, read.part);
      records.insert(records.end(), part.records.begin(), part.records.end());
      last = part.last;
      parts = read.part + 1;
    }
    return records;
  }
  Checkpoint Load(RunId run) {
    Checkpoint checkpoint;
    const Status read = FromStored(ReadAll({.kind = ReadKind::Run, .run = run}), checkpoint);
    EXPECT_TRUE(read) << read.error().message;
    return checkpoint;
  }
  // A worker that joins and is given what is ready.
  std::vector<AttemptId> Join() {
    Hello hello = HelloOf("w1");
    hello.providers = {"command"};
    Say(worker, hello);
    std::vector<AttemptId> ids;
    if (const auto dispatch = Await<Dispatch>(worker)) {
      for (const AttemptSpec& spec : dispatch->specs) ids.push_back(spec.id);
    }
    return ids;
  }
  void Finish(const AttemptId& id, std::optional<FailureClass> failure = {}) {
    AttemptOutcome outcome{.id = id};
    outcome.failure = failure;
    outcome.output = "printed";
    (void)AskFor<Committed>(worker, Finished{{outcome}});
  }

  DealerEndpoint client = Connect(ann, PeerOfClient(1));
  DealerEndpoint worker = Connect(w1, PeerOfWorker("w1", 1));
  std::uint64_t request = 0;
  std::uint32_t parts = 0;
};

// --- submitting ---

TEST_F(ClientServiceTest, ASubmissionIsAcknowledgedWhenItIsDurable) {
  const ClientSubmitted submitted = AskFor<ClientSubmitted>(client, SubmitOf(kFlow));

  EXPECT_EQ(submitted.request, request);
  EXPECT_EQ(submitted.run, RunId{1});
  EXPECT_FALSE(submitted.existed);
  const Result<Checkpoint> stored = store->Load(RunId{1});
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->run.workflow_name, "flow");
  EXPECT_EQ(stored->run.file, "f.yaml");
  EXPECT_EQ(stored->workflow_text, kFlow);
}

TEST_F(ClientServiceTest, TheSameKeyIsTheSameRun) {
  const ClientSubmitted first = AskFor<ClientSubmitted>(client, SubmitOf(kFlow, "nightly"));
  const ClientSubmitted again = AskFor<ClientSubmitted>(client, SubmitOf("changed", "nightly"));
  const ClientSubmitted other = AskFor<ClientSubmitted>(client, SubmitOf(kFlow, "weekly"));

  EXPECT_EQ(again.run, first.run);
  EXPECT_TRUE(again.existed);
  EXPECT_NE(other.run, first.run);
  EXPECT_FALSE(other.existed);
}

// Both are being compiled when the first is committed.
TEST_F(ClientServiceTest, TwoSubmissionsOfOneKeyAtOnceAreOneRun) {
  Say(client, SubmitOf(kFlow, "nightly"));
  Say(client, SubmitOf(kFlow, "nightly"));
  const auto first = Await<ClientSubmitted>(client);
  const auto second = Await<ClientSubmitted>(client);

  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->run, second->run);
  EXPECT_EQ(store->Runs()->size(), 1u);
}

TEST_F(ClientServiceTest, AllProblemsOfATextComeBack) {
  const ClientSubmitted submitted = AskFor<ClientSubmitted>(
      client, SubmitOf("name: flow\ntasks: {a: {comand: x}, b: {command: y, retires: 1}}\n"));

  EXPECT_EQ(submitted.run, RunId{});
  EXPECT_THAT(submitted.problems, HasSubstr("f.yaml:2:13: error: unknown key \"comand\""));
  EXPECT_THAT(submitted.problems, HasSubstr("unknown key \"retires\""));
  EXPECT_THAT(*store->Runs(), IsEmpty());
}

TEST_F(ClientServiceTest, InputsAreBoundAndChecked) {
  const char* text =
      "name: flow\ninputs: {n: {type: number}}\ntasks: {a: {command: [echo, '${n}']}}\n";
  ClientSubmit bad = SubmitOf(text);
  bad.inputs = {"m=1"};
  EXPECT_THAT(AskFor<ClientSubmitted>(client, bad).problems, HasSubstr("\"m\""));
  ClientSubmit good = SubmitOf(text);
  good.inputs = {"n=4"};

  const RunId run = AskFor<ClientSubmitted>(client, good).run;

  EXPECT_EQ(store->Load(run)->run.inputs_json, "{\"n\":4}");
}

TEST_F(ClientServiceTest, AViewerReadsAndDoesNotChange) {
  Submit();
  DealerEndpoint viewer = Connect(wall, PeerOfClient(2));

  EXPECT_THAT(RefusalOf(Ask(viewer, SubmitOf(kFlow))), HasSubstr("needs operator"));
  EXPECT_THAT(RefusalOf(Ask(viewer, ClientRetry{})), HasSubstr("needs operator"));
  EXPECT_THAT(RefusalOf(Ask(viewer, ClientDrain{})), HasSubstr("needs operator"));
  EXPECT_THAT(AskFor<ClientRecords>(viewer, ClientRead{.request = 1}).records, SizeIs(1));
  EXPECT_EQ(AskFor<ClientEvents>(viewer, ClientWatch{1, RunId{1}}).events.size(), 0u);
  EXPECT_THAT(AskFor<ClientWorkers>(viewer, ClientListWorkers{1}).workers, IsEmpty());
}

TEST_F(ClientServiceTest, AWorkersKeyReadsNothing) {
  DealerEndpoint spy = Connect(w1, PeerOfClient(3));

  EXPECT_THAT(RefusalOf(Ask(spy, ClientRead{.request = 1})), HasSubstr("needs viewer"));
}

// --- reading ---

TEST_F(ClientServiceTest, ReadsWhatWasJustCommitted) {
  const RunId run = Submit();

  std::vector<RunRecord> runs;
  ASSERT_TRUE(FromStored(ReadAll({.kind = ReadKind::Runs}), runs));
  EXPECT_THAT(runs, SizeIs(1));
  const Checkpoint checkpoint = Load(run);
  EXPECT_TRUE(checkpoint.run == store->Load(run)->run);
  EXPECT_EQ(checkpoint.workflow_text, kFlow);
}

TEST_F(ClientServiceTest, ALargeRunComesInParts) {
  std::string text = "name: flow\ntasks:\n";
  for (int i = 0; i < 30'000; ++i) {
    text +=
        "  task-" + std::to_string(i) + ": {command: 'true'}  # " + std::string(200, '-') + "\n";
  }
  const RunId run = Submit(text);
  (void)AskFor<ClientReply>(client, ClientCommand{1, CommandKind::Cancel, run});  // Touches all.

  const Checkpoint checkpoint = Load(run);

  EXPECT_GT(parts, 1u);
  EXPECT_THAT(checkpoint.tasks, SizeIs(30'000));
  EXPECT_EQ(checkpoint.workflow_text, text);
}

TEST_F(ClientServiceTest, AMissingRunAndAForgottenPartAreErrors) {
  EXPECT_THAT(AskFor<ClientReply>(client, ClientRead{1, ReadKind::Run, RunId{7}}).error,
              HasSubstr("there is no run 7"));
  EXPECT_THAT(
      AskFor<ClientReply>(client, ClientRead{.request = 2, .kind = ReadKind::Runs, .part = 3})
          .error,
      HasSubstr("ask again"));
}

TEST_F(ClientServiceTest, ReadsTheAttemptsOfATask) {
  const RunId run = Submit();
  const std::vector<AttemptId> ids = Join();
  ASSERT_THAT(ids, SizeIs(2));
  Finish(ids[0]);

  std::vector<AttemptRecord> attempts;
  ASSERT_TRUE(FromStored(ReadAll({.kind = ReadKind::Attempts, .run = run, .index = ids[0].index}),
                         attempts));
  ASSERT_THAT(attempts, SizeIs(1));
  EXPECT_EQ(attempts[0].outcome.output, "printed");
}

// --- watching ---

TEST_F(ClientServiceTest, TheEventsOfARunComeInOrderAndWithoutGaps) {
  const RunId run = Submit();
  const ClientEvents begin = AskFor<ClientEvents>(client, ClientWatch{9, run});
  EXPECT_EQ(begin.first, 0u);
  EXPECT_EQ(begin.tasks, 2u);
  EXPECT_EQ(begin.settled, 0u);
  for (const AttemptId& id : Join()) Finish(id);

  std::vector<RunEvent::Kind> kinds;
  std::uint64_t next = begin.first;
  while (kinds.empty() || kinds.back() != RunEvent::Kind::RunFinished) {
    const auto events = Await<ClientEvents>(client);
    ASSERT_TRUE(events);
    EXPECT_EQ(events->stream, begin.stream);
    EXPECT_EQ(events->first, next);
    next += events->events.size();
    for (const RunEvent& event : events->events) kinds.push_back(event.kind);
  }

  using Kind = RunEvent::Kind;
  EXPECT_THAT(kinds, testing::UnorderedElementsAre(Kind::WorkerJoined, Kind::TaskStarted,
                                                   Kind::TaskStarted, Kind::TaskCompleted,
                                                   Kind::TaskCompleted, Kind::RunFinished));
}

TEST_F(ClientServiceTest, ARenewedWatchGoesOnAndAStoppedOneEnds) {
  const RunId run = Submit();
  const ClientEvents begin = AskFor<ClientEvents>(client, ClientWatch{9, run});
  const ClientEvents renewed = AskFor<ClientEvents>(client, ClientWatch{9, run});
  EXPECT_EQ(renewed.stream, begin.stream);
  Say(client, ClientWatch{9, run, true});
  AskFor<ClientWorkers>(client,
                        ClientListWorkers{10});  // Answered behind it, before a worker comes.
  Join();

  const ClientEvents anew = AskFor<ClientEvents>(client, ClientWatch{9, run});

  EXPECT_NE(anew.stream, begin.stream);
  EXPECT_EQ(anew.first, 0u);
  EXPECT_THAT(anew.events, IsEmpty());
}

// --- live output ---

TEST_F(ClientServiceTest, PassesOnWhatAnAttemptPrints) {
  Submit();
  const std::vector<AttemptId> ids = Join();
  ASSERT_THAT(ids, SizeIs(2));
  Say(client, ClientReadOutput{5, ids[0], OutputStream::Stderr, 17});
  const auto asked = Await<ReadOutput>(worker);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->id, ids[0]);
  EXPECT_EQ(asked->stream, OutputStream::Stderr);
  EXPECT_EQ(asked->offset, 17u);

  Say(worker, Output{asked->ticket, true, "live"});

  const auto output = Await<ClientOutput>(client);
  ASSERT_TRUE(output);
  EXPECT_EQ(*output, (ClientOutput{5, true, "live"}));
}

TEST_F(ClientServiceTest, OutputOfNobodysAttemptIsNotFound) {
  Submit();

  const ClientOutput output = AskFor<ClientOutput>(
      client, ClientReadOutput{5, {RunId{1}, Subject::Task, 0, 1}, OutputStream::Stdout, 0});

  EXPECT_FALSE(output.found);
}

TEST_F(ClientServiceTest, AnotherWorkerCannotAnswerForTheOneThatWasAsked) {
  Authorise("worker w1 " + w1.public_key + "\noperator ann " + ann.public_key + "\nworker w2 " +
            wall.public_key);
  Submit();
  const std::vector<AttemptId> ids = Join();
  DealerEndpoint w2 = Connect(wall, PeerOfWorker("w2", 1));
  Hello hello = HelloOf("w2");
  hello.spool = 2;
  (void)AskFor<Welcome>(w2, hello);
  Say(client, ClientReadOutput{5, ids.at(0), OutputStream::Stdout, 0});
  const auto asked = Await<ReadOutput>(worker);
  ASSERT_TRUE(asked);
  Say(w2, Output{asked->ticket, true, "forged"});
  Say(worker, Output{asked->ticket, true, "real"});

  const auto output = Await<ClientOutput>(client);

  ASSERT_TRUE(output);
  EXPECT_EQ(output->bytes, "real");
}

// --- workers, orders ---

TEST_F(ClientServiceTest, ListsWorkersAndDrainsThem) {
  Hello hello = HelloOf("w1");
  hello.providers = {"command"};
  (void)AskFor<Welcome>(worker, hello);
  ClientWorkers list = AskFor<ClientWorkers>(client, ClientListWorkers{1});
  ASSERT_THAT(list.workers, SizeIs(1));
  EXPECT_EQ(list.workers[0].name, "w1");
  EXPECT_EQ(list.workers[0].state, WorkerState::Connected);
  EXPECT_EQ(list.workers[0].slots, 2u);

  EXPECT_EQ(AskFor<ClientReply>(client, ClientDrain{2, "w1", true}).error, "");

  const auto drain = Await<Drain>(worker);
  ASSERT_TRUE(drain);
  EXPECT_TRUE(drain->on);
  list = AskFor<ClientWorkers>(client, ClientListWorkers{3});
  EXPECT_EQ(list.workers[0].state, WorkerState::Draining);
  Submit();
  EXPECT_EQ(AskFor<ClientWorkers>(client, ClientListWorkers{4}).workers[0].used, 0u);
  EXPECT_EQ(AskFor<ClientReply>(client, ClientDrain{5, "w1", false}).error, "");
  EXPECT_TRUE(Await<Dispatch>(worker));
  EXPECT_THAT(AskFor<ClientReply>(client, ClientDrain{6, "w9", true}).error,
              HasSubstr("there is no worker w9"));
}

TEST_F(ClientServiceTest, ARunThatFailedIsRetried) {
  const RunId run = Submit("name: flow\ntasks: {a: {command: 'true'}}\n");
  const std::vector<AttemptId> ids = Join();
  ASSERT_THAT(ids, SizeIs(1));
  EXPECT_THAT(AskFor<ClientReply>(client, ClientRetry{1, run}).error, HasSubstr("has not ended"));
  Finish(ids[0], FailureClass::Refusal);
  ASSERT_EQ(store->Load(run)->run.state, RunState::Failed);

  EXPECT_EQ(AskFor<ClientReply>(client, ClientRetry{2, run}).error, "");

  const auto dispatch = Await<Dispatch>(worker);
  ASSERT_TRUE(dispatch);
  EXPECT_EQ(dispatch->specs.at(0).id.number, 2u);
  Finish(dispatch->specs[0].id);
  EXPECT_EQ(store->Load(run)->run.state, RunState::Succeeded);
}

TEST_F(ClientServiceTest, ARetryOfNothingSaysWhy) {
  EXPECT_THAT(AskFor<ClientReply>(client, ClientRetry{1, RunId{9}}).error,
              HasSubstr("there is no run 9"));
}

TEST_F(ClientServiceTest, PausesResumesCancelsAndDeletes) {
  const RunId run = Submit();
  EXPECT_EQ(AskFor<ClientReply>(client, ClientCommand{1, CommandKind::Pause, run}).error, "");
  EXPECT_EQ(store->Load(run)->run.state, RunState::Paused);
  EXPECT_EQ(AskFor<ClientReply>(client, ClientCommand{2, CommandKind::Resume, run}).error, "");
  EXPECT_EQ(store->Load(run)->run.state, RunState::Running);
  EXPECT_EQ(AskFor<ClientReply>(client, ClientCommand{3, CommandKind::Cancel, run}).error, "");
  EXPECT_EQ(store->Load(run)->run.state, RunState::Cancelled);
  EXPECT_EQ(AskFor<ClientReply>(client, ClientCommand{4, CommandKind::Delete, run}).error, "");
  EXPECT_FALSE(store->Load(run));
}

// A coordinator of `troupe run`.
TEST_F(CoordinatorDaemonTest, WithoutTheServiceClientsAreToldSo) {
  DealerEndpoint client = Connect(ann, PeerOfClient(1));

  EXPECT_THAT(AskFor<ClientReply>(client, ClientListWorkers{1}).error,
              HasSubstr("belongs to a `troupe run`"));
}

}  // namespace
}  // namespace troupe
