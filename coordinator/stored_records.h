// What is stored, as ClientRecords carries it: the same bytes that the store keeps.
//
// Pure. Both sides use it, so that a client can read a coordinator's store as if it were its own.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "protocol/client_messages.h"
#include "storage/checkpoint_store.h"

namespace troupe {

std::vector<StoredRecord> ToStored(const std::vector<RunRecord>& runs);
std::vector<StoredRecord> ToStored(const Checkpoint& checkpoint);
std::vector<StoredRecord> ToStored(const std::vector<AttemptRecord>& attempts);

// Corrupt or TooNew as DecodeRecord(); Invalid for a record that does not belong there.
Status FromStored(const std::vector<StoredRecord>& records, std::vector<RunRecord>& runs);
Status FromStored(const std::vector<StoredRecord>& records, Checkpoint& checkpoint);
Status FromStored(const std::vector<StoredRecord>& records, std::vector<AttemptRecord>& attempts);

// Cut into messages of about so many bytes; one at least.
inline constexpr std::size_t kPartBytes = 4u << 20;
std::vector<std::vector<StoredRecord>> InParts(std::vector<StoredRecord> records);

}  // namespace troupe
