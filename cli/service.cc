#include "cli/service.h"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/text.h"

namespace troupe {

namespace {

constexpr const char* kPlainLine = "%Y-%m-%dT%H:%M:%S.%eZ %L %*";
constexpr const char* kJsonLine =
    R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","daemon":"%n","message":"%*"})";

// The message, in a form that cannot be taken for anything but one.
class Message : public spdlog::custom_flag_formatter {
 public:
  explicit Message(bool json) : json_(json) {}

  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    std::string text(message.payload.data(), message.payload.size());
    if (json_) {
      text = nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
      text = text.substr(1, text.size() - 2);  // The quotes are in the pattern.
    } else {
      text = Escaped(text);
    }
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<Message>(json_);
  }

 private:
  bool json_;
};

spdlog::level::level_enum LevelOf(LogConfig::Level level) {
  switch (level) {
    case LogConfig::Level::Debug:
      return spdlog::level::debug;
    case LogConfig::Level::Info:
      return spdlog::level::info;
    case LogConfig::Level::Warn:
      return spdlog::level::warn;
    case LogConfig::Level::Error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void StartLog(const std::string& name, const LogConfig& config) {
  const bool json = config.format == LogConfig::Format::Json;
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<Message>('*', json).set_pattern(json ? kJsonLine : kPlainLine);
  spdlog::drop(name);
  spdlog::set_default_logger(spdlog::stderr_logger_st(name));
  spdlog::set_formatter(std::move(formatter));
  spdlog::set_level(LevelOf(config.level));
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
