#include "storage/rocksdb_checkpoint_store.h"

#include <fmt/format.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/check.h"
#include "storage/raw_table.h"
#include "storage/record_codec.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
namespace rdb = rocksdb;

// The format of the whole store: its families and keys.
constexpr std::uint8_t kStoreFormat = 1;
constexpr std::size_t kNowhere = std::string::npos;
// Below this a store is not opened: RocksDB does not survive every write that fails half way.
constexpr std::uintmax_t kFreeBytesMin = 4u << 20;
constexpr std::size_t kBatchBytesKept = 4u << 20;

constexpr const char* kFormatKey = "format";
constexpr const char* kDeletedKey = "deleted";  // The highest number of a deleted run, big endian.

enum Family : std::size_t { kMeta, kRuns, kTexts, kTasks, kAttempts, kHooks, kAgents };
constexpr std::array<const char*, 7> kFamilyNames = {"default",  "runs",  "texts", "tasks",
                                                     "attempts", "hooks", "agents"};
constexpr std::array<Family, 6> kOfRuns = {kRuns, kTexts, kTasks, kAttempts, kHooks, kAgents};

// A key of numbers, big endian, so that their order is that of the keys.
class Key {
 public:
  explicit Key(RunId run) { Put(run.value, 8); }
  Key(RunId run, std::uint32_t number) : Key(run) { Put(number, 4); }
  Key(RunId run, Subject subject, std::uint32_t index) : Key(run) {
    Put(static_cast<std::uint8_t>(subject), 1);
    Put(index, 4);
  }
  explicit Key(const AttemptId& id) : Key(id.run, id.subject, id.index) { Put(id.number, 4); }

  std::string text() const { return {bytes_.data(), size_}; }
  rdb::Slice slice() const { return {bytes_.data(), size_}; }

 private:
  void Put(std::uint64_t number, unsigned bytes) {
    while (bytes-- > 0) bytes_[size_++] = static_cast<char>(number >> (8 * bytes));
  }
  std::array<char, 17> bytes_{};
  std::size_t size_ = 0;
};

rdb::Options MakeOptions() {
  rdb::Options options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.wal_recovery_mode = rdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.compression = rdb::kLZ4Compression;
  options.write_buffer_size = 32u << 20;
  options.max_total_wal_size = 128u << 20;
  options.max_background_jobs = 2;
  options.max_open_files = 512;
  options.keep_log_file_num = 3;
  options.max_log_file_size = 4u << 20;
  options.info_log_level = rdb::WARN_LEVEL;
  options.bytes_per_sync = 1u << 20;
  options.stats_dump_period_sec = 0;
  options.max_bgerror_resume_count = 0;
  // Records of a run are written in the order of their numbers, most of the time. The prefix is
  // longer than the keys of deleted ranges: RocksDB must not take a hint from one of its two tables
  // to the other.
  options.memtable_insert_with_hint_prefix_extractor.reset(rdb::NewFixedPrefixTransform(9));
  return options;
}

Error FromRocks(const rdb::Status& status, const std::string& doing) {
  if (status.IsNoSpace() || status.subcode() == rdb::Status::SubCode::kNoSpace) {
    return {ErrorCode::Full, fmt::format("{}: the disk is full; make room and resume", doing)};
  }
  if (status.IsCorruption()) {
    return {ErrorCode::Corrupt,
            fmt::format("{}: the store is damaged ({}). Restore it from a backup, or move it away "
                        "and begin anew, or give another --state-dir",
                        doing, status.ToString())};
  }
  if (status.IsIOError() && status.ToString().find("lock") != std::string::npos) {
    return {ErrorCode::Locked, fmt::format("{}: another process has it open", doing)};
  }
  return {ErrorCode::Io, fmt::format("{}: {}", doing, status.ToString())};
}

Error DamagedRecord(const Error& error) {
  if (error.code != ErrorCode::Corrupt) return error;
  return {ErrorCode::Corrupt,
          fmt::format("{}. Restore the store from a backup, or give another --state-dir",
                      error.message)};
}

}  // namespace

struct RocksDbCheckpointStore::State {
  std::string directory;
  fs::path scratch;  // A reader's own directory; removed with it.
  std::unique_ptr<rdb::DB> db;
  std::vector<rdb::ColumnFamilyHandle*> families;  // By Family; nullptr: not there, so empty.
  rdb::WriteBatch writes;                          // Kept for their memory,
  std::string record;                              // of one record.

  ~State() {
    if (db != nullptr) {
      rdb::CancelAllBackgroundWork(db.get(), true);
      for (rdb::ColumnFamilyHandle* family : families) {
        if (family != nullptr) db->DestroyColumnFamilyHandle(family);
      }
      db->Close();
      db.reset();
    }
    std::error_code error;
    if (!scratch.empty()) fs::remove_all(scratch, error);
  }

  // Calls visit(value) for every key that begins with `prefix`, in order; stops when it is false.
  Status Scan(const rdb::ReadOptions& options, Family family, const std::string& prefix,
              const std::function<Result<bool>(std::string_view)>& visit) const {
    if (families[family] == nullptr) return {};
    const std::unique_ptr<rdb::Iterator> it(db->NewIterator(options, families[family]));
    for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
      const Result<bool> more = visit(it->value().ToStringView());
      if (!more) return DamagedRecord(more.error());
      if (!*more) return {};
    }
    if (!it->status().ok()) return FromRocks(it->status(), "cannot read " + directory);
    return {};
  }

  template <class Record>
  Status ReadAll(const rdb::ReadOptions& options, Family family, const std::string& prefix,
                 const std::string& what, std::vector<Record>& records) const {
    return Scan(options, family, prefix, [&](std::string_view bytes) -> Result<bool> {
      if (Status read = DecodeRecord(bytes, what, records.emplace_back()); !read) {
        return read.error();
      }
      return true;
    });
  }

  Status CheckFormat(bool may_write);
};

// A store says which format it has; one that is new gets told.
Status RocksDbCheckpointStore::State::CheckFormat(bool may_write) {
  std::string format;
  const rdb::Status read = db->Get({}, families[kMeta], kFormatKey, &format);
  if (read.IsNotFound() && may_write) {
    rdb::WriteOptions options;
    options.sync = true;
    const rdb::Status written =
        db->Put(options, families[kMeta], kFormatKey, std::string(1, char{kStoreFormat}));
    if (!written.ok()) return FromRocks(written, "cannot write " + directory);
    return {};
  }
  if (read.IsNotFound()) return {};
  if (!read.ok()) return FromRocks(read, "cannot read " + directory);
  const unsigned number = format.empty() ? 0 : static_cast<std::uint8_t>(format[0]);
  if (number > kStoreFormat) {
    return Error{ErrorCode::TooNew,
                 fmt::format("{} was written by a newer troupe (store format {}); this one reads "
                             "up to format {}. Upgrade troupe, or give another --state-dir",
                             directory, number, kStoreFormat)};
  }
  return {};
}

// What is read: all, or the store as it was at one moment.
struct RocksDbCheckpointStore::View {
  explicit View(rdb::DB* opened) : db(opened) {}
  ~View() { Set(nullptr); }
  void Set(const rdb::Snapshot* next) {
    if (options.snapshot != nullptr) db->ReleaseSnapshot(options.snapshot);
    options.snapshot = next;
  }

  rdb::DB* db;
  rdb::ReadOptions options;
};

RocksDbCheckpointStore::RocksDbCheckpointStore(std::shared_ptr<State> state)
    : state_(std::move(state)), view_(std::make_unique<View>(state_->db.get())) {}
RocksDbCheckpointStore::~RocksDbCheckpointStore() = default;

Result<std::unique_ptr<RocksDbCheckpointStore>> RocksDbCheckpointStore::Open(
    const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (const fs::space_info space = fs::space(directory, error);
      !error && space.available < kFreeBytesMin) {
    return Error{
        ErrorCode::Full,
        fmt::format("the disk of {} is full: {} KiB are free, {} are needed. Make room, or "
                    "give another --state-dir",
                    directory.string(), space.available >> 10, kFreeBytesMin >> 10)};
  }
  const mode_t before = umask(0077);
  auto state = std::make_unique<State>();
  state->directory = directory.string();
  const rdb::Options options = MakeOptions();
  std::vector<rdb::ColumnFamilyDescriptor> families;
  for (const char* name : kFamilyNames) families.emplace_back(name, options);
  rdb::DB* db = nullptr;
  const rdb::Status opened =
      rdb::DB::Open(options, state->directory, families, &state->families, &db);
  state->db.reset(db);
  umask(before);
  if (opened.IsInvalidArgument() && opened.ToString().find("families not opened") != kNowhere) {
    return Error{ErrorCode::TooNew,
                 fmt::format("{} was written by a newer troupe: it holds records that this one "
                             "does not know. Upgrade troupe, or give another --state-dir",
                             state->directory)};
  }
  if (!opened.ok()) return FromRocks(opened, "cannot open the store in " + state->directory);
  if (Status format = state->CheckFormat(true); !format) return format.error();
  return std::unique_ptr<RocksDbCheckpointStore>(new RocksDbCheckpointStore(std::move(state)));
}

Result<std::unique_ptr<RocksDbCheckpointStore>> RocksDbCheckpointStore::OpenForReading(
    const fs::path& directory) {
  std::error_code error;
  if (!fs::exists(directory / "CURRENT", error)) {
    return Error{ErrorCode::NotFound, fmt::format("there are no runs in {}: no store is there",
                                                  directory.parent_path().string())};
  }
  auto state = std::make_unique<State>();
  state->directory = directory.string();
  std::string scratch = (fs::temp_directory_path(error) / "troupe-read-XXXXXX").string();
  if (mkdtemp(scratch.data()) == nullptr) {
    return Error{ErrorCode::Io, fmt::format("cannot make a directory like {}", scratch)};
  }
  state->scratch = scratch;
  rdb::Options options = MakeOptions();
  options.max_open_files = -1;  // A reader must keep files that the writer deletes.
  // An older troupe knew fewer families, and a reader cannot make the others.
  std::vector<std::string> there;
  const rdb::Status listed = rdb::DB::ListColumnFamilies(options, state->directory, &there);
  if (!listed.ok()) return FromRocks(listed, "cannot read the store in " + state->directory);
  std::vector<rdb::ColumnFamilyDescriptor> families;
  for (const char* name : kFamilyNames) {
    if (std::find(there.begin(), there.end(), name) != there.end()) {
      families.emplace_back(name, options);
    }
  }
  rdb::DB* db = nullptr;
  std::vector<rdb::ColumnFamilyHandle*> handles;
  const rdb::Status opened =
      rdb::DB::OpenAsSecondary(options, state->directory, scratch, families, &handles, &db);
  state->db.reset(db);
  if (!opened.ok()) return FromRocks(opened, "cannot read the store in " + state->directory);
  for (const char* name : kFamilyNames) {
    const auto handle = std::find_if(handles.begin(), handles.end(),
                                     [&](const auto* h) { return h->GetName() == name; });
    state->families.push_back(handle == handles.end() ? nullptr : *handle);
  }
  if (Status format = state->CheckFormat(false); !format) return format.error();
  if (state->families[kRuns] == nullptr) {  // It was being made when its process was killed.
    return Error{ErrorCode::NotFound,
                 fmt::format("there are no runs in {}", directory.parent_path().string())};
  }
  std::unique_ptr<RocksDbCheckpointStore> store(new RocksDbCheckpointStore(std::move(state)));
  if (Status caught_up = store->CatchUp(); !caught_up) return caught_up.error();
  return store;
}

std::unique_ptr<const RocksDbCheckpointStore> RocksDbCheckpointStore::Reader() const {
  std::unique_ptr<RocksDbCheckpointStore> reader(new RocksDbCheckpointStore(state_));
  reader->view_->Set(state_->db->GetSnapshot());
  return reader;
}

Status RocksDbCheckpointStore::CatchUp() {
  const rdb::Status caught_up = state_->db->TryCatchUpWithPrimary();
  if (caught_up.ok()) return {};
  return FromRocks(caught_up, "cannot read the store in " + state_->directory);
}

std::vector<std::uint64_t> RocksDbCheckpointStore::SizesOf(const std::vector<RunId>& runs) const {
  std::vector<Key> keys;  // Where each begins and ends.
  keys.reserve(2 * runs.size());
  for (const RunId run : runs) {
    keys.emplace_back(run);
    keys.emplace_back(RunId{run.value + 1});
  }
  std::vector<rdb::Range> ranges;
  for (std::size_t i = 0; i < keys.size(); i += 2) {
    ranges.emplace_back(keys[i].slice(), keys[i + 1].slice());
  }
  std::vector<std::uint64_t> sizes(runs.size());
  std::vector<std::uint64_t> of_family(runs.size());
  for (const Family f : kOfRuns) {
    if (state_->families[f] == nullptr) continue;
    const rdb::Status measured = state_->db->GetApproximateSizes(
        rdb::SizeApproximationOptions(), state_->families[f], ranges.data(),
        static_cast<int>(ranges.size()), of_family.data());
    if (!measured.ok()) continue;
    for (std::size_t i = 0; i < sizes.size(); ++i) sizes[i] += of_family[i];
  }
  return sizes;
}

// By itself RocksDB does it when it comes by with newer records, which need not be soon. What fails
// here is done then.
void RocksDbCheckpointStore::Free(RunId first, RunId last, std::atomic<bool>& cancelled) const {
  rdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;  // Else nothing newer is compacted meanwhile.
  options.canceled = &cancelled;
  const Key begin(first);
  const Key end(RunId{last.value + 1});
  const rdb::Slice from = begin.slice();
  const rdb::Slice to = end.slice();
  for (const Family f : kOfRuns) {
    state_->db->CompactRange(options, state_->families[f], &from, &to).PermitUncheckedError();
  }
}

Status RocksDbCheckpointStore::Commit(const Batch& batch) {
  rdb::WriteBatch& writes = state_->writes;
  writes.Clear();
  const auto family = [&](Family f) { return state_->families[f]; };
  if (!batch.deleted_runs.empty()) {
    const Result<RunId> last = LastRun();
    if (!last) return last.error();
    writes.Put(family(kMeta), kDeletedKey, Key(*last).slice());
  }
  for (RunId run : batch.deleted_runs) {
    const Key begin(run);
    const Key end(RunId{run.value + 1});
    for (const Family f : kOfRuns) {
      writes.DeleteRange(family(f), begin.slice(), end.slice());
    }
  }
  // Records of one kind stand together: that is what makes the write fast.
  const auto put = [&](Family f, const rdb::Slice& key, const auto& record) {
    const std::string_view bytes = EncodeRecord(record, state_->record);
    writes.Put(family(f), key, rdb::Slice(bytes.data(), bytes.size()));
  };
  for (const RunRecord& r : batch.runs) put(kRuns, Key(r.id).slice(), r);
  for (const WorkflowTextRecord& r : batch.texts) put(kTexts, Key(r.run).slice(), r);
  for (const TaskRecord& r : batch.tasks) put(kTasks, Key(r.run, r.task.value).slice(), r);
  for (const AttemptRecord& r : batch.attempts) put(kAttempts, Key(r.outcome.id).slice(), r);
  for (const HookRecord& r : batch.hooks) put(kHooks, Key(r.run, r.execution).slice(), r);
  for (const AgentRecord& r : batch.agents) put(kAgents, Key(r.run).text() + r.agent, r);
  rdb::WriteOptions options;
  options.sync = true;
  const rdb::Status written = state_->db->Write(options, &writes);
  if (!batch.texts.empty() || writes.GetDataSize() > kBatchBytesKept) {
    writes = rdb::WriteBatch();
    std::string().swap(state_->record);
  }
  if (written.ok()) return {};
  return FromRocks(written, "cannot write to the store in " + state_->directory);
}

Result<std::vector<RunRecord>> RocksDbCheckpointStore::Runs() const {
  std::vector<RunRecord> runs;
  if (Status read = state_->ReadAll(view_->options, kRuns, "", "a run", runs); !read)
    return read.error();
  return runs;
}

Result<RunId> RocksDbCheckpointStore::LastRun() const {
  std::string deleted;
  const rdb::Status read =
      state_->db->Get(view_->options, state_->families[kMeta], kDeletedKey, &deleted);
  if (!read.ok() && !read.IsNotFound()) {
    return FromRocks(read, "cannot read the store in " + state_->directory);
  }
  const std::unique_ptr<rdb::Iterator> it(
      state_->db->NewIterator(view_->options, state_->families[kRuns]));
  it->SeekToLast();
  const std::string newest = it->Valid() ? it->key().ToString() : "";
  RunId last{};
  for (const char c : std::max(deleted, newest)) {
    last.value = last.value << 8 | static_cast<std::uint8_t>(c);
  }
  return last;
}

Result<Checkpoint> RocksDbCheckpointStore::Load(RunId run) const {
  const std::string name = fmt::format("run {}", run.value);
  Checkpoint checkpoint;
  std::string bytes;
  const rdb::Status found =
      state_->db->Get(view_->options, state_->families[kRuns], Key(run).slice(), &bytes);
  if (found.IsNotFound()) return Error{ErrorCode::NotFound, "there is no " + name};
  if (!found.ok()) return FromRocks(found, "cannot read the store in " + state_->directory);
  if (Status read = DecodeRecord(bytes, name, checkpoint.run); !read) {
    return DamagedRecord(read.error());
  }
  std::vector<WorkflowTextRecord> texts;
  const std::string prefix = Key(run).text();
  for (const Status& read :
       {state_->ReadAll(view_->options, kTexts, prefix, "the workflow of " + name, texts),
        state_->ReadAll(view_->options, kTasks, prefix, "a task of " + name, checkpoint.tasks),
        state_->ReadAll(view_->options, kHooks, prefix, "a hook of " + name, checkpoint.hooks),
        state_->ReadAll(view_->options, kAgents, prefix, "an agent of " + name,
                        checkpoint.agents)}) {
    if (!read) return read.error();
  }
  if (!texts.empty()) checkpoint.workflow_text = std::move(texts.front().text);
  return checkpoint;
}

Result<std::vector<AttemptRecord>> RocksDbCheckpointStore::Attempts(RunId run, Subject subject,
                                                                    std::uint32_t index) const {
  std::vector<AttemptRecord> attempts;
  const std::string what = fmt::format("an attempt of run {}", run.value);
  Status read =
      state_->ReadAll(view_->options, kAttempts, Key(run, subject, index).text(), what, attempts);
  if (!read) return read.error();
  return attempts;
}

Status RocksDbCheckpointStore::Attempts(
    RunId run, const std::function<bool(const AttemptRecord&)>& visit) const {
  const std::string what = fmt::format("an attempt of run {}", run.value);
  return state_->Scan(view_->options, kAttempts, Key(run).text(),
                      [&](std::string_view bytes) -> Result<bool> {
                        AttemptRecord record;
                        if (Status read = DecodeRecord(bytes, what, record); !read)
                          return read.error();
                        return visit(record);
                      });
}

struct RawTable::State {
  std::unique_ptr<rdb::DB> db = {};
  rdb::WriteBatch batch;
};

RawTable::RawTable(std::unique_ptr<State> state) : state_(std::move(state)) {}
RawTable::RawTable(RawTable&&) noexcept = default;
RawTable& RawTable::operator=(RawTable&&) noexcept = default;
RawTable::~RawTable() = default;

Result<RawTable> RawTable::Open(const std::filesystem::path& directory) {
  rdb::DB* db = nullptr;
  const rdb::Status opened = rdb::DB::Open(MakeOptions(), directory.string(), &db);
  if (!opened.ok()) return FromRocks(opened, "cannot open " + directory.string());
  auto state = std::make_unique<State>();
  state->db.reset(db);
  return RawTable(std::move(state));
}

void RawTable::Put(std::string_view key, std::string_view value) {
  CHECK(
      state_->batch.Put(rdb::Slice(key.data(), key.size()), rdb::Slice(value.data(), value.size()))
          .ok());
}

Status RawTable::Write() {
  rdb::WriteOptions options;
  options.sync = true;
  const rdb::Status written = state_->db->Write(options, &state_->batch);
  state_->batch.Clear();
  if (!written.ok()) return FromRocks(written, "cannot write");
  return {};
}

}  // namespace troupe
