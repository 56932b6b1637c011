// Keys and values in RocksDB with the settings of the checkpoint store and none of its records:
// what `troupe bench` compares with. One thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace troupe {

class RawTable {
 public:
  static Result<RawTable> Open(const std::filesystem::path& directory);
  RawTable(RawTable&&) noexcept;
  RawTable& operator=(RawTable&&) noexcept;
  ~RawTable();

  void Put(std::string_view key, std::string_view value);
  // What was put since the last call is on disk.
  Status Write();

 private:
  struct State;
  explicit RawTable(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace troupe
