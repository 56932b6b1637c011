#include "storage/record_codec.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <concepts>
#include <cstring>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace troupe {
namespace {

// --- the fields of each record, in the order of the bytes; only ever appended ---

template <class F, class T>
concept Is = std::is_same_v<std::remove_const_t<F>, T>;

template <Is<AttemptId> S>
auto Fields(S& s) {
  return std::tie(s.run.value, s.subject, s.index, s.number);
}
template <Is<Usage> S>
auto Fields(S& s) {
  return std::tie(s.input_tokens, s.output_tokens, s.cost_usd);
}
template <Is<AttemptOutcome> S>
auto Fields(S& s) {
  return std::tie(s.id, s.failure, s.message, s.output, s.error_output, s.result_json, s.started,
                  s.ended, s.exit_code, s.signal, s.retry_after, s.usage, s.session, s.denied_tools,
                  s.never_started, s.events);
}
template <Is<RunRecord> S>
auto Fields(S& s) {
  return std::tie(s.id.value, s.workflow_name, s.workflow_version, s.file, s.chosen_workflow,
                  s.run_dir, s.inputs_json, s.key, s.state, s.phase, s.round, s.aborting,
                  s.cancelling, s.created, s.started, s.ended, s.retries_used, s.failures,
                  s.first_failure, s.first_failure_stage, s.tasks, s.settled, s.slots,
                  s.outputs_json, s.state_json, s.stages_done);
}
template <Is<WorkflowTextRecord> S>
auto Fields(S& s) {
  return std::tie(s.run.value, s.text);
}
const RecordExtras& ExtrasOf(const TaskRecord& record) { return *record.extra; }
RecordExtras& ExtrasOf(TaskRecord& record) { return record.extra.Change(); }
template <Is<TaskRecord> S>
auto Fields(S& s) {
  auto& extra = ExtrasOf(s);
  return std::tie(s.run.value, s.task.value, s.state, s.attempts, s.step, s.attempts_by_step,
                  extra.step_failures, extra.losses, extra.lost_attempts, extra.rate_limits,
                  extra.rate_limit_waited, extra.unfit_workers, extra.failed_workers, s.due,
                  s.ready_since, s.worker, s.first_started, s.attempt_started, s.ended, s.failure,
                  extra.message, s.dead_letter, s.fingerprint, s.joins, s.first_iteration,
                  s.iterations, extra.notice);
}
template <Is<AttemptRecord> S>
auto Fields(S& s) {
  return std::tie(s.outcome, s.worker, s.agent, s.dispatched, s.accepted);
}
template <Is<HookRecord> S>
auto Fields(S& s) {
  return std::tie(s.run.value, s.execution, s.list, s.index, s.stage, s.round, s.state, s.attempts,
                  s.losses, s.command, s.description, s.worker, s.ready_since, s.started, s.ended,
                  s.exit_code, s.message, s.output, s.error_output);
}

template <Is<AgentRecord> S>
auto Fields(S& s) {
  return std::tie(s.run.value, s.agent, s.shut_since, s.shut_until, s.rate_limits, s.failures,
                  s.breaker_open, s.opens, s.probe_task, s.probe_attempt);
}

template <class T>
concept HasFields = requires(T& t) {
  Fields(t);
};

// The largest enumerator of each enum in the store.
constexpr unsigned Last(Subject) { return 1; }
constexpr unsigned Last(FailureClass) { return kFailureClassCount - 1; }
constexpr unsigned Last(RunState) { return 4; }
constexpr unsigned Last(RunPhase) { return 4; }
constexpr unsigned Last(TaskState) { return 8; }
constexpr unsigned Last(HookState) { return 4; }

// --- writing ---

// The bytes of a record, in a string that is kept for its memory: it is never smaller than what was
// once written.
class Out {
 public:
  explicit Out(std::string& memory) : bytes_(memory) {}

  std::size_t size() const { return size_; }
  std::string_view From(std::size_t at) const { return {bytes_.data() + at, size_ - at}; }
  char* At(std::size_t at) { return bytes_.data() + at; }
  // Room for so many bytes more; what is written there counts with Took().
  char* Room(std::size_t more) {
    if (bytes_.size() - size_ < more) bytes_.resize(2 * size_ + more + kLeast);
    return bytes_.data() + size_;
  }
  void Took(std::size_t more) { size_ += more; }

  void Varint(std::uint64_t v) {
    char* to = Room(kVarintMax);
    std::size_t n = 0;
    for (; v >= 0x80; v >>= 7) to[n++] = static_cast<char>(v | 0x80);
    to[n++] = static_cast<char>(v);
    size_ += n;
  }
  void Bytes(std::string_view v) {
    Varint(v.size());
    if (v.empty()) return;
    std::memcpy(Room(v.size()), v.data(), v.size());
    size_ += v.size();
  }
  // What was written from `at` on gets its length in front.
  void PutLength(std::size_t at) {
    const std::size_t length = size_ - at;
    (void)Room(kVarintMax);
    std::size_t width = 1;
    for (std::size_t v = length; v >= 0x80; v >>= 7) ++width;
    std::memmove(At(at) + width, At(at), length);
    size_ = at;
    Varint(length);
    size_ += length;
  }

 private:
  static constexpr std::size_t kLeast = 256;
  static constexpr std::size_t kVarintMax = 10;
  std::string& bytes_;
  std::size_t size_ = 0;
};

// Small negative numbers stay small.
std::uint64_t ZigZag(std::int64_t v) {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
std::int64_t UnZigZag(std::uint64_t v) {
  return static_cast<std::int64_t>((v >> 1) ^ (~(v & 1) + 1));
}

template <std::unsigned_integral T>
void Put(Out& out, T v) {
  out.Varint(v);
}
template <std::signed_integral T>
void Put(Out& out, T v) {
  out.Varint(ZigZag(v));
}
template <class T>
requires std::is_enum_v<T>
void Put(Out& out, T v) { out.Varint(static_cast<std::uint64_t>(v)); }
void Put(Out& out, double v) { out.Varint(std::bit_cast<std::uint64_t>(v)); }
void Put(Out& out, Duration v) { Put(out, std::int64_t{v.count()}); }
void Put(Out& out, Instant v) { Put(out, v.time_since_epoch()); }
void Put(Out& out, const std::string& v) { out.Bytes(v); }
template <HasFields T>
void Put(Out& out, const T& v);
template <class T>
void Put(Out& out, const std::optional<T>& v) {
  Put(out, v.has_value());
  if (v) Put(out, *v);
}
template <class T>
void Put(Out& out, const std::vector<T>& v) {
  out.Varint(v.size());
  for (const T& item : v) Put(out, item);
}
void Put(Out& out, const StepCounts& v) {
  out.Varint(v.size());
  for (std::uint32_t i = 0; i < v.size(); ++i) Put(out, v[i]);
}
template <HasFields T>
void PutFields(Out& out, const T& v) {
  std::apply([&](const auto&... field) { (Put(out, field), ...); }, Fields(v));
}
// A record within a record has its length in front, so that it can grow.
template <HasFields T>
void Put(Out& out, const T& v) {
  const std::size_t at = out.size();
  PutFields(out, v);
  out.PutLength(at);
}

// --- reading ---

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

  std::uint64_t Varint() {
    std::uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return Fail();
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      v |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return v;
    }
    return Fail();
  }

  template <std::unsigned_integral T>
  void Get(T& v) {
    const std::uint64_t number = Varint();
    v = static_cast<T>(number);
    if (v != number) Fail();
  }
  template <std::signed_integral T>
  void Get(T& v) {
    const std::int64_t number = UnZigZag(Varint());
    v = static_cast<T>(number);
    if (v != number) Fail();
  }
  template <class T>
  requires std::is_enum_v<T>
  void Get(T& v) {
    const std::uint64_t number = Varint();
    if (number > Last(T{})) {
      Fail();
      return;
    }
    v = static_cast<T>(number);
  }
  void Get(double& v) { v = std::bit_cast<double>(Varint()); }
  void Get(Duration& v) { v = Duration(UnZigZag(Varint())); }
  void Get(Instant& v) { v = Instant(Duration(UnZigZag(Varint()))); }
  void Get(std::string& v) { v = Bytes(); }
  template <class T>
  void Get(std::optional<T>& v) {
    bool there = false;
    Get(there);
    v.reset();
    if (there) Get(v.emplace());
  }
  template <class T>
  void Get(std::vector<T>& v) {
    const std::uint64_t count = Varint();
    v.clear();
    if (count > rest_.size()) {  // Each item has at least a byte.
      Fail();
      return;
    }
    v.reserve(count);
    for (std::uint64_t i = 0; i < count && ok_; ++i) Get(v.emplace_back());
  }
  void Get(StepCounts& v) {
    const std::uint64_t count = Varint();
    v = {};
    for (std::uint64_t i = 0; i < count && ok_; ++i) {
      std::uint32_t number = 0;
      Get(number);
      v.Append(number);
    }
  }
  template <HasFields T>
  void Get(T& v) {
    Reader inner(Bytes());
    inner.GetFields(v);
    ok_ = ok_ && inner.ok();
  }
  // Fields that are missing at the end keep their defaults.
  template <HasFields T>
  void GetFields(T& v) {
    std::apply([&](auto&... field) { ((at_end() ? void() : Get(field)), ...); }, Fields(v));
  }

 private:
  std::uint64_t Fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }
  std::string_view Bytes() {
    const std::uint64_t size = Varint();
    if (size > rest_.size()) {
      Fail();
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  std::string_view rest_;
  bool ok_ = true;
};

// For a byte that n others follow, in table n: eight bytes are taken at a time ("slicing by 8",
// Kounavis and Berry, 2005).
using CrcTables = std::array<std::array<std::uint32_t, 256>, 8>;
constexpr CrcTables MakeCrcTables() {
  CrcTables tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0u);
    tables[0][i] = crc;
  }
  for (std::uint32_t i = 0; i < 256; ++i) {
    for (std::size_t n = 1; n < 8; ++n) {
      const std::uint32_t before = tables[n - 1][i];
      tables[n][i] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}
constexpr CrcTables kCrcTables = MakeCrcTables();

std::uint32_t CrcByTables(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  std::uint32_t crc = 0xFFFF'FFFFu;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint32_t next = 0;
    for (std::size_t n = 0; n < 8; ++n) {
      const std::uint32_t mixed = n < 4 ? crc >> (8 * n) & 0xFF : 0;
      next ^= kCrcTables[7 - n][at(i + n) ^ mixed];
    }
    crc = next;
  }
  for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ kCrcTables[0][(crc ^ at(i)) & 0xFF];
  return ~crc;
}

#if defined(__x86_64__)
// The processor has an instruction for it.
__attribute__((target("sse4.2"))) std::uint32_t CrcByProcessor(std::string_view bytes) {
  std::uint64_t crc = 0xFFFF'FFFFu;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, bytes.data() + i, 8);
    crc = __builtin_ia32_crc32di(crc, eight);
  }
  auto rest = static_cast<std::uint32_t>(crc);
  for (; i < bytes.size(); ++i) {
    rest = __builtin_ia32_crc32qi(rest, static_cast<std::uint8_t>(bytes[i]));
  }
  return ~rest;
}
#endif

constexpr std::size_t kHeader = 5;

template <class Record>
std::string_view EncodeAny(const Record& record, std::string& memory) {
  Out out(memory);
  (void)out.Room(kHeader);
  out.Took(kHeader);
  PutFields(out, record);
  const std::uint32_t crc = Crc32c(out.From(kHeader));
  char* header = out.At(0);
  header[0] = static_cast<char>(kRecordFormat);
  for (std::size_t i = 0; i < 4; ++i) header[1 + i] = static_cast<char>(crc >> (8 * i));
  return out.From(0);
}

template <class Record>
Status DecodeAny(std::string_view bytes, std::string_view what, Record& record) {
  const auto corrupt = [&](const char* why) {
    return Error{ErrorCode::Corrupt, fmt::format("the record of {} is damaged: {}", what, why)};
  };
  if (bytes.size() < kHeader) return corrupt("it is too short");
  if (const auto format = static_cast<std::uint8_t>(bytes[0]); format != kRecordFormat) {
    return Error{ErrorCode::TooNew,
                 fmt::format("{} was written by a newer troupe (format {}); this one reads up to "
                             "format {}. Upgrade troupe, or use another --state-dir",
                             what, format, kRecordFormat)};
  }
  std::uint32_t crc = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    crc |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[1 + i])) << (8 * i);
  }
  bytes.remove_prefix(kHeader);
  if (Crc32c(bytes) != crc) return corrupt("its checksum does not fit");
  Reader reader(bytes);
  reader.GetFields(record);
  if (!reader.ok()) return corrupt("a field cannot be read");
  return {};
}

}  // namespace

std::uint32_t Crc32c(std::string_view bytes) {
#if defined(__x86_64__)
  static const bool kKnown = __builtin_cpu_supports("sse4.2") != 0;
  if (kKnown) return CrcByProcessor(bytes);
#endif
  return CrcByTables(bytes);
}

std::string_view EncodeRecord(const RunRecord& record, std::string& memory) {
  return EncodeAny(record, memory);
}
std::string_view EncodeRecord(const WorkflowTextRecord& record, std::string& memory) {
  return EncodeAny(record, memory);
}
std::string_view EncodeRecord(const TaskRecord& record, std::string& memory) {
  return EncodeAny(record, memory);
}
std::string_view EncodeRecord(const AttemptRecord& record, std::string& memory) {
  return EncodeAny(record, memory);
}
std::string_view EncodeRecord(const HookRecord& record, std::string& memory) {
  return EncodeAny(record, memory);
}
std::string_view EncodeRecord(const AgentRecord& record, std::string& memory) {
  return EncodeAny(record, memory);
}

Status DecodeRecord(std::string_view bytes, std::string_view what, RunRecord& record) {
  return DecodeAny(bytes, what, record);
}
Status DecodeRecord(std::string_view bytes, std::string_view what, WorkflowTextRecord& record) {
  return DecodeAny(bytes, what, record);
}
Status DecodeRecord(std::string_view bytes, std::string_view what, TaskRecord& record) {
  Status read = DecodeAny(bytes, what, record);
  if (*record.extra == RecordExtras{}) record.extra = {};
  return read;
}
Status DecodeRecord(std::string_view bytes, std::string_view what, AttemptRecord& record) {
  return DecodeAny(bytes, what, record);
}
Status DecodeRecord(std::string_view bytes, std::string_view what, HookRecord& record) {
  return DecodeAny(bytes, what, record);
}
Status DecodeRecord(std::string_view bytes, std::string_view what, AgentRecord& record) {
  return DecodeAny(bytes, what, record);
}

}  // namespace troupe
