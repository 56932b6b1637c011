// The ceiling: a ROUTER that hands out tasks in batches with a window, a DEALER that answers, and
// RocksDB with one sync for all that came in one turn.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

#include "cli/bench.h"
#include "protocol/zmq_endpoint.h"
#include "storage/raw_table.h"

namespace troupe {
namespace {

constexpr std::uint32_t kWindow = 1'024;
constexpr std::uint32_t kBatch = 64;
constexpr std::size_t kTaskBytes = 246;
constexpr std::size_t kResultBytes = 60;

}  // namespace

int AnswerBarePipeline(const std::string& endpoint) {
  auto dealer = DealerEndpoint::Connect(endpoint, "bare");
  if (!dealer) return 1;
  std::vector<WaitFd> none;
  while (dealer->Send("hello") != SendResult::Sent) {
    if (getppid() == 1) return 1;
    dealer->Wait(none, std::chrono::milliseconds(10));
  }
  std::string answer;
  for (;;) {
    dealer->Wait(none, std::chrono::seconds(5));
    while (const auto tasks = dealer->Receive()) {
      if (tasks->empty()) return 0;
      answer.clear();
      for (std::size_t at = 0; at + kTaskBytes <= tasks->size(); at += kTaskBytes) {
        answer.append(*tasks, at, kResultBytes);
      }
      while (dealer->Send(answer) == SendResult::Full)
        dealer->Wait(none, std::chrono::milliseconds(1));
    }
    if (dealer->link() != Link::Up && getppid() == 1) return 0;
  }
}

namespace {

class Pipeline {
 public:
  Pipeline(RouterEndpoint router, RawTable table, std::uint32_t tasks)
      : router_(std::move(router)), table_(std::move(table)), tasks_(tasks) {}

  Result<double> Run() {
    std::vector<WaitFd> none;
    for (int tries = 0; peer_.empty(); ++tries) {
      if (tries == 4)
        return Error{ErrorCode::Unavailable, "the bare pipeline's worker does not come"};
      router_.Wait(none, std::chrono::seconds(5));
      if (auto hello = router_.Receive()) peer_ = hello->peer;
    }
    const auto begin = std::chrono::steady_clock::now();
    while (done_ < tasks_) {
      if (Status sent = HandOut(); !sent) return sent.error();
      router_.Wait(none, std::chrono::seconds(5));
      while (const auto results = router_.Receive()) Take(results->bytes);
      if (Status written = table_.Write(); !written) return written.error();
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    (void)router_.Send(peer_, "");
    return tasks_ / took.count();
  }

 private:
  Status HandOut() {
    while (handed_ < tasks_ && handed_ - done_ < kWindow) {
      const std::uint32_t count = std::min({kBatch, tasks_ - handed_, kWindow - (handed_ - done_)});
      std::string batch(count * kTaskBytes, 'x');
      for (std::uint32_t i = 0; i < count; ++i, ++handed_) {
        std::memcpy(batch.data() + i * kTaskBytes, &handed_, sizeof handed_);
      }
      if (router_.Send(peer_, batch) != SendResult::Sent) {
        return Error{ErrorCode::Io, "the bare pipeline's worker takes nothing"};
      }
    }
    return {};
  }

  void Take(const std::string& results) {
    const std::string value(200, 'v');
    for (const char kind : {'s', 'h'}) {  // Keys of one kind stand together.
      for (std::size_t at = 0; at + kResultBytes <= results.size(); at += kResultBytes) {
        std::uint32_t task = 0;
        std::memcpy(&task, results.data() + at, sizeof task);
        table_.Put(fmt::format("{}{:012}", kind, task), value);
      }
    }
    done_ += static_cast<std::uint32_t>(results.size() / kResultBytes);
  }

  RouterEndpoint router_;
  RawTable table_;
  const std::uint32_t tasks_;
  std::string peer_ = "";
  std::uint32_t handed_ = 0;
  std::uint32_t done_ = 0;
};

}  // namespace

Result<double> BarePipeline(const std::filesystem::path& directory, std::uint32_t tasks) {
  const std::string endpoint = "ipc://" + (directory / "bare").string();
  auto router = RouterEndpoint::Bind(endpoint);
  if (!router) return router.error();
  auto table = RawTable::Open(directory / "bare.db");
  if (!table) return table.error();
  // Threads are there by now: nothing but exec may follow the fork.
  const char* const words[] = {"troupe", "bench", "--answer", endpoint.c_str(), nullptr};
  const pid_t child = fork();
  if (child == 0) {
    execv("/proc/self/exe", const_cast<char* const*>(words));
    _exit(127);
  }
  if (child < 0) return Error{ErrorCode::Io, "cannot start the bare pipeline's worker"};
  Result<double> speed = Pipeline(*std::move(router), *std::move(table), tasks).Run();
  if (!speed) kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return speed;
}

}  // namespace troupe
