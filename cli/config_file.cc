#include "cli/config_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>

#include "cli/read_file.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

std::string DirectoryOf(const std::string& file) {
  std::error_code error;
  return fs::absolute(file, error).parent_path().string();
}

// Reads `file` ("": defaults) with `read`. What it warns of is printed by the caller's caller: a
// warning does not keep a daemon from starting.
template <class Config>
Result<Config> Load(const std::string& file,
                    ConfigRead<Config> (*read)(std::string_view, const std::string&)) {
  if (file.empty()) return Config{};
  const Result<std::string> text = ReadWorkflowFile(file);
  if (!text) return Error{ErrorCode::Invalid, fmt::format("troupe: {}\n", text.error().message)};
  ConfigRead<Config> got = read(*text, DirectoryOf(file));
  if (!got.ok()) return Error{ErrorCode::Invalid, FormatProblems(file, got.problems)};
  return std::move(got.config);
}

// Flags are relative to where the command was called.
void Put(const std::string& flag, std::string& path) {
  std::error_code error;
  if (!flag.empty()) path = fs::absolute(flag, error).lexically_normal().string();
}

void Put(double flag, Duration& time) {
  if (flag > 0) time = Seconds(flag);
}

void Put(const LogFlags& flags, LogConfig& log) {
  const auto find = [](const auto& words, const std::string& word) {
    return std::find(std::begin(words), std::end(words), word) - std::begin(words);
  };
  if (!flags.format.empty()) {
    log.format = static_cast<LogConfig::Format>(find(kLogFormats, flags.format));
  }
  if (!flags.level.empty()) {
    log.level = static_cast<LogConfig::Level>(find(kLogLevels, flags.level));
  }
}

template <class Config>
Result<Config> Judge(Config config, const std::string& file) {
  const std::string wrong = Check(config);
  if (wrong.empty()) return config;
  return Error{ErrorCode::Invalid,
               fmt::format("{}: error: {}\n", file.empty() ? "troupe" : file, wrong)};
}

// A client's command says it as one of its own errors.
Error AsClientsError(Error error) {
  while (error.message.ends_with('\n')) error.message.pop_back();
  if (error.message.starts_with("troupe: ")) error.message.erase(0, 8);
  return error;
}

}  // namespace

std::string ConfigFileOf(const std::string& named, const char* usual) {
  std::error_code error;
  if (!named.empty()) return named;
  return fs::exists(usual, error) ? usual : "";
}

void PutConnect(const ConnectFlags& flags, ConnectConfig& config) {
  if (!flags.endpoint.empty()) config.endpoint = flags.endpoint;
  Put(flags.key_file, config.key);
  Put(flags.server_key_file, config.server_key);
  config.insecure = config.insecure || flags.insecure;
}

Result<CoordinatorConfig> LoadCoordinatorConfig(const std::string& file,
                                                const CoordinatorCommand& flags) {
  Result<CoordinatorConfig> config = Load(file, ReadCoordinatorConfig);
  if (!config) return config;
  Put(flags.state_dir, config->state_dir);
  if (!flags.listen.empty()) config->listen = flags.listen;
  Put(flags.key_file, config->key);
  Put(flags.authorized_keys, config->authorized_keys);
  config->insecure = config->insecure || flags.insecure;
  Put(flags.lease_secs, config->lease);
  Put(flags.heartbeat_secs, config->heartbeat);
  Put(flags.recovery_grace_secs, config->recovery_grace);
  Put(flags.reconnect_window_secs, config->reconnect_window);
  if (flags.keep_days > 0) config->keep = Days(flags.keep_days);
  if (flags.keep_runs > 0) config->keep_runs = flags.keep_runs;
  if (flags.keep_mib > 0) config->keep_mib = flags.keep_mib;
  if (!flags.metrics.empty()) config->metrics_listen = flags.metrics;
  Put(flags.log, config->log);
  return Judge(*std::move(config), file);
}

Result<WorkerConfig> LoadWorkerConfig(const std::string& file, const WorkerCommand& flags) {
  Result<WorkerConfig> config = Load(file, ReadWorkerConfig);
  if (!config) return config;
  PutConnect(flags.connect, config->connect);
  if (!flags.name.empty()) config->name = flags.name;
  if (flags.slots != 0) config->slots = flags.slots;
  if (!flags.labels.empty()) config->labels = flags.labels;
  Put(flags.work_dir, config->work_dir);
  Put(flags.spool_dir, config->spool_dir);
  Put(flags.log, config->log);
  return Judge(*std::move(config), file);
}

std::string ClientConfigFile() {
  const char* base = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  fs::path directory;
  if (base != nullptr && *base != '\0') {
    directory = base;
  } else if (home != nullptr && *home != '\0') {
    directory = fs::path(home) / ".config";
  } else {
    return "";
  }
  std::error_code error;
  const fs::path file = directory / "troupe" / "client.yaml";
  return fs::exists(file, error) ? file.string() : "";
}

Result<ConnectConfig> LoadClientConfig(const ConnectFlags& flags) {
  const std::string file = ClientConfigFile();
  Result<ConnectConfig> config = Load(file, ReadClientConfig);
  if (!config) return AsClientsError(config.error());
  const char* endpoint = std::getenv("TROUPE_COORDINATOR");
  if (endpoint != nullptr && *endpoint != '\0') config->endpoint = endpoint;
  PutConnect(flags, *config);
  Result<ConnectConfig> judged = Judge(*std::move(config), file);
  if (!judged) return AsClientsError(judged.error());
  return judged;
}

}  // namespace troupe
