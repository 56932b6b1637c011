// The directory that an attendant lends to the processes of its attempts, one after another:
//
//   ROOT/private-PID-TICKS/inputs.json artifacts/        for all
//                          tmp/ prompt script result.json  for those that have them
//
// Mode 0700, files 0600. What one attempt leaves there the next one does not see: what differs from
// the two that all have is removed at an attempt's end. PID and TICKS are those of the attendant
// (process_table.h), so that a directory whose attendant has died is known and can be removed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "base/result.h"
#include "worker/attendant/process_table.h"

namespace troupe {

class PrivateFiles {
 public:
  // `root`: the spool. Nothing is made before the first Prepare().
  PrivateFiles(const std::filesystem::path& root, const Process& attendant);
  ~PrivateFiles();
  PrivateFiles(const PrivateFiles&) = delete;
  PrivateFiles& operator=(const PrivateFiles&) = delete;

  const std::filesystem::path& path() const { return path_; }

  // The two that all have.
  Status Prepare(const std::string& inputs_json);
  // After an attempt.
  void Clear();

 private:
  bool LeftAsPrepared() const;

  std::filesystem::path path_;
};

// Is it the name of such a directory, whose attendant has died?
bool IsLeftPrivate(const std::string& name);

}  // namespace troupe
