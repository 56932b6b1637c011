#include "protocol/codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <exception>
#include <msgpack.hpp>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace troupe {
namespace {

// What msgpack::packer writes to.
struct StringBuffer {
  std::string bytes;
  void write(const char* data, std::size_t size) { bytes.append(data, size); }
};
using Writer = msgpack::packer<StringBuffer>;

// Sizes above these are refused before anything is allocated.
constexpr std::uint32_t kItemsMax = 65'536;
constexpr std::uint32_t kDepthMax = 8;
// Values in one frame: what is a byte on the wire may be fifty in memory.
constexpr std::size_t kValuesMax = 1u << 20;
constexpr std::size_t kReserveMax =
    1'024;  // Items of a list that are believed before they are seen.

// --- the fields of each struct, in the order of the wire; only ever appended ---

template <class F, class T>
concept Is = std::is_same_v<std::remove_const_t<F>, T>;

template <Is<AttemptId> S>
auto Fields(S& s) {
  return std::tie(s.run.value, s.subject, s.index, s.number);
}
template <Is<OutputLimits> S>
auto Fields(S& s) {
  return std::tie(s.stdout_bytes, s.stderr_bytes, s.combined_bytes, s.truncation);
}
template <Is<ClaudeOptions> S>
auto Fields(S& s) {
  return std::tie(s.system_prompt, s.permission_mode, s.tools, s.disallowed_tools,
                  s.allowed_directories, s.max_turns);
}
template <Is<MockOptions> S>
auto Fields(S& s) {
  return std::tie(s.fail, s.retry_after, s.sleep, s.output, s.result_json);
}
template <Is<AttemptSpec> S>
auto Fields(S& s) {
  return std::tie(s.id, s.token, s.kind, s.task, s.agent, s.model, s.shell, s.argv,
                  s.script_content, s.script_file, s.pass_env, s.env, s.run_dir, s.working_dir,
                  s.create_working_dir, s.prompt_mode, s.result_mode, s.prompt, s.inputs_json,
                  s.capture_stdout, s.capture_stderr, s.output_path, s.timeout, s.silence, s.limits,
                  s.claude, s.mock, s.collection_format);
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
template <Is<Started::Item> S>
auto Fields(S& s) {
  return std::tie(s.id, s.at);
}
template <Is<Hello> S>
auto Fields(S& s) {
  return std::tie(s.protocol_min, s.protocol_max, s.worker, s.incarnation, s.slots, s.labels,
                  s.providers, s.holding, s.spool, s.draining, s.number);
}
template <Is<Heartbeat> S>
auto Fields(S& s) {
  return std::tie(s.session);
}
template <Is<Started> S>
auto Fields(S& s) {
  return std::tie(s.items);
}
template <Is<Finished> S>
auto Fields(S& s) {
  return std::tie(s.outcomes);
}
template <Is<Goodbye> S>
auto Fields(S& s) {
  return std::tie(s.holding);
}
template <Is<ClientCommand> S>
auto Fields(S& s) {
  return std::tie(s.request, s.kind, s.run.value);
}
template <Is<Welcome> S>
auto Fields(S& s) {
  return std::tie(s.protocol, s.session, s.lease, s.heartbeat, s.window, s.hello);
}
template <Is<Dispatch> S>
auto Fields(S& s) {
  return std::tie(s.session, s.specs, s.number);
}
template <Is<Stop> S>
auto Fields(S& s) {
  return std::tie(s.ids, s.discard, s.session, s.number);
}
template <Is<Committed> S>
auto Fields(S& s) {
  return std::tie(s.ids);
}
template <Is<UnknownWorker> S>
auto Fields(S&) {
  return std::tie();
}
template <Is<Alive> S>
auto Fields(S& s) {
  return std::tie(s.session, s.orders);
}
template <Is<Drain> S>
auto Fields(S& s) {
  return std::tie(s.on);
}
template <Is<Refused> S>
auto Fields(S& s) {
  return std::tie(s.message, s.again);
}
template <Is<ClientReply> S>
auto Fields(S& s) {
  return std::tie(s.request, s.error);
}

template <Is<ReadOutput> S>
auto Fields(S& s) {
  return std::tie(s.ticket, s.id, s.stream, s.offset);
}
template <Is<Output> S>
auto Fields(S& s) {
  return std::tie(s.ticket, s.found, s.bytes);
}
template <Is<ClientSubmit> S>
auto Fields(S& s) {
  return std::tie(s.request, s.text, s.file, s.workflow, s.inputs, s.run_dir, s.lenient, s.key,
                  s.watch);
}
template <Is<ClientSubmitted> S>
auto Fields(S& s) {
  return std::tie(s.request, s.run.value, s.existed, s.problems);
}
template <Is<ClientRetry> S>
auto Fields(S& s) {
  return std::tie(s.request, s.run.value, s.tasks);
}
template <Is<ClientDrain> S>
auto Fields(S& s) {
  return std::tie(s.request, s.worker, s.on);
}
template <Is<ClientListWorkers> S>
auto Fields(S& s) {
  return std::tie(s.request);
}
template <Is<WorkerInfo> S>
auto Fields(S& s) {
  return std::tie(s.name, s.state, s.slots, s.used, s.labels, s.providers, s.holding, s.lease);
}
template <Is<ClientWorkers> S>
auto Fields(S& s) {
  return std::tie(s.request, s.workers);
}
template <Is<ClientRead> S>
auto Fields(S& s) {
  return std::tie(s.request, s.kind, s.run.value, s.subject, s.index, s.part);
}
template <Is<StoredRecord> S>
auto Fields(S& s) {
  return std::tie(s.kind, s.bytes);
}
template <Is<ClientRecords> S>
auto Fields(S& s) {
  return std::tie(s.request, s.part, s.last, s.records);
}
template <Is<ClientWatch> S>
auto Fields(S& s) {
  return std::tie(s.request, s.run.value, s.stop);
}
template <Is<RunEvent> S>
auto Fields(S& s) {
  return std::tie(s.kind, s.at, s.run.value, s.task, s.attempt, s.agent, s.worker, s.stage,
                  s.duration, s.failure, s.message, s.delay, s.retry, s.retries, s.status);
}
template <Is<ClientEvents> S>
auto Fields(S& s) {
  return std::tie(s.request, s.stream, s.first, s.events, s.tasks, s.settled);
}
template <Is<ClientReadOutput> S>
auto Fields(S& s) {
  return std::tie(s.request, s.id, s.stream, s.offset);
}
template <Is<ClientOutput> S>
auto Fields(S& s) {
  return std::tie(s.request, s.found, s.bytes);
}

template <class T>
concept HasFields = requires(T& t) {
  Fields(t);
};

// Of these a message has many that are nearly alike. In a list they are written as
// [bits, fields …]: bit i says that field i follows, all others are those of the one before (of a
// new one for the first). Of outcomes, which strangers may send, always those of a new one: else a
// few bytes could stand for a large output, over and over.
template <class T>
constexpr bool kWrittenShort = std::is_same_v<T, AttemptSpec> || std::is_same_v<T, AttemptOutcome>;
template <class T>
constexpr bool kLikeTheOneBefore = std::is_same_v<T, AttemptSpec>;
// What a list of those that are like the one before may have in memory.
constexpr std::size_t kAlikeBytesMax = 64u << 20;

template <class T>
std::size_t BytesOf(const T&) {
  return sizeof(T);
}
std::size_t BytesOf(const std::string& v) { return sizeof(std::string) + v.size(); }
template <class A, class B>
std::size_t BytesOf(const std::pair<A, B>& v);
template <class T>
std::size_t BytesOf(const std::vector<T>& v);
template <HasFields T>
std::size_t BytesOf(const T& v) {
  return std::apply([](const auto&... field) { return (BytesOf(field) + ... + 0); }, Fields(v));
}
template <class A, class B>
std::size_t BytesOf(const std::pair<A, B>& v) {
  return BytesOf(v.first) + BytesOf(v.second);
}
template <class T>
std::size_t BytesOf(const std::vector<T>& v) {
  std::size_t bytes = sizeof(std::vector<T>);
  for (const T& item : v) bytes += BytesOf(item);
  return bytes;
}

// The largest enumerator of each enum on the wire.
constexpr int Last(Subject) { return 1; }
constexpr int Last(RunnerKind) { return kRunnerKindCount - 1; }
constexpr int Last(PromptMode) { return 3; }
constexpr int Last(ResultMode) { return 3; }
constexpr int Last(Truncation) { return 2; }
constexpr int Last(CollectionFormat) { return 3; }
constexpr int Last(FailureClass) { return kFailureClassCount - 1; }
constexpr int Last(CommandKind) { return 3; }
constexpr int Last(WorkerState) { return 3; }
constexpr int Last(ReadKind) { return 2; }
constexpr int Last(OutputStream) { return 2; }
constexpr int Last(RunEvent::Kind) { return kRunEventKindCount - 1; }

// --- writing ---

void Write(Writer& out, bool v) { out.pack(v); }
void Write(Writer& out, double v) { out.pack(v); }
void Write(Writer& out, const std::string& v) {
  out.pack_str(static_cast<std::uint32_t>(v.size()));
  out.pack_str_body(v.data(), static_cast<std::uint32_t>(v.size()));
}
void Write(Writer& out, Duration v) { out.pack(std::int64_t{v.count()}); }
void Write(Writer& out, Instant v) { Write(out, v.time_since_epoch()); }
template <class T>
requires std::is_integral_v<T> || std::is_enum_v<T>
void Write(Writer& out, T v) {
  if constexpr (std::is_enum_v<T>) {
    out.pack(static_cast<std::uint32_t>(v));
  } else {
    out.pack(v);
  }
}
template <class T>
void Write(Writer& out, const std::optional<T>& v);
template <class A, class B>
void Write(Writer& out, const std::pair<A, B>& v);
template <class T>
void Write(Writer& out, const std::vector<T>& v);
template <HasFields T>
void Write(Writer& out, const T& v) {
  std::apply(
      [&](const auto&... field) {
        out.pack_array(sizeof...(field));
        (Write(out, field), ...);
      },
      Fields(v));
}
template <class T>
void Write(Writer& out, const std::optional<T>& v) {
  if (v) {
    Write(out, *v);
  } else {
    out.pack_nil();
  }
}
template <class A, class B>
void Write(Writer& out, const std::pair<A, B>& v) {
  out.pack_array(2);
  Write(out, v.first);
  Write(out, v.second);
}
// Calls visit(bit, its field, other's field) for each.
template <class T, class U, class Visit>
void ForFieldPairs(T& item, U& other, Visit&& visit) {
  const auto theirs = Fields(other);
  [&]<std::size_t... I>(std::index_sequence<I...>, auto&& mine) {
    (visit(std::uint64_t{1} << I, std::get<I>(mine), std::get<I>(theirs)), ...);
  }
  (std::make_index_sequence<std::tuple_size_v<decltype(Fields(item))>>(), Fields(item));
}
template <class T>
void WriteShort(Writer& out, const T& item, const T& like) {
  std::uint64_t bits = 0;
  std::uint32_t fields = 0;
  ForFieldPairs(item, like, [&](std::uint64_t bit, const auto& mine, const auto& theirs) {
    if (mine == theirs) return;
    bits |= bit;
    ++fields;
  });
  out.pack_array(fields + 1);
  out.pack(bits);
  ForFieldPairs(item, like, [&](std::uint64_t bit, const auto& mine, const auto&) {
    if ((bits & bit) != 0) Write(out, mine);
  });
}
template <class T>
void Write(Writer& out, const std::vector<T>& v) {
  out.pack_array(static_cast<std::uint32_t>(v.size()));
  if constexpr (kWrittenShort<T>) {
    static const T kNew;
    const T* like = &kNew;
    for (const T& item : v) {
      WriteShort(out, item, *like);
      if (kLikeTheOneBefore<T>) like = &item;
    }
  } else {
    for (const T& item : v) Write(out, item);
  }
}

// --- reading; throws msgpack::type_error for what does not fit ---

void Read(const msgpack::object& in, bool& v) { v = in.as<bool>(); }
void Read(const msgpack::object& in, double& v) {
  v = in.as<double>();
  if (!std::isfinite(v)) throw msgpack::type_error();  // In a sum it would stay for good.
}
void Read(const msgpack::object& in, std::string& v) {
  if (in.type != msgpack::type::STR) throw msgpack::type_error();
  v.assign(in.via.str.ptr, in.via.str.size);
}
void Read(const msgpack::object& in, Duration& v) { v = Duration(in.as<std::int64_t>()); }
void Read(const msgpack::object& in, Instant& v) { v = Instant(Duration(in.as<std::int64_t>())); }
template <class T>
requires std::is_integral_v<T> || std::is_enum_v<T>
void Read(const msgpack::object& in, T& v) {
  if constexpr (std::is_enum_v<T>) {
    const auto number = in.as<std::uint32_t>();
    if (number > static_cast<std::uint32_t>(Last(T{}))) throw msgpack::type_error();
    v = static_cast<T>(number);
  } else {
    v = in.as<T>();
  }
}
template <class T>
void Read(const msgpack::object& in, std::optional<T>& v);
template <class A, class B>
void Read(const msgpack::object& in, std::pair<A, B>& v);
template <class T>
void Read(const msgpack::object& in, std::vector<T>& v);

const msgpack::object_array& ArrayOf(const msgpack::object& in) {
  if (in.type != msgpack::type::ARRAY) throw msgpack::type_error();
  return in.via.array;
}
// Missing fields at the end keep their defaults, extra ones are ignored.
template <HasFields T>
void Read(const msgpack::object& in, T& v) {
  const msgpack::object_array& array = ArrayOf(in);
  std::uint32_t next = 0;
  std::apply(
      [&](auto&... field) {
        (
            [&](auto& f) {
              if (next < array.size) Read(array.ptr[next++], f);
            }(field),
            ...);
      },
      Fields(v));
}
template <class T>
void Read(const msgpack::object& in, std::optional<T>& v) {
  if (in.is_nil()) {
    v.reset();
  } else {
    Read(in, v.emplace());
  }
}
template <class A, class B>
void Read(const msgpack::object& in, std::pair<A, B>& v) {
  const msgpack::object_array& array = ArrayOf(in);
  if (array.size != 2) throw msgpack::type_error();
  Read(array.ptr[0], v.first);
  Read(array.ptr[1], v.second);
}
// `bytes`: of the item in memory. Fields that this side does not know stand at the end.
template <class T>
void ReadShort(const msgpack::object& in, T& v, std::size_t& bytes) {
  const msgpack::object_array& array = ArrayOf(in);
  if (array.size == 0) throw msgpack::type_error();
  std::uint64_t bits = 0;
  Read(array.ptr[0], bits);
  std::uint32_t next = 1;
  ForFieldPairs(v, v, [&](std::uint64_t bit, auto& field, const auto&) {
    if ((bits & bit) == 0) return;
    if (next == array.size) throw msgpack::type_error();
    bytes -= BytesOf(field);
    Read(array.ptr[next++], field);
    bytes += BytesOf(field);
  });
}
template <class T>
void Read(const msgpack::object& in, std::vector<T>& v) {
  const msgpack::object_array& array = ArrayOf(in);
  v.clear();
  v.reserve(std::min<std::size_t>(array.size, kReserveMax));
  if constexpr (kWrittenShort<T>) {
    std::size_t each = BytesOf(T{});
    std::size_t all = 0;
    for (std::uint32_t i = 0; i < array.size; ++i) {
      if (kLikeTheOneBefore<T> && i > 0) {
        v.push_back(T(v.back()));
      } else {
        v.emplace_back();
      }
      ReadShort(array.ptr[i], v.back(), each);
      all += each;
      if (kLikeTheOneBefore<T> && all > kAlikeBytesMax) throw msgpack::type_error();
    }
  } else {
    for (std::uint32_t i = 0; i < array.size; ++i) Read(array.ptr[i], v.emplace_back());
  }
}

// --- frames: [version, type, fields] ---

template <class Variant>
std::string EncodeAny(const Variant& message) {
  StringBuffer buffer;
  Writer out(buffer);
  out.pack_array(3);
  out.pack(kProtocolMax);
  out.pack(static_cast<std::uint32_t>(message.index()));
  std::visit([&](const auto& m) { Write(out, m); }, message);
  return std::move(buffer.bytes);
}

template <class Variant, std::size_t I = 0>
Variant ReadAlternative(std::uint32_t type, const msgpack::object& fields) {
  if constexpr (I == std::variant_size_v<Variant>) {
    throw msgpack::type_error();
  } else {
    if (type != I) return ReadAlternative<Variant, I + 1>(type, fields);
    std::variant_alternative_t<I, Variant> message;
    Read(fields, message);
    return message;
  }
}

// Stops when there are more values than a message may have.
struct ValueCounter : msgpack::null_visitor {
  std::size_t left = kValuesMax;
  bool Count() { return left-- > 0; }
  bool visit_nil() { return Count(); }
  bool visit_boolean(bool) { return Count(); }
  bool visit_positive_integer(std::uint64_t) { return Count(); }
  bool visit_negative_integer(std::int64_t) { return Count(); }
  bool visit_float32(float) { return Count(); }
  bool visit_float64(double) { return Count(); }
  bool visit_str(const char*, std::uint32_t) { return Count(); }
  bool start_array(std::uint32_t) { return Count(); }
  bool start_map(std::uint32_t) { return false; }
  bool visit_bin(const char*, std::uint32_t) { return false; }
  bool visit_ext(const char*, std::uint32_t) { return false; }
};

bool HasTooManyValues(std::string_view frame) {
  if (frame.size() <= kValuesMax) return false;  // A value takes a byte at least.
  ValueCounter counter;
  std::size_t end = 0;
  return !msgpack::parse(frame.data(), frame.size(), end, counter);
}

template <class Variant>
Result<Variant> DecodeAny(std::string_view frame) {
  const auto bad = [](std::string why) { return Error{ErrorCode::Invalid, std::move(why)}; };
  if (frame.size() > kFrameBytesMax) {
    return bad(fmt::format("a frame has {} bytes; the limit is {}", frame.size(), kFrameBytesMax));
  }
  const auto bytes_max = static_cast<std::uint32_t>(frame.size());
  const std::uint32_t items_max = std::min(kItemsMax, bytes_max);
  const msgpack::unpack_limit limit(items_max, 0, bytes_max, 0, 0, kDepthMax);
  try {
    if (HasTooManyValues(frame)) return bad("a frame is broken or has too many values");
    std::size_t end = 0;
    const msgpack::object_handle handle =
        msgpack::unpack(frame.data(), frame.size(), end, nullptr, nullptr, limit);
    if (end != frame.size()) return bad("a frame has bytes after its message");
    const msgpack::object_array& array = ArrayOf(handle.get());
    if (array.size < 3) return bad("a frame is not [version, type, fields]");
    std::uint32_t version = 0;
    Read(array.ptr[0], version);
    if (version < kProtocolMin || version > kProtocolMax) {
      return bad(fmt::format("a frame has protocol version {}; this side speaks {} to {}", version,
                             kProtocolMin, kProtocolMax));
    }
    std::uint32_t type = 0;
    Read(array.ptr[1], type);
    return ReadAlternative<Variant>(type, array.ptr[2]);
  } catch (const std::exception& error) {
    return bad(fmt::format("a frame cannot be read: {}", error.what()));
  }
}

}  // namespace

std::string Encode(const ToCoordinator& message) { return EncodeAny(message); }
std::string Encode(const FromCoordinator& message) { return EncodeAny(message); }
Result<ToCoordinator> DecodeToCoordinator(std::string_view frame) {
  return DecodeAny<ToCoordinator>(frame);
}
Result<FromCoordinator> DecodeFromCoordinator(std::string_view frame) {
  return DecodeAny<FromCoordinator>(frame);
}

}  // namespace troupe
