#include "config/config.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "protocol/access.h"
#include "protocol/limits.h"
#include "workflow/reader.h"
#include "workflow/source.h"
#include "workflow/tree.h"

namespace troupe {
namespace {

using R = Reader;
using F = Field;

constexpr std::string_view kSocketName = "/coordinator.sock";

void Text(Reader& reader, const Field& field, std::string& text) {
  const std::optional<std::string_view> value = reader.String(field);
  if (!value) return;
  if (value->empty()) {
    reader.problems.Error(reader.At(field), "bad-value",
                          fmt::format("{} must not be empty; remove the key", Show(field)));
  }
  text = *value;
}

void Time(Reader& reader, const Field& field, Duration& time) {
  time = reader.Seconds(field, true).value_or(time);
}

void ReadKeepDays(Reader& reader, const Field& field, CoordinatorConfig& config) {
  const std::optional<double> days = reader.Number(field, kKeepDaysMin, kKeepDaysMax);
  if (days) config.keep = Days(*days);
}

void ReadKeepRuns(Reader& reader, const Field& field, CoordinatorConfig& config) {
  const std::optional<std::int64_t> runs = reader.Int(field, 1, kKeepRunsMax);
  if (runs) config.keep_runs = static_cast<std::uint32_t>(*runs);
}

void ReadKeepMib(Reader& reader, const Field& field, CoordinatorConfig& config) {
  const std::optional<std::int64_t> mib = reader.Int(field, 1, kKeepMibMax);
  if (mib) config.keep_mib = static_cast<std::uint64_t>(*mib);
}

void Flag(Reader& reader, const Field& field, bool& flag) {
  flag = reader.Bool(field).value_or(flag);
}

void Texts(Reader& reader, const Field& field, std::vector<std::string>& texts) {
  for (const Named& item : reader.Strings(field)) texts.emplace_back(item.name);
}

template <class Word, std::size_t N>
void ReadWord(Reader& reader, const Field& field, const std::string_view (&words)[N], Word& word) {
  const auto chosen = reader.Word(field, {std::begin(words), std::end(words)});
  if (chosen) word = static_cast<Word>(*chosen);
}

constexpr Key<LogConfig> kLogKeys[] = {
    {"format", Support::Now,
     [](R& r, const F& f, LogConfig& c) { ReadWord(r, f, kLogFormats, c.format); }},
    {"level", Support::Now,
     [](R& r, const F& f, LogConfig& c) { ReadWord(r, f, kLogLevels, c.level); }},
};

void ReadLog(Reader& reader, const Field& field, LogConfig& log) {
  if (reader.IsMap(field)) ReadMap(reader, field.node, kLogKeys, {"", "log"}, log);
}

constexpr Key<CoordinatorConfig> kMetricsKeys[] = {
    {"listen", Support::Now,
     [](R& r, const F& f, CoordinatorConfig& c) { Text(r, f, c.metrics_listen); }},
};

void ReadMetrics(Reader& reader, const Field& field, CoordinatorConfig& config) {
  if (reader.IsMap(field)) ReadMap(reader, field.node, kMetricsKeys, {"", "metrics"}, config);
}

constexpr Key<CoordinatorConfig> kCoordinatorKeys[] = {
    {"state_dir", Support::Now,
     [](R& r, const F& f, CoordinatorConfig& c) { Text(r, f, c.state_dir); }},
    {"listen", Support::Now, [](R& r, const F& f, CoordinatorConfig& c) { Texts(r, f, c.listen); }},
    {"key", Support::Now, [](R& r, const F& f, CoordinatorConfig& c) { Text(r, f, c.key); }},
    {"authorized_keys", Support::Now,
     [](R& r, const F& f, CoordinatorConfig& c) { Text(r, f, c.authorized_keys); }},
    {"insecure", Support::Now,
     [](R& r, const F& f, CoordinatorConfig& c) { Flag(r, f, c.insecure); }},
    {"lease_secs", Support::Now,
     [](R& r, const F& f, CoordinatorConfig& c) { Time(r, f, c.lease); }},
    {"heartbeat_secs", Support::Now,
     [](R& r, const F& f, CoordinatorConfig& c) { Time(r, f, c.heartbeat); }},
    {"recovery_grace_secs", Support::Now,
     [](R& r, const F& f, CoordinatorConfig& c) { Time(r, f, c.recovery_grace); }},
    {"reconnect_window_secs", Support::Now,
     [](R& r, const F& f, CoordinatorConfig& c) { Time(r, f, c.reconnect_window); }},
    {"keep_days", Support::Now, ReadKeepDays},
    {"keep_runs", Support::Now, ReadKeepRuns},
    {"keep_mib", Support::Now, ReadKeepMib},
    {"metrics", Support::Now, ReadMetrics},
    {"log", Support::Now, [](R& r, const F& f, CoordinatorConfig& c) { ReadLog(r, f, c.log); }},
};

constexpr Key<ConnectConfig> kClientKeys[] = {
    {"coordinator", Support::Now,
     [](R& r, const F& f, ConnectConfig& c) { Text(r, f, c.endpoint); }},
    {"key", Support::Now, [](R& r, const F& f, ConnectConfig& c) { Text(r, f, c.key); }},
    {"server_key", Support::Now,
     [](R& r, const F& f, ConnectConfig& c) { Text(r, f, c.server_key); }},
    {"insecure", Support::Now, [](R& r, const F& f, ConnectConfig& c) { Flag(r, f, c.insecure); }},
};

constexpr Key<ProviderConfig> kProgramKeys[] = {
    {"program", Support::Now, [](R& r, const F& f, ProviderConfig& p) { Text(r, f, p.program); }},
};

// `claude: true`, or `claude: {program: …}`.
void ReadProvider(Reader& reader, const Field& field, WorkerConfig& config) {
  ProviderConfig provider;
  if (reader.tree.Kind(field.node) == NodeKind::Map) {
    if (field.name != "claude") {
      reader.WrongType(field, "true or false");
      return;
    }
    ReadMap(reader, field.node, kProgramKeys, {"", field.name}, provider);
  } else {
    const std::optional<bool> offered = reader.Bool(field);
    if (!offered || !*offered) return;
  }
  config.providers[std::string(field.name)] = std::move(provider);
}

constexpr Key<WorkerConfig> kProviderKeys[] = {
    {"command", Support::Now, ReadProvider},
    {"mock", Support::Now, ReadProvider},
    {"claude", Support::Now, ReadProvider},
    {"codex", Support::NotYet},
    {"acp", Support::NotYet},
    {"anthropic", Support::NotYet},
    {"openai", Support::NotYet},
    {"ollama", Support::NotYet},
    {"google", Support::NotYet},
};

void ReadProviders(Reader& reader, const Field& field, WorkerConfig& config) {
  if (!reader.IsMap(field)) return;
  config.all_providers = false;
  ReadMap(reader, field.node, kProviderKeys, {"", "providers"}, config);
}

void ReadName(Reader& reader, const Field& field, WorkerConfig& config) {
  Text(reader, field, config.name);
  if (config.name.empty() || IsWorkerName(config.name)) return;
  reader.problems.Error(reader.At(field), "bad-name",
                        fmt::format("worker name {} must be 1 to {} of A-Z a-z 0-9 . _ -, the "
                                    "first a letter or a digit",
                                    Quote(config.name), kWorkerNameBytesMax));
}

void ReadLabels(Reader& reader, const Field& field, WorkerConfig& config) {
  for (const Named& label : reader.Strings(field)) {
    if (reader.CheckName("label", label.name, label.at)) config.labels.emplace_back(label.name);
  }
}

void ReadSlots(Reader& reader, const Field& field, WorkerConfig& config) {
  const std::optional<std::int64_t> slots = reader.Int(field, 1, kSlotsMax);
  if (slots) config.slots = static_cast<std::uint32_t>(*slots);
}

constexpr Key<WorkerConfig> kWorkerKeys[] = {
    {"coordinator", Support::Now,
     [](R& r, const F& f, WorkerConfig& c) { Text(r, f, c.connect.endpoint); }},
    {"key", Support::Now, [](R& r, const F& f, WorkerConfig& c) { Text(r, f, c.connect.key); }},
    {"server_key", Support::Now,
     [](R& r, const F& f, WorkerConfig& c) { Text(r, f, c.connect.server_key); }},
    {"insecure", Support::Now,
     [](R& r, const F& f, WorkerConfig& c) { Flag(r, f, c.connect.insecure); }},
    {"name", Support::Now, ReadName},
    {"slots", Support::Now, ReadSlots},
    {"labels", Support::Now, ReadLabels},
    {"work_dir", Support::Now, [](R& r, const F& f, WorkerConfig& c) { Text(r, f, c.work_dir); }},
    {"spool_dir", Support::Now, [](R& r, const F& f, WorkerConfig& c) { Text(r, f, c.spool_dir); }},
    {"providers", Support::Now, ReadProviders},
    {"log", Support::Now, [](R& r, const F& f, WorkerConfig& c) { ReadLog(r, f, c.log); }},
};

// A file without a word in it is a configuration of defaults.
bool IsBlank(const Tree& tree) {
  return tree.root() == kNoNode || tree.Kind(tree.root()) == NodeKind::Null;
}

template <class Config, std::size_t N>
ConfigRead<Config> ReadConfig(std::string_view text, const Key<Config> (&keys)[N]) {
  ConfigRead<Config> read;
  const Source source(text);
  Problems problems;
  Tree tree;
  if (const std::optional<BadText> bad = CheckText(text)) {
    problems.Error(bad->at, bad->code, bad->message);
  } else if (text.find_first_not_of(" \t\r\n") != std::string_view::npos &&
             ParseYaml(source, problems, tree) && !IsBlank(tree)) {
    Reader reader(source, tree, problems, false);
    const Field root{"the configuration", tree.root()};
    if (reader.IsMap(root)) ReadMap(reader, tree.root(), keys, {}, read.config);
  }
  read.problems = problems.TakeSorted(source);
  return read;
}

void StartAt(const std::string& directory, std::string& path) {
  if (!path.empty()) path = (std::filesystem::path(directory) / path).lexically_normal().string();
}

std::string WrongWithEndpoint(std::string_view endpoint) {
  if (endpoint.starts_with("ipc:///")) return "";
  const std::string_view tcp = "tcp://";
  const std::size_t colon = endpoint.rfind(':');
  const bool has_port =
      endpoint.starts_with(tcp) && colon > tcp.size() && colon + 1 < endpoint.size() &&
      (endpoint.substr(colon + 1) == "*" ||
       endpoint.find_first_not_of("0123456789", colon + 1) == std::string_view::npos);
  if (has_port) return "";
  return fmt::format("\"{}\" is no endpoint; one is tcp://HOST:PORT or ipc:///PATH", endpoint);
}

// "127.0.0.1:9464", "[::1]:9464", "localhost:0".
bool IsHostPort(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = address.substr(0, colon);
  if (host.find(':') != std::string_view::npos && !(host.front() == '[' && host.back() == ']')) {
    return false;
  }
  const std::string_view port = address.substr(colon + 1);
  if (port.empty() || port.size() > 5) return false;
  if (port.find_first_not_of("0123456789") != std::string_view::npos) return false;
  return std::stoi(std::string(port)) <= 65'535;
}

constexpr const char* kPlain =
    "{} {} other machines and would be plain text for everybody in between: give keys (troupe "
    "keygen), or --insecure if that network is all ours";

}  // namespace

ConfigRead<CoordinatorConfig> ReadCoordinatorConfig(std::string_view text,
                                                    const std::string& directory) {
  ConfigRead<CoordinatorConfig> read = ReadConfig(text, kCoordinatorKeys);
  for (std::string* path :
       {&read.config.state_dir, &read.config.key, &read.config.authorized_keys}) {
    StartAt(directory, *path);
  }
  return read;
}

ConfigRead<WorkerConfig> ReadWorkerConfig(std::string_view text, const std::string& directory) {
  ConfigRead<WorkerConfig> read = ReadConfig(text, kWorkerKeys);
  for (std::string* path : {&read.config.connect.key, &read.config.connect.server_key,
                            &read.config.work_dir, &read.config.spool_dir}) {
    StartAt(directory, *path);
  }
  return read;
}

ConfigRead<ConnectConfig> ReadClientConfig(std::string_view text, const std::string& directory) {
  ConfigRead<ConnectConfig> read = ReadConfig(text, kClientKeys);
  StartAt(directory, read.config.key);
  StartAt(directory, read.config.server_key);
  return read;
}

std::vector<std::string> EndpointsOf(const CoordinatorConfig& config) {
  if (!config.listen.empty()) return config.listen;
  return {fmt::format("ipc://{}{}", config.state_dir, kSocketName)};
}

std::string EndpointOf(const ConnectConfig& config) {
  if (!config.endpoint.empty()) return config.endpoint;
  return fmt::format("ipc://{}{}", kDaemonStateDir, kSocketName);
}

std::string Check(const CoordinatorConfig& config) {
  if (config.key.empty() != config.authorized_keys.empty()) {
    return "key and authorized_keys go together: the coordinator's own secret key, and who may "
           "come in";
  }
  for (const std::string& endpoint : EndpointsOf(config)) {
    if (std::string wrong = WrongWithEndpoint(endpoint); !wrong.empty()) return wrong;
    if (config.key.empty() && !config.insecure && !IsLoopback(endpoint)) {
      return fmt::format(kPlain, endpoint, "can be reached from");
    }
  }
  if (!config.metrics_listen.empty() && config.metrics_listen != kMetricsOff &&
      !IsHostPort(config.metrics_listen)) {
    return fmt::format("metrics cannot listen on \"{}\"; say HOST:PORT, as {}, or off",
                       config.metrics_listen, kMetricsListen);
  }
  if (config.lease < 2 * config.heartbeat) {
    return "lease_secs must be at least twice heartbeat_secs: one heartbeat may be lost";
  }
  return "";
}

std::string Check(const ConnectConfig& config) {
  const std::string endpoint = EndpointOf(config);
  if (std::string wrong = WrongWithEndpoint(endpoint); !wrong.empty()) return wrong;
  if (config.key.empty() != config.server_key.empty()) {
    return "key and server_key go together: our own secret key, and the coordinator's public one";
  }
  if (config.key.empty() && !config.insecure && !IsLoopback(endpoint)) {
    return fmt::format(kPlain, endpoint, "leads to");
  }
  return "";
}

std::string Check(const WorkerConfig& config) {
  if (!config.name.empty() && !IsWorkerName(config.name)) {
    return fmt::format(
        "\"{}\" cannot be the name of a worker: 1 to {} of A-Z a-z 0-9 . _ -, the "
        "first a letter or a digit",
        config.name, kWorkerNameBytesMax);
  }
  if (config.labels.size() > kLabelsMax) {
    return fmt::format("there are {} labels; the limit is {}", config.labels.size(), kLabelsMax);
  }
  return Check(config.connect);
}

}  // namespace troupe
