#include "cli/providers.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

namespace troupe {
namespace {

namespace fs = std::filesystem;

bool IsProgram(const fs::path& file) {
  std::error_code error;
  return fs::is_regular_file(file, error) && access(file.c_str(), X_OK) == 0;
}

// The file that a program's name stands for; "" if there is none.
std::string FindProgram(const std::string& name, std::string_view path) {
  if (name.find('/') != std::string::npos) return IsProgram(name) ? name : "";
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    const fs::path file = fs::path(path.substr(0, end)) / name;
    if (end > 0 && IsProgram(file)) return file.string();
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return "";
}

}  // namespace

OfferedProviders FindProviders(const WorkerConfig& config, const std::string& path) {
  OfferedProviders offered;
  for (const char* name : {"command", "mock"}) {
    if (!config.all_providers && !config.providers.contains(name)) continue;
    offered.names.emplace_back(name);
    offered.lines.push_back(fmt::format("provider {}", name));
  }
  const auto it = config.providers.find("claude");
  if (!config.all_providers && it == config.providers.end()) return offered;
  const std::string named = it == config.providers.end() ? "" : it->second.program;
  offered.claude = FindProgram(named.empty() ? "claude" : named, path);
  if (!offered.claude.empty()) {
    offered.names.emplace_back("claude");
    offered.lines.push_back(fmt::format("provider claude: {}", offered.claude));
  } else if (named.find('/') != std::string::npos) {
    offered.missing.push_back(
        fmt::format("provider claude is not offered: {} is no program", named));
  } else {
    offered.missing.push_back(
        fmt::format("provider claude is not offered: there is no program \"{}\" on PATH; name it "
                    "under providers in the worker's configuration",
                    named.empty() ? "claude" : named));
  }
  return offered;
}

}  // namespace troupe
