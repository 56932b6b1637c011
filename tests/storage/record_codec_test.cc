#include "storage/record_codec.h"

#include <gtest/gtest.h>

#include "tests/storage/sample_records.h"

namespace troupe {
namespace {

template <class Record>
void ExpectRoundTrip(const Record& record) {
  const std::string bytes = EncodeRecord(record);
  Record read;
  const Status decoded = DecodeRecord(bytes, "x", read);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(read, record);
}

TEST(RecordCodec, KeepsEveryField) {
  ExpectRoundTrip(SampleRun(7));
  ExpectRoundTrip(WorkflowTextRecord{RunId{7}, "name: x\n"});
  ExpectRoundTrip(SampleTask(7, 3));
  ExpectRoundTrip(SampleAttempt({RunId{7}, Subject::Hook, 3, 2}));
  ExpectRoundTrip(SampleHook(7, 1));
  ExpectRoundTrip(SampleAgent(7, "writer"));
  ExpectRoundTrip(RunRecord{});
  ExpectRoundTrip(TaskRecord{});
}

// A run may have ten million of them.
TEST(TaskRecord, OfATaskThatNothingHappenedToIsSmall) {
  EXPECT_LE(sizeof(TaskRecord), 144u);
  TaskRecord read = SampleTask(7, 3);
  ASSERT_TRUE(read.extra);
  ASSERT_TRUE(DecodeRecord(EncodeRecord(TaskRecord{.attempts_by_step = {1}}), "x", read));
  EXPECT_FALSE(read.extra);
}

TEST(StepCounts, CountEachStep) {
  StepCounts counts;
  counts.Increment(2);
  counts.Increment(0);
  counts.Increment(2);
  EXPECT_EQ(counts, (StepCounts{1, 0, 2}));
  counts.Decrement(2);
  counts.Decrement(3);
  EXPECT_EQ(counts, (StepCounts{1, 0, 1}));
  EXPECT_EQ(counts[2], 1u);
  EXPECT_EQ(counts[3], 0u);
}

TEST(RecordCodec, NoticesEveryFlippedBitAndEveryCut) {
  const std::string bytes = EncodeRecord(SampleTask(7, 3));
  TaskRecord read;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      EXPECT_FALSE(DecodeRecord(damaged, "task 3", read)) << "byte " << i;
    }
    EXPECT_FALSE(DecodeRecord(std::string_view(bytes).substr(0, i), "task 3", read)) << i;
  }
}

TEST(RecordCodec, NamesTheDamagedRecordAndSaysWhatToDoWithANewerOne) {
  std::string bytes = EncodeRecord(SampleTask(7, 3));
  TaskRecord read;
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  const Status damaged = DecodeRecord(bytes, "task 3 of run 7", read);
  EXPECT_EQ(damaged.error().code, ErrorCode::Corrupt);
  EXPECT_NE(damaged.error().message.find("task 3 of run 7"), std::string::npos);

  bytes[0] = static_cast<char>(kRecordFormat + 1);
  const Status newer = DecodeRecord(bytes, "task 3 of run 7", read);
  EXPECT_EQ(newer.error().code, ErrorCode::TooNew);
  EXPECT_NE(newer.error().message.find("Upgrade troupe"), std::string::npos);
}

// The check value of CRC-32C, from RFC 3720, B.4: 32 bytes of zeros.
TEST(RecordCodec, ChecksumIsCrc32c) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
}

}  // namespace
}  // namespace troupe
