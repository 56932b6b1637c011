#include "cli/source.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "cli/config_file.h"
#include "cli/remote_store.h"
#include "cli/state.h"
#include "storage/rocksdb_checkpoint_store.h"
#include "storage/state_lock.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

// The directory of an attempt that a worker of this machine holds; empty if there is none.
fs::path SpoolOf(const fs::path& state_dir, const AttemptId& id) {
  std::error_code error;
  for (const auto& worker : fs::directory_iterator(state_dir / "workers", error)) {
    fs::path spool = worker.path() / "spool" / ToString(id);
    if (fs::exists(spool, error)) return spool;
  }
  return {};
}

class LocalSource final : public RunSource {
 public:
  explicit LocalSource(std::string state_dir) : state_dir_(std::move(state_dir)) {}

  Status Open() {
    at_work_ = StateLock::IsHeld(state_dir_);
    auto store = RocksDbCheckpointStore::OpenForReading(fs::path(state_dir_) / "db");
    if (!store) return store.error();
    store_ = *std::move(store);
    return {};
  }

  const CheckpointStore& store() const override { return *store_; }
  Status CatchUp() override {
    at_work_ = StateLock::IsHeld(state_dir_);  // First: what ends in between has ended then.
    return store_->CatchUp();
  }
  bool at_work() const override { return at_work_; }
  WorkerPool Workers() override { return LocalPool(state_dir_); }

  std::string ReadOutput(const AttemptId& id, LogText::Stream stream, std::size_t offset) override {
    const fs::path spool = SpoolOf(state_dir_, id);
    if (spool.empty()) return "";
    const char* name = stream == LogText::Stream::Output  ? "stdout"
                       : stream == LogText::Stream::Error ? "stderr"
                                                          : "events";
    std::ifstream file(spool / name, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string state_dir_;
  std::unique_ptr<RocksDbCheckpointStore> store_;
  bool at_work_ = false;
};

class RemoteSource final : public RunSource {
 public:
  explicit RemoteSource(Client client) : client_(std::move(client)), store_(client_) {}

  const CheckpointStore& store() const override { return store_; }
  Status CatchUp() override { return {}; }
  bool at_work() const override { return true; }

  WorkerPool Workers() override {
    WorkerPool pool;
    const Result<ClientWorkers> list = client_.Ask<ClientWorkers>(ClientListWorkers{});
    if (!list) return pool;
    for (const WorkerInfo& info : list->workers) {
      Worker& worker = pool.Know(info.name);
      worker.peer = info.state == WorkerState::Connected ? info.name : "";
      worker.session = 1;
      worker.slots = info.slots;
      worker.used = info.used;
      worker.labels = {info.labels.begin(), info.labels.end()};
      worker.providers = {info.providers.begin(), info.providers.end()};
    }
    return pool;
  }

  std::string ReadOutput(const AttemptId& id, LogText::Stream stream, std::size_t offset) override {
    ClientReadOutput question{.id = id, .offset = offset};
    if (stream == LogText::Stream::Error) question.stream = OutputStream::Stderr;
    if (stream == LogText::Stream::Events) question.stream = OutputStream::Events;
    std::string text;
    for (;;) {  // A part at a time, as long as there is more.
      const Result<ClientOutput> output = client_.Ask<ClientOutput>(question);
      if (!output || output->bytes.empty()) return text;
      text += output->bytes;
      question.offset += output->bytes.size();
    }
  }

 private:
  Client client_;
  RemoteStore store_;
};

}  // namespace

Result<std::optional<ConnectConfig>> RemoteOf(const StateOptions& options) {
  std::error_code error;
  const char* endpoint = std::getenv("TROUPE_COORDINATOR");
  const bool named = endpoint != nullptr && *endpoint != '\0';
  if (options.connect.endpoint.empty()) {
    if (options.state_dir_given) return std::optional<ConnectConfig>();
    if (!named && (fs::exists(options.state_dir, error) || ClientConfigFile().empty())) {
      return std::optional<ConnectConfig>();
    }
  }
  Result<ConnectConfig> config = LoadClientConfig(options.connect);
  if (!config) return config.error();
  return std::optional<ConnectConfig>(*std::move(config));
}

Result<std::unique_ptr<RunSource>> OpenSource(const StateOptions& options) {
  const Result<std::optional<ConnectConfig>> remote = RemoteOf(options);
  if (!remote) return remote.error();
  if (*remote) {
    Result<Client> client = Client::Connect(**remote);
    if (!client) return client.error();
    return std::unique_ptr<RunSource>(std::make_unique<RemoteSource>(*std::move(client)));
  }
  auto local = std::make_unique<LocalSource>(options.state_dir);
  if (Status opened = local->Open(); !opened) return opened.error();
  return std::unique_ptr<RunSource>(std::move(local));
}

Result<Client> ConnectFor(const StateOptions& options) {
  Result<std::optional<ConnectConfig>> remote = RemoteOf(options);
  if (!remote) return remote.error();
  if (*remote) return Client::Connect(**remote);
  std::error_code error;
  if (!options.state_dir_given && !fs::exists(options.state_dir, error)) {
    return Client::Connect(ConnectConfig{});  // The daemon of this machine.
  }
  ConnectConfig config;
  std::ifstream file(fs::path(options.state_dir) / "endpoint");
  std::getline(file, config.endpoint);
  if (config.endpoint.empty() || !StateLock::IsHeld(options.state_dir)) {
    return Error{ErrorCode::NotFound,
                 fmt::format("no coordinator is at work in {}", options.state_dir)};
  }
  return Client::Connect(config);
}

}  // namespace troupe
