#include "cli/service.h"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdint>

namespace troupe {

void StartLog(const std::string& name) {
  spdlog::set_default_logger(spdlog::stderr_logger_st(name));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %v");
}

void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Signals::Signals(const std::vector<int>& numbers) {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : numbers) sigaddset(&signals, number);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

Signals::~Signals() {
  if (fd_ >= 0) close(fd_);
}

std::vector<int> Signals::Take() {
  std::vector<int> numbers;
  signalfd_siginfo info;
  while (read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    numbers.push_back(static_cast<int>(info.ssi_signo));
  }
  return numbers;
}

Service::Service() {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) > 0) {
    beat_every_ = Duration(static_cast<std::int64_t>(microseconds / 3));
  }
}

void Service::Ready(const std::string& status) {
  status_ = status;
  sd_notify(0, fmt::format("READY=1\nSTATUS={}", status).c_str());
}

void Service::SetStatus(const std::string& status) {
  if (status == status_) return;
  status_ = status;
  sd_notify(0, fmt::format("STATUS={}", status).c_str());
}

void Service::Stopping() { sd_notify(0, "STOPPING=1"); }

void Service::Beat(Instant now) {
  if (beat_every_ == Duration{} || now < beat_at_ + beat_every_) return;
  beat_at_ = now;
  sd_notify(0, "WATCHDOG=1");
}

}  // namespace troupe
