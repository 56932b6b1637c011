// Record ↔ bytes: [format version, one byte][CRC-32C of the rest][fields].
//
// Numbers are varints, strings have their length in front. Within a format version fields are only
// ever appended: missing ones at the end keep their defaults. Small and fast, because a task is
// written two or three times in its life.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/records.h"

namespace troupe {

inline constexpr std::uint8_t kRecordFormat = 1;

// The bytes stand in `memory`, which is kept from one to the next so that it need not be had anew.
std::string_view EncodeRecord(const RunRecord& record, std::string& memory);
std::string_view EncodeRecord(const WorkflowTextRecord& record, std::string& memory);
std::string_view EncodeRecord(const TaskRecord& record, std::string& memory);
std::string_view EncodeRecord(const AttemptRecord& record, std::string& memory);
std::string_view EncodeRecord(const HookRecord& record, std::string& memory);
std::string_view EncodeRecord(const AgentRecord& record, std::string& memory);

template <class Record>
std::string EncodeRecord(const Record& record) {
  std::string memory;
  return std::string(EncodeRecord(record, memory));
}

// Corrupt: the checksum or a field does not fit. TooNew: another format version. `what` names the
// record in the message: "task 3 of run 7".
Status DecodeRecord(std::string_view bytes, std::string_view what, RunRecord& record);
Status DecodeRecord(std::string_view bytes, std::string_view what, WorkflowTextRecord& record);
Status DecodeRecord(std::string_view bytes, std::string_view what, TaskRecord& record);
Status DecodeRecord(std::string_view bytes, std::string_view what, AttemptRecord& record);
Status DecodeRecord(std::string_view bytes, std::string_view what, HookRecord& record);
Status DecodeRecord(std::string_view bytes, std::string_view what, AgentRecord& record);

// CRC-32C (Castagnoli, reflected, as in RFC 3720).
std::uint32_t Crc32c(std::string_view bytes);

}  // namespace troupe
