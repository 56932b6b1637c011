#include "coordinator/stored_records.h"

#include <utility>

#include "storage/record_codec.h"

namespace troupe {
namespace {

// On the wire: only ever added to.
enum Kind : std::uint8_t { kRun, kText, kTask, kHook, kAgent, kAttempt };

template <class Record>
void Add(Kind kind, const std::vector<Record>& records, std::vector<StoredRecord>& stored) {
  for (const Record& record : records) stored.push_back({kind, EncodeRecord(record)});
}

template <class Record>
Status Take(const StoredRecord& stored, std::vector<Record>& records) {
  return DecodeRecord(stored.bytes, "a record of the coordinator", records.emplace_back());
}

Error Stranger() { return {ErrorCode::Invalid, "the coordinator sent a record of another kind"}; }

}  // namespace

std::vector<StoredRecord> ToStored(const std::vector<RunRecord>& runs) {
  std::vector<StoredRecord> stored;
  Add(kRun, runs, stored);
  return stored;
}

std::vector<StoredRecord> ToStored(const std::vector<AttemptRecord>& attempts) {
  std::vector<StoredRecord> stored;
  Add(kAttempt, attempts, stored);
  return stored;
}

std::vector<StoredRecord> ToStored(const Checkpoint& checkpoint) {
  std::vector<StoredRecord> stored;
  stored.push_back({kRun, EncodeRecord(checkpoint.run)});
  stored.push_back(
      {kText, EncodeRecord(WorkflowTextRecord{checkpoint.run.id, checkpoint.workflow_text})});
  Add(kTask, checkpoint.tasks, stored);
  Add(kHook, checkpoint.hooks, stored);
  Add(kAgent, checkpoint.agents, stored);
  return stored;
}

Status FromStored(const std::vector<StoredRecord>& records, std::vector<RunRecord>& runs) {
  for (const StoredRecord& record : records) {
    if (record.kind != kRun) return Stranger();
    if (Status taken = Take(record, runs); !taken) return taken;
  }
  return {};
}

Status FromStored(const std::vector<StoredRecord>& records, std::vector<AttemptRecord>& attempts) {
  for (const StoredRecord& record : records) {
    if (record.kind != kAttempt) return Stranger();
    if (Status taken = Take(record, attempts); !taken) return taken;
  }
  return {};
}

Status FromStored(const std::vector<StoredRecord>& records, Checkpoint& checkpoint) {
  std::vector<RunRecord> runs;
  std::vector<WorkflowTextRecord> texts;
  for (const StoredRecord& record : records) {
    Status taken = Stranger();
    if (record.kind == kRun) taken = Take(record, runs);
    if (record.kind == kText) taken = Take(record, texts);
    if (record.kind == kTask) taken = Take(record, checkpoint.tasks);
    if (record.kind == kHook) taken = Take(record, checkpoint.hooks);
    if (record.kind == kAgent) taken = Take(record, checkpoint.agents);
    if (!taken) return taken;
  }
  if (runs.size() != 1 || texts.size() != 1) return Stranger();
  checkpoint.run = std::move(runs.front());
  checkpoint.workflow_text = std::move(texts.front().text);
  return {};
}

std::vector<std::vector<StoredRecord>> InParts(std::vector<StoredRecord> records) {
  std::vector<std::vector<StoredRecord>> parts(1);
  std::size_t bytes = 0;
  for (StoredRecord& record : records) {
    if (bytes >= kPartBytes) {
      parts.emplace_back();
      bytes = 0;
    }
    bytes += 16 + record.bytes.size();
    parts.back().push_back(std::move(record));
  }
  return parts;
}

}  // namespace troupe
