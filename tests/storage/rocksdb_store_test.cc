// What only the durable store promises: crashes, locks, damage, readers beside a writer.
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "storage/rocksdb_checkpoint_store.h"
#include "storage/state_lock.h"
#include "tests/storage/sample_records.h"
#include "tests/storage/temporary_directory.h"

extern char** environ;

namespace troupe {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<RocksDbCheckpointStore> Open(const fs::path& directory) {
  auto opened = RocksDbCheckpointStore::Open(directory);
  CHECK(opened.has_value());
  return *std::move(opened);
}

// A batch is run N with N % 10 tasks: a half one would be seen.
Batch BatchOf(std::uint64_t run) {
  Batch batch;
  batch.runs = {SampleRun(run)};
  for (std::uint32_t task = 0; task < run % 10; ++task)
    batch.tasks.push_back(SampleTask(run, task));
  return batch;
}

fs::path NewestLog(const fs::path& directory) {
  fs::path newest;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".log" && entry.file_size() > 0) newest = entry.path();
  }
  return newest;
}

// A process of its own commits runs 1, 2, 3 … and says each number when it is acknowledged.
struct Writer {
  pid_t pid = 0;
  std::FILE* said = nullptr;

  explicit Writer(const fs::path& directory) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], 1);
    posix_spawn_file_actions_addclose(&files, ends[0]);
    std::string program = fs::read_symlink("/proc/self/exe").parent_path() / "store_writer";
    std::string argument = directory.string();
    char* argv[] = {program.data(), argument.data(), nullptr};
    CHECK(posix_spawn(&pid, program.c_str(), &files, nullptr, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    said = fdopen(ends[0], "r");
  }
  ~Writer() {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    if (said != nullptr) fclose(said);
  }
  std::uint64_t Next() {
    unsigned long number = 0;
    CHECK(std::fscanf(said, "%lu", &number) == 1);
    return number;
  }
};

// Opens the database itself, with all it holds, as another version of the store would.
void Change(const fs::path& directory,
            const std::function<void(rocksdb::DB&, rocksdb::ColumnFamilyHandle& last)>& change) {
  std::vector<std::string> names;
  CHECK(rocksdb::DB::ListColumnFamilies({}, directory.string(), &names).ok());
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : names) families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  CHECK(rocksdb::DB::Open({}, directory.string(), families, &handles, &db).ok());
  change(*db, *handles.back());
  for (rocksdb::ColumnFamilyHandle* handle : handles) db->DestroyColumnFamilyHandle(handle);
  CHECK(db->Close().ok());
  delete db;
}

TEST(RocksDbStore, ReadsAndOpensWhatAnOlderVersionWrote) {
  const TemporaryDirectory directory;
  ASSERT_TRUE(Open(directory.path())->Commit(BatchOf(3)).has_value());
  Change(directory.path(), [](rocksdb::DB& db, rocksdb::ColumnFamilyHandle& last) {
    ASSERT_EQ(last.GetName(), "agents");
    ASSERT_TRUE(db.DropColumnFamily(&last).ok());
  });

  const auto reader = RocksDbCheckpointStore::OpenForReading(directory.path());
  ASSERT_TRUE(reader.has_value()) << reader.error().message;
  EXPECT_EQ((*reader)->Load(RunId{3}).value().tasks.size(), 3U);
  EXPECT_EQ(Open(directory.path())->Load(RunId{3}).value().tasks.size(), 3U);
}

TEST(RocksDbStore, RefusesToOpenWhatANewerVersionWrote) {
  const TemporaryDirectory directory;
  ASSERT_TRUE(Open(directory.path())->Commit(BatchOf(3)).has_value());
  Change(directory.path(), [](rocksdb::DB& db, rocksdb::ColumnFamilyHandle&) {
    rocksdb::ColumnFamilyHandle* added = nullptr;
    ASSERT_TRUE(db.CreateColumnFamily({}, "of the future", &added).ok());
    db.DestroyColumnFamilyHandle(added);
  });

  const auto opened = RocksDbCheckpointStore::Open(directory.path());
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, ErrorCode::TooNew);
  EXPECT_NE(opened.error().message.find("Upgrade troupe"), std::string::npos);
}

TEST(RocksDbStore, HasEveryAcknowledgedBatchWholeAfterAKill) {
  for (std::uint64_t kill_after : {1u, 7u, 50u, 200u}) {
    TemporaryDirectory directory;
    {
      Writer writer(directory.path());
      while (writer.Next() < kill_after) {
      }
    }
    const auto store = Open(directory.path());
    const auto runs = store->Runs();
    ASSERT_TRUE(runs);
    ASSERT_GE(runs->size(), kill_after);
    for (const RunRecord& run : *runs) {
      EXPECT_EQ(store->Load(run.id)->tasks.size(), run.id.value % 10);
    }
  }
}

TEST(RocksDbStore, CanBeReadWhileAnotherProcessWrites) {
  TemporaryDirectory directory;
  Writer writer(directory.path());
  while (writer.Next() < 20) {
  }
  auto reader = RocksDbCheckpointStore::OpenForReading(directory.path());
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_GE((*reader)->Runs()->size(), 20u);
  while (writer.Next() < 100) {
  }
  ASSERT_TRUE((*reader)->CatchUp());
  EXPECT_GE((*reader)->Runs()->size(), 100u);
  EXPECT_FALSE((*reader)->Commit(BatchOf(1)));
}

TEST(RocksDbStore, HasOneWriter) {
  TemporaryDirectory directory;
  Writer writer(directory.path());
  writer.Next();

  const auto second = RocksDbCheckpointStore::Open(directory.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::Locked) << second.error().message;
}

TEST(RocksDbStore, RefusesDamageInTheMiddleOfItsLog) {
  TemporaryDirectory directory;
  {
    Writer writer(directory.path());
    while (writer.Next() < 100) {
    }
  }
  const fs::path log = NewestLog(directory.path());
  const auto middle = static_cast<std::streamoff>(fs::file_size(log) / 2);
  std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(middle);
  const auto byte = static_cast<char>(file.get() ^ 0x55);
  file.seekp(middle);
  file.put(byte);
  file.close();

  const auto opened = RocksDbCheckpointStore::Open(directory.path());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::Corrupt) << opened.error().message;
  EXPECT_NE(opened.error().message.find("--state-dir"), std::string::npos);
}

TEST(RocksDbStore, ForgivesATornWriteAtTheEndOfItsLog) {
  TemporaryDirectory directory;
  {
    Writer writer(directory.path());
    while (writer.Next() < 50) {
    }
  }
  const fs::path log = NewestLog(directory.path());
  fs::resize_file(log, fs::file_size(log) - 5);

  EXPECT_GE(Open(directory.path())->Runs()->size(), 49u);
}

TEST(RocksDbStore, SaysThatThereIsNoStore) {
  TemporaryDirectory directory;

  const auto reader = RocksDbCheckpointStore::OpenForReading(directory.path() / "db");
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, ErrorCode::NotFound);
}

// Text that does not compress.
std::string Noise(std::uint64_t seed, std::size_t bytes) {
  std::string text(bytes, 0);
  for (char& c : text) c = static_cast<char>((seed = seed * 6'364'136'223'846'793'005u + 1) >> 56);
  return text;
}

std::uint64_t BytesIn(const fs::path& directory) {
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(directory)) bytes += entry.file_size();
  return bytes;
}

TEST(RocksDbStore, KnowsWhatRunsTakeAndFreesWhatDeletedOnesTook) {
  TemporaryDirectory directory;
  for (const std::uint32_t run : {1u, 2u}) {
    auto store = Open(directory.path());
    for (std::uint32_t i = 0; i < 20 * run; ++i) {
      Batch batch;
      batch.attempts = {SampleAttempt({RunId{run}, Subject::Task, i, 1})};
      batch.attempts[0].outcome.output = Noise(100 * run + i, 100'000);
      ASSERT_TRUE(store->Commit(batch));
    }
  }  // What is in the log when it is opened goes to files.
  auto store = Open(directory.path());
  const std::vector<std::uint64_t> sizes = store->SizesOf({RunId{1}, RunId{2}, RunId{3}});
  EXPECT_NEAR(static_cast<double>(sizes.at(0)), 2e6, 3e5);
  EXPECT_NEAR(static_cast<double>(sizes.at(1)), 4e6, 3e5);
  EXPECT_EQ(sizes.at(2), 0U);
  Batch removal;
  removal.deleted_runs = {RunId{2}};
  ASSERT_TRUE(store->Commit(removal));
  EXPECT_GT(BytesIn(directory.path()), 6'000'000U);
  std::atomic<bool> cancelled = false;

  store->Free(RunId{2}, RunId{2}, cancelled);

  EXPECT_LT(BytesIn(directory.path()), 3'000'000U);
  EXPECT_EQ(store->Attempts(RunId{1}, Subject::Task, 19)->size(), 1U);
}

TEST(StateLock, IsHeldByOneAndNamesIt) {
  TemporaryDirectory directory;
  const fs::path state = directory.path() / "state";
  EXPECT_FALSE(StateLock::IsHeld(state));
  {
    auto first = StateLock::Take(state);
    ASSERT_TRUE(first);
    EXPECT_TRUE(StateLock::IsHeld(state));
    const auto second = StateLock::Take(state);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::Locked);
    EXPECT_NE(second.error().message.find("pid " + std::to_string(getpid())), std::string::npos);
  }
  EXPECT_FALSE(StateLock::IsHeld(state));
  EXPECT_TRUE(StateLock::Take(state));
  EXPECT_EQ(fs::status(state).permissions(), fs::perms::owner_all);
}

}  // namespace
}  // namespace troupe
