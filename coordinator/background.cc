#include "coordinator/background.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"

namespace troupe {

struct Background::State {
  explicit State(std::size_t max) : waiting_max(max) {}
  void Run();

  const std::size_t waiting_max;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> jobs;
  std::vector<Done> done;
  bool ends = false;
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::thread thread;
};

void Background::State::Run() {
  std::unique_lock lock(mutex);
  for (;;) {
    wake.wait(lock, [this] { return ends || !jobs.empty(); });
    if (ends) return;
    const Job job = std::move(jobs.front());
    jobs.pop_front();
    lock.unlock();
    Done what = job();
    lock.lock();
    done.push_back(std::move(what));
    const std::uint64_t one = 1;
    CHECK(write(fd, &one, sizeof one) == sizeof one);
  }
}

// Signals are for the loop: the thread takes none.
Background::Background(std::size_t waiting_max) : state_(std::make_unique<State>(waiting_max)) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  state_->thread = std::thread([state = state_.get()] { state->Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Background::~Background() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ends = true;
  }
  state_->wake.notify_one();
  state_->thread.join();
  close(state_->fd);
}

bool Background::Post(Job job) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->jobs.size() >= state_->waiting_max) return false;
    state_->jobs.push_back(std::move(job));
  }
  state_->wake.notify_one();
  return true;
}

int Background::fd() const { return state_->fd; }

void Background::RunDone() {
  std::vector<Done> done;
  {
    const std::lock_guard lock(state_->mutex);
    done = std::exchange(state_->done, {});
    std::uint64_t count = 0;
    (void)!read(state_->fd, &count, sizeof count);
  }
  for (const Done& what : done) {
    if (what) what();
  }
}

}  // namespace troupe
