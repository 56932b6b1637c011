// A coordinator and workers as processes of their own, for `troupe bench`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/client.h"
#include "storage/records.h"

namespace troupe {

// A child of ours; killed at the end.
class Child {
 public:
  explicit Child(std::vector<std::string> words, const std::string& log = "/dev/null");
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child();
  // Its wait status.
  int Wait();

  std::uint64_t ResidentBytes() const;
  double CpuSeconds() const;

 private:
  pid_t pid_ = -1;
};

// Started anew in a directory of its own.
class BenchFleet {
 public:
  BenchFleet(const std::filesystem::path& directory, std::uint32_t workers, std::uint32_t slots);

  // The record of the run, once it has succeeded; with `tasks` those of its tasks as well.
  Result<RunRecord> Run(const std::string& text, std::vector<TaskRecord>* tasks = nullptr);
  // Until the coordinator serves and so many workers have joined.
  Status WaitFor(std::size_t workers);
  Result<RunId> Submit(const std::string& text);

  void KillCoordinator() { coordinator_.reset(); }
  void StartCoordinator();
  const Child& coordinator() const { return *coordinator_; }
  Client& client() { return *client_; }
  const std::string& endpoint() const { return endpoint_; }

 private:
  Status Connect();

  std::filesystem::path directory_;
  std::string self_;
  std::string endpoint_;
  std::optional<Child> coordinator_;
  std::vector<Child> workers_;
  std::optional<Client> client_;
};

// A loop of so many tasks. `work` is what each does: lines of its task.
std::string LoopOf(std::uint32_t tasks, const std::string& work);

}  // namespace troupe
