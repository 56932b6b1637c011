// A daemon's or client's configuration: its file, with flags over it.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/commands_fleet.h"
#include "config/config.h"

namespace troupe {

inline constexpr const char* kCoordinatorConfigFile = "/etc/troupe/coordinator.yaml";
inline constexpr const char* kWorkerConfigFile = "/etc/troupe/worker.yaml";

// The file that a daemon reads: the one that was named, else the usual one if it is there, else "".
std::string ConfigFileOf(const std::string& named, const char* usual);

// Flags over what was read.
void PutConnect(const ConnectFlags& flags, ConnectConfig& config);

// An error's message is all that is wrong with file and flags, to be printed as it is.
Result<CoordinatorConfig> LoadCoordinatorConfig(const std::string& file,
                                                const CoordinatorCommand& flags);
Result<WorkerConfig> LoadWorkerConfig(const std::string& file, const WorkerCommand& flags);

// A client's: ~/.config/troupe/client.yaml if it is there, TROUPE_COORDINATOR, flags; the later
// ones go over the earlier ones.
std::string ClientConfigFile();  // "": there is none.
Result<ConnectConfig> LoadClientConfig(const ConnectFlags& flags);

}  // namespace troupe
