// Configuration files of the daemons and of clients: YAML, read as strictly as workflow files.
//
// Pure: a text gives a configuration and what is wrong with it, each problem with its place.
// Defaults are filled in; flags may then change values, and Check…() judges the whole.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "workflow/compile.h"

namespace troupe {

inline constexpr std::string_view kDaemonStateDir = "/var/lib/troupe";

// Limits of keep_days, keep_runs and keep_mib.
inline constexpr double kKeepDaysMin = 0.001;
inline constexpr double kKeepDaysMax = 36'500;
inline constexpr std::int64_t kKeepRunsMax = 1'000'000'000;
inline constexpr std::int64_t kKeepMibMax = 1'000'000'000;
inline constexpr Duration Days(double days) { return Seconds(days * 86'400); }

inline constexpr std::string_view kMetricsListen = "127.0.0.1:9464";
inline constexpr std::string_view kMetricsOff = "off";

struct LogConfig {
  enum class Format : std::uint8_t { Plain, Json };
  enum class Level : std::uint8_t { Debug, Info, Warn, Error };
  Format format = Format::Plain;
  Level level = Level::Info;  // And above.
};
inline constexpr std::string_view kLogFormats[] = {"plain", "json"};
inline constexpr std::string_view kLogLevels[] = {"debug", "info", "warn", "error"};

struct CoordinatorConfig {
  std::string state_dir = std::string(kDaemonStateDir);
  std::vector<std::string> listen = {};  // Empty: a socket in the state directory.
  std::string key = "";                  // Files.
  std::string authorized_keys = "";
  bool insecure = false;  // Plain tcp may be reached from other machines.
  Duration lease = std::chrono::seconds(4);
  Duration heartbeat = std::chrono::seconds(1);
  Duration recovery_grace = std::chrono::seconds(60);
  Duration reconnect_window = std::chrono::seconds(300);
  Duration keep{};              // How long a run is kept when it has ended; zero: for good.
  std::uint32_t keep_runs = 0;  // How many such runs are kept; 0: all.
  std::uint64_t keep_mib = 0;   // How much of the disk they may take; 0: any.
  // HOST:PORT, or kMetricsOff. "": kMetricsListen if it is free.
  std::string metrics_listen = "";
  LogConfig log = {};
};

// How to reach a coordinator.
struct ConnectConfig {
  std::string endpoint = "";    // "": the socket in kDaemonStateDir.
  std::string key = "";         // Files: our secret key,
  std::string server_key = "";  // the coordinator's public key.
  bool insecure = false;
};

struct ProviderConfig {
  std::string program = "";  // "": the usual one, found on PATH.
};

struct WorkerConfig {
  ConnectConfig connect = {};
  std::string name = "";    // "": this machine's.
  std::uint32_t slots = 0;  // 0: as many as the machine has cores.
  std::vector<std::string> labels = {};
  std::string work_dir = "";   // "": the run directory of each run.
  std::string spool_dir = "";  // "": systemd's, or workers/NAME/spool in kDaemonStateDir.
  bool all_providers = true;   // None were named.
  std::map<std::string, ProviderConfig> providers = {};
  LogConfig log = {};
};

template <class Config>
struct ConfigRead {
  Config config = {};
  std::vector<Problem> problems = {};  // An error among them: the configuration is not to be used.
  bool ok() const {
    for (const Problem& problem : problems) {
      if (!problem.warning) return false;
    }
    return true;
  }
};
// `directory`: of the file; relative paths in it start there.
ConfigRead<CoordinatorConfig> ReadCoordinatorConfig(std::string_view text,
                                                    const std::string& directory);
ConfigRead<WorkerConfig> ReadWorkerConfig(std::string_view text, const std::string& directory);
ConfigRead<ConnectConfig> ReadClientConfig(std::string_view text, const std::string& directory);

// What does not go together, for people; "" if all does. Endpoints, names and security.
std::string Check(const CoordinatorConfig& config);
std::string Check(const ConnectConfig& config);
std::string Check(const WorkerConfig& config);

// The endpoints to listen on or to connect to, defaults included.
std::vector<std::string> EndpointsOf(const CoordinatorConfig& config);
std::string EndpointOf(const ConnectConfig& config);

}  // namespace troupe
