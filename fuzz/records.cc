// A stored record, with a checksum that fits: its first byte says which kind it is to be.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "storage/record_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

template <class Record>
void Try(const std::string& bytes) {
  Record record;
  if (!troupe::DecodeRecord(bytes, "fuzz", record)) return;
  Record again;
  CHECK(troupe::DecodeRecord(troupe::EncodeRecord(record), "fuzz", again));
  CHECK(troupe::EncodeRecord(again) == troupe::EncodeRecord(record));
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view fields(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string bytes(1, static_cast<char>(troupe::kRecordFormat));
  const std::uint32_t crc = troupe::Crc32c(fields);
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(crc >> (8 * i));
  bytes += fields;
  switch (data[0] % 6) {
    case 0:
      Try<troupe::RunRecord>(bytes);
      break;
    case 1:
      Try<troupe::WorkflowTextRecord>(bytes);
      break;
    case 2:
      Try<troupe::TaskRecord>(bytes);
      break;
    case 3:
      Try<troupe::AttemptRecord>(bytes);
      break;
    case 4:
      Try<troupe::HookRecord>(bytes);
      break;
    default:
      Try<troupe::AgentRecord>(bytes);
      break;
  }
  return 0;
}
