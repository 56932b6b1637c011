// One suite for every store: what a CheckpointStore promises.
#include <gtest/gtest.h>

#include <filesystem>

#include "storage/memory_checkpoint_store.h"
#include "storage/rocksdb_checkpoint_store.h"
#include "tests/storage/sample_records.h"
#include "tests/storage/temporary_directory.h"

namespace troupe {
namespace {

// Gives stores of one kind; Reopen() is a restart, where the kind can.
class MemoryKind {
 public:
  CheckpointStore& store() { return store_; }
  void Reopen() {}

 private:
  MemoryCheckpointStore store_;
};

class RocksKind {
 public:
  RocksKind() { Reopen(); }
  CheckpointStore& store() { return *store_; }
  void Reopen() {
    store_.reset();
    auto opened = RocksDbCheckpointStore::Open(directory_.path());
    CHECK(opened.has_value());
    store_ = *std::move(opened);
  }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<RocksDbCheckpointStore> store_;
};

template <class Kind>
class StoreContract : public testing::Test {
 protected:
  void Commit(const Batch& batch) { ASSERT_TRUE(kind.store().Commit(batch)); }
  Checkpoint Load(std::uint64_t run) {
    auto loaded = kind.store().Load(RunId{run});
    CHECK(loaded.has_value());
    return *std::move(loaded);
  }
  Kind kind;
};

using Kinds = testing::Types<MemoryKind, RocksKind>;
TYPED_TEST_SUITE(StoreContract, Kinds);

TYPED_TEST(StoreContract, GivesBackWhatWasCommitted) {
  Batch batch;
  batch.runs = {SampleRun(7)};
  batch.texts = {{RunId{7}, "name: x"}};
  batch.tasks = {SampleTask(7, 0), SampleTask(7, 300)};
  batch.hooks = {SampleHook(7, 0), SampleHook(7, 1)};
  batch.agents = {SampleAgent(7, "fast"), SampleAgent(7, "slow")};
  this->Commit(batch);
  this->kind.Reopen();

  const Checkpoint loaded = this->Load(7);
  EXPECT_EQ(loaded.run, batch.runs[0]);
  EXPECT_EQ(loaded.workflow_text, "name: x");
  EXPECT_EQ(loaded.tasks, batch.tasks);
  EXPECT_EQ(loaded.hooks, batch.hooks);
  EXPECT_EQ(loaded.agents, batch.agents);
}

TYPED_TEST(StoreContract, ALaterRecordWins) {
  Batch batch;
  batch.runs = {SampleRun(1)};
  batch.tasks = {SampleTask(1, 5)};
  this->Commit(batch);
  TaskRecord later = SampleTask(1, 5);
  later.state = TaskState::Completed;
  TaskRecord last = later;
  last.attempts = 99;
  Batch second;
  second.tasks = {later, last};
  this->Commit(second);

  ASSERT_EQ(this->Load(1).tasks.size(), 1u);
  EXPECT_EQ(this->Load(1).tasks[0], last);
}

TYPED_TEST(StoreContract, KeepsTheOrderOfNumbers) {
  Batch batch;
  batch.runs = {SampleRun(1)};
  for (std::uint32_t task : {70'000u, 3u, 255u, 256u, 0u})
    batch.tasks.push_back(SampleTask(1, task));
  this->Commit(batch);

  std::vector<std::uint32_t> order;
  for (const TaskRecord& task : this->Load(1).tasks) order.push_back(task.task.value);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{0, 3, 255, 256, 70'000}));
}

TYPED_TEST(StoreContract, ListsRunsOldestFirst) {
  for (std::uint64_t run : {2u, 300u, 1u}) {
    Batch batch;
    batch.runs = {SampleRun(run)};
    this->Commit(batch);
  }

  std::vector<std::uint64_t> order;
  const auto runs = this->kind.store().Runs();
  ASSERT_TRUE(runs);
  for (const RunRecord& run : *runs) order.push_back(run.id.value);
  EXPECT_EQ(order, (std::vector<std::uint64_t>{1, 2, 300}));
}

TYPED_TEST(StoreContract, KeepsTheHistoryOfAttempts) {
  Batch batch;
  batch.runs = {SampleRun(1)};
  for (std::uint32_t number : {1u, 2u, 300u}) {
    batch.attempts.push_back(SampleAttempt({RunId{1}, Subject::Task, 4, number}));
  }
  batch.attempts.push_back(SampleAttempt({RunId{1}, Subject::Task, 5, 1}));
  batch.attempts.push_back(SampleAttempt({RunId{1}, Subject::Hook, 4, 1}));
  batch.attempts.push_back(SampleAttempt({RunId{2}, Subject::Task, 4, 1}));
  this->Commit(batch);

  const auto attempts = this->kind.store().Attempts(RunId{1}, Subject::Task, 4);
  ASSERT_TRUE(attempts);
  ASSERT_EQ(attempts->size(), 3u);
  EXPECT_EQ((*attempts)[2], batch.attempts[2]);
  std::size_t visited = 0;
  ASSERT_TRUE(
      this->kind.store().Attempts(RunId{1}, [&](const AttemptRecord&) { return ++visited < 4; }));
  EXPECT_EQ(visited, 4u);
}

TYPED_TEST(StoreContract, NeverUsesTheNumberOfADeletedRunAgain) {
  EXPECT_EQ(this->kind.store().LastRun()->value, 0u);
  Batch batch;
  batch.runs = {SampleRun(1), SampleRun(2), SampleRun(300)};
  this->Commit(batch);
  EXPECT_EQ(this->kind.store().LastRun()->value, 300u);
  Batch removal;
  removal.deleted_runs = {RunId{300}, RunId{1}};
  this->Commit(removal);
  this->kind.Reopen();
  EXPECT_EQ(this->kind.store().LastRun()->value, 300u);
}

TYPED_TEST(StoreContract, DeletesARunAndNothingElse) {
  Batch batch;
  for (std::uint64_t run : {1u, 2u, 3u}) {
    batch.runs.push_back(SampleRun(run));
    batch.texts.push_back({RunId{run}, "text"});
    batch.tasks.push_back(SampleTask(run, 0));
    batch.hooks.push_back(SampleHook(run, 0));
    batch.agents.push_back(SampleAgent(run, "a"));
    batch.attempts.push_back(SampleAttempt({RunId{run}, Subject::Task, 0, 1}));
  }
  this->Commit(batch);
  Batch removal;
  removal.deleted_runs = {RunId{2}};
  this->Commit(removal);

  EXPECT_EQ(this->kind.store().Load(RunId{2}).error().code, ErrorCode::NotFound);
  EXPECT_TRUE(this->kind.store().Attempts(RunId{2}, Subject::Task, 0)->empty());
  for (std::uint64_t run : {1u, 3u}) {
    EXPECT_EQ(this->Load(run).tasks.size(), 1u);
    EXPECT_EQ(this->Load(run).agents.size(), 1u);
    EXPECT_EQ(this->kind.store().Attempts(RunId{run}, Subject::Task, 0)->size(), 1u);
  }
}

}  // namespace
}  // namespace troupe
