// From the order for an attempt to what its process is given: arguments, environment, working
// directory, standard input and private files.
//
// The home directory of agents, `home/` beside their private files, stays.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/attempt.h"
#include "base/failure.h"
#include "base/time.h"
#include "worker/attendant/private_files.h"
#include "worker/attendant/process_tree.h"

namespace troupe {

// The longest single argument that Linux hands to a program.
inline constexpr std::size_t kArgumentBytesMax = 131'071;

struct Preparation {
  Launch launch = {};
  // Set: it cannot be started, for this reason.
  std::optional<FailureClass> failure = {};
  std::string message = "";
};

// `files`: of an absolute path; the caller clears them at the end. `started`: what the deadline
// counts from.
Preparation PrepareLaunch(const AttemptSpec& spec, PrivateFiles& files, Instant started);

// Where the process may write its result, of the path of private files.
std::filesystem::path ResultFile(const std::filesystem::path& files);

// `path` as the spec means it: relative to its run directory.
std::filesystem::path InRunDirectory(const AttemptSpec& spec, const std::string& path);

}  // namespace troupe
