// The coordinator's file of authorised keys, read again when it changes.
#pragma once

#include <ctime>
#include <filesystem>
#include <string>
#include <utility>

#include "base/result.h"
#include "protocol/access.h"

namespace troupe {

class AccessFile {
 public:
  explicit AccessFile(std::filesystem::path path) : path_(std::move(path)) {}

  // Refuses a file that others than its owner can write. An error names file and line.
  Result<AccessList> Read();
  // Since the last Read(), whatever it came to.
  bool HasChanged() const;

 private:
  struct Mark {
    std::uint64_t inode = 0;
    std::int64_t size = -1;
    std::int64_t changed_ns = 0;
    bool operator==(const Mark&) const = default;
  };
  Mark Look() const;

  std::filesystem::path path_;
  Mark mark_ = {};
};

}  // namespace troupe
