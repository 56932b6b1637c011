// The parts on the way of a task, each alone: bytes of messages and records, the cores, the store.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "coordinator/coordinator.h"
#include "protocol/codec.h"
#include "storage/memory_checkpoint_store.h"
#include "storage/record_codec.h"
#include "storage/rocksdb_checkpoint_store.h"
#include "tests/coordinator/plans.h"
#include "worker/worker.h"

namespace troupe {
namespace {

constexpr Instant kStart = Instant{} + std::chrono::hours(500'000);

AttemptSpec MockSpec(std::uint32_t task) {
  AttemptSpec spec;
  spec.id = {RunId{1}, Subject::Task, task, 1};
  spec.token = "0d9a4c5e-7f6b-4a3c-9d8e-1f2a3b4c5d6e";
  spec.kind = RunnerKind::Mock;
  spec.task = "task-" + std::to_string(task);
  spec.agent = "writer";
  spec.prompt = "Write a short text about the number of this task.";
  spec.run_dir = "/home/someone/project";
  spec.mock.output = "ok";
  return spec;
}

void DispatchCodec(benchmark::State& state) {
  Dispatch dispatch{.session = 1, .specs = {}};
  for (std::uint32_t i = 0; i < 64; ++i) dispatch.specs.push_back(MockSpec(i));
  for (auto _ : state) {
    const std::string bytes = Encode(FromCoordinator(dispatch));
    benchmark::DoNotOptimize(DecodeFromCoordinator(bytes));
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(DispatchCodec);

void TaskRecordCodec(benchmark::State& state) {
  TaskRecord record;
  record.run = RunId{1};
  record.state = TaskState::Completed;
  record.worker = "w1";
  record.first_started = record.attempt_started = record.ended = kStart;
  TaskRecord read;
  for (auto _ : state) {
    const std::string bytes = EncodeRecord(record);
    benchmark::DoNotOptimize(DecodeRecord(bytes, "task", read));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(TaskRecordCodec);

// Both cores and no I/O: a fan of mock tasks from submit to end.
void CoresFan(benchmark::State& state) {
  PlanMaker maker;
  const std::uint32_t agent = maker.Agent("mock");
  for (int i = 0; i < state.range(0); ++i) maker.Task("t" + std::to_string(i), {}, agent);
  const auto plan = maker.Share();
  for (auto _ : state) {
    Coordinator coordinator({}, RunId{1});
    WorkerCore worker({.name = "w1", .slots = 256});
    WorkerEffects said;
    worker.Begin({}, {}, kStart, said);
    SubmitRun submit;
    submit.plan = plan;
    Effects effects;
    coordinator.Step(submit, kStart, effects);
    while (coordinator.live() > 0) {
      for (ToCoordinator& message : said.send) {
        coordinator.Step(PeerSpoke{"w1", std::move(message)}, kStart, effects);
      }
      coordinator.EndTurn(kStart, effects);
      said = {};
      for (const Outgoing& outgoing : effects.send) {
        worker.OnMessage(outgoing.message, kStart, said);
      }
      worker.EndTurn(kStart, said);
      effects = {};
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(CoresFan)->Arg(1'000)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

// One synced batch of so many tasks, each with its record and the history of its attempt.
void StoreCommit(benchmark::State& state) {
  std::string directory = (std::filesystem::temp_directory_path() / "troupe-bench-XXXXXX").string();
  CHECK(mkdtemp(directory.data()) != nullptr);
  {
    auto store = RocksDbCheckpointStore::Open(directory);
    CHECK(store.has_value());
    std::uint32_t next = 0;
    for (auto _ : state) {
      Batch batch;
      for (int i = 0; i < state.range(0); ++i, ++next) {
        TaskRecord task;
        task.run = RunId{1};
        task.task = TaskId{next};
        task.state = TaskState::Completed;
        batch.tasks.push_back(task);
        AttemptRecord attempt;
        attempt.outcome.id = {RunId{1}, Subject::Task, next, 1};
        attempt.outcome.output = "ok";
        batch.attempts.push_back(attempt);
      }
      CHECK((*store)->Commit(batch).has_value());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK(StoreCommit)->Arg(1)->Arg(64)->Arg(1'024)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace troupe

BENCHMARK_MAIN();
