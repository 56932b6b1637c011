#include "cli/remote_store.h"

#include <utility>

#include "coordinator/stored_records.h"

namespace troupe {
namespace {

constexpr int kTriesMax = 3;

}  // namespace

// All parts. The coordinator may have forgotten the rest, as after its restart: then from the
// start.
Result<std::vector<StoredRecord>> RemoteStore::Read(ClientRead read) const {
  for (int tries = 1;; ++tries) {
    std::vector<StoredRecord> records;
    read.request = client_->NextRequest();
    for (read.part = 0;; ++read.part) {
      Result<ClientRecords> part = client_->AskAgain<ClientRecords>(read);
      const bool final = read.part == 0 || tries == kTriesMax;
      if (!part && (final || part.error().code == ErrorCode::Unavailable)) return part.error();
      if (!part) break;
      for (StoredRecord& record : part->records) records.push_back(std::move(record));
      if (part->last) return records;
    }
  }
}

Status RemoteStore::Commit(const Batch&) {
  return Error{ErrorCode::Invalid, "the runs of a coordinator can only be read from here"};
}

Result<std::vector<RunRecord>> RemoteStore::Runs() const {
  const Result<std::vector<StoredRecord>> records = Read({.kind = ReadKind::Runs});
  if (!records) return records.error();
  std::vector<RunRecord> runs;
  if (Status read = FromStored(*records, runs); !read) return read.error();
  return runs;
}

Result<RunId> RemoteStore::LastRun() const {
  const Result<std::vector<RunRecord>> runs = Runs();
  if (!runs) return runs.error();
  return runs->empty() ? RunId{} : runs->back().id;
}

Result<Checkpoint> RemoteStore::Load(RunId run) const {
  const Result<std::vector<StoredRecord>> records = Read({.kind = ReadKind::Run, .run = run});
  if (!records) return records.error();
  Checkpoint checkpoint;
  if (Status read = FromStored(*records, checkpoint); !read) return read.error();
  return checkpoint;
}

Result<std::vector<AttemptRecord>> RemoteStore::Attempts(RunId run, Subject subject,
                                                         std::uint32_t index) const {
  const Result<std::vector<StoredRecord>> records =
      Read({.kind = ReadKind::Attempts, .run = run, .subject = subject, .index = index});
  if (!records) return records.error();
  std::vector<AttemptRecord> attempts;
  if (Status read = FromStored(*records, attempts); !read) return read.error();
  return attempts;
}

// A task and a hook after the other: all outputs of a run at once may be more than fits anywhere.
Status RemoteStore::Attempts(RunId run,
                             const std::function<bool(const AttemptRecord&)>& visit) const {
  const Result<Checkpoint> checkpoint = Load(run);
  if (!checkpoint) return checkpoint.error();
  const auto visit_all = [&](Subject subject, std::uint32_t index) -> Result<bool> {
    const Result<std::vector<AttemptRecord>> attempts = Attempts(run, subject, index);
    if (!attempts) return attempts.error();
    for (const AttemptRecord& attempt : *attempts) {
      if (!visit(attempt)) return false;
    }
    return true;
  };
  for (const TaskRecord& task : checkpoint->tasks) {
    const Result<bool> more = visit_all(Subject::Task, task.task.value);
    if (!more) return more.error();
    if (!*more) return {};
  }
  for (const HookRecord& hook : checkpoint->hooks) {
    const Result<bool> more = visit_all(Subject::Hook, hook.execution);
    if (!more) return more.error();
    if (!*more) return {};
  }
  return {};
}

}  // namespace troupe
