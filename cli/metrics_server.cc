#include "cli/metrics_server.h"

#include <fmt/format.h>
#include <httplib.h>

#include <chrono>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace troupe {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr auto kStartLook = std::chrono::milliseconds(1);
constexpr std::size_t kThreads = 2;  // A slow reader holds up one of them.
constexpr std::size_t kBodyMax = 1'024;
constexpr time_t kPatienceSecs = 2;
constexpr const char* kTextFormat = "text/plain; version=0.0.4; charset=utf-8";

struct HostPort {
  std::string host = "";
  int port = 0;
};

std::optional<HostPort> Split(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return std::nullopt;
  HostPort split{address.substr(0, colon), std::atoi(address.c_str() + colon + 1)};
  if (split.host.size() > 2 && split.host.front() == '[' && split.host.back() == ']') {
    split.host = split.host.substr(1, split.host.size() - 2);
  }
  return split;
}

}  // namespace

struct MetricsServer::State {
  httplib::Server server;
  std::string address;
  std::string store_directory;
  std::chrono::milliseconds hung_after{};
  std::mutex mutex;  // For the next two.
  std::shared_ptr<const MetricsSnapshot> latest;
  SteadyClock::time_point published{};
  std::thread thread;

  void Route();
  void Answer(httplib::Response& response);
  void SayHealth(httplib::Response& response);
};

void MetricsServer::State::Route() {
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_read_timeout(kPatienceSecs);
  server.set_write_timeout(kPatienceSecs);
  server.set_keep_alive_timeout(kPatienceSecs);
  server.set_payload_max_length(kBodyMax);
  // Not SO_REUSEPORT, the library's choice: two coordinators would share the port.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.Get("/metrics",
             [this](const httplib::Request&, httplib::Response& response) { Answer(response); });
  server.Get("/healthz",
             [this](const httplib::Request&, httplib::Response& response) { SayHealth(response); });
}

void MetricsServer::State::Answer(httplib::Response& response) {
  std::shared_ptr<const MetricsSnapshot> snapshot;
  {
    const std::lock_guard lock(mutex);
    snapshot = latest;
  }
  if (snapshot == nullptr) {
    response.status = 503;
    return;
  }
  response.set_content(MetricsText(*snapshot, MeasureUsage(store_directory)), kTextFormat);
}

void MetricsServer::State::SayHealth(httplib::Response& response) {
  SteadyClock::duration since{};
  {
    const std::lock_guard lock(mutex);
    since = SteadyClock::now() - published;
  }
  if (since < hung_after) {
    response.set_content("ok\n", "text/plain");
    return;
  }
  response.status = 503;
  response.set_content(fmt::format("the coordinator has done nothing for {} s\n",
                                   std::chrono::duration_cast<std::chrono::seconds>(since).count()),
                       "text/plain");
}

MetricsServer::MetricsServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

MetricsServer::~MetricsServer() {
  state_->server.stop();
  if (state_->thread.joinable()) state_->thread.join();
}

Result<std::unique_ptr<MetricsServer>> MetricsServer::Listen(const std::string& address,
                                                             std::string store_directory,
                                                             std::chrono::milliseconds hung_after) {
  auto state = std::make_unique<State>();
  state->store_directory = std::move(store_directory);
  state->hung_after = hung_after;
  state->published = SteadyClock::now();
  state->Route();
  const std::optional<HostPort> split = Split(address);
  int port = -1;
  if (split && split->port == 0) {
    port = state->server.bind_to_any_port(split->host.c_str());
  } else if (split && state->server.bind_to_port(split->host.c_str(), split->port)) {
    port = split->port;
  }
  if (port <= 0) {
    return Error{ErrorCode::Invalid,
                 fmt::format("cannot listen on {} for metrics; is the port taken? Give another "
                             "one, or off, with --metrics",
                             address)};
  }
  state->address = fmt::format("{}:{}", address.substr(0, address.rfind(':')), port);
  State* running = state.get();
  state->thread = std::thread([running] { running->server.listen_after_bind(); });
  // Before it runs, stop() would be forgotten.
  while (!running->server.is_running()) std::this_thread::sleep_for(kStartLook);
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(state)));
}

const std::string& MetricsServer::address() const { return state_->address; }

void MetricsServer::Publish(MetricsSnapshot snapshot) {
  auto latest = std::make_shared<const MetricsSnapshot>(std::move(snapshot));
  const std::lock_guard lock(state_->mutex);
  state_->latest = std::move(latest);
  state_->published = SteadyClock::now();
}

}  // namespace troupe
