#include "worker/attendant/supervision.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <vector>

namespace troupe {
namespace {

Instant Now() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

// What is there now; empty and the descriptor closed at the end of the stream.
std::string_view ReadSome(Fd& fd, std::array<char, 65536>& buffer) {
  if (!fd.open()) return {};
  const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
  if (n > 0) return {buffer.data(), static_cast<std::size_t>(n)};
  if (n == 0 || (errno != EAGAIN && errno != EINTR)) fd.Close();
  return {};
}

}  // namespace

Supervision::Supervision(const AttemptSpec& spec, ProcessTree& tree, Sinks sinks, Stops stops)
    : spec_(spec),
      tree_(tree),
      sinks_(sinks),
      stops_(stops),
      started_(Clock::now()),
      last_activity_(started_) {}

bool Supervision::StoppedEarly() {
  ReadSignals();
  ReadOrders();
  return stops_taken_ > 0;
}

void Supervision::Run(Pipes pipes, std::string_view standard_input) {
  pipes_ = std::move(pipes);
  input_left_ = standard_input;
  last_activity_ = Clock::now();
  tree_.Reap();  // It may have ended before its start was reported.
  while (!Over()) {
    std::array<pollfd, 5> fds = {{{stops_.signals, POLLIN, 0},
                                  {pipes_.standard_output.get(), POLLIN, 0},
                                  {pipes_.standard_error.get(), POLLIN, 0},
                                  {pipes_.standard_input.get(), POLLOUT, 0},
                                  {stops_.orders.fd(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), PollTimeout()) > 0) {
      if (fds[1].revents != 0) ReadOutput();
      if (fds[2].revents != 0) ReadErrors();
      if (fds[3].revents != 0) WriteInput();
      // After the streams: an agent that has finished and ended is not stopped.
      if (fds[0].revents != 0) ReadSignals();
      if (fds[4].revents != 0) ReadOrders();
    }
    CheckClocks();
  }
  EndAll();
}

bool Supervision::Over() const {
  if (kill_at_ && Clock::now() >= *kill_at_) return true;
  return tree_.empty() && !pipes_.standard_output.open() && !pipes_.standard_error.open();
}

void Supervision::ReadSignals() {
  signalfd_siginfo info{};
  int terminations = 0;
  while (::read(stops_.signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == static_cast<std::uint32_t>(SIGTERM)) ++terminations;
  }
  tree_.Reap();
  OnStops(terminations);
}

void Supervision::ReadOrders() { OnStops(stops_.orders.TakeStops(stops_.directory)); }

void Supervision::OnStops(int count) {
  for (; count > 0; --count) {
    // A second one, and one for an agent that has ended and left processes, is for what remains.
    if (++stops_taken_ > 1 || tree_.end()) {
      kill_at_ = Clock::now();
    } else {
      Stop(StopReason::Cancelled);
    }
  }
}

void Supervision::ReadOutput() {
  const std::string_view bytes = ReadSome(pipes_.standard_output, buffer_);
  if (bytes.empty()) return;
  last_activity_ = Clock::now();
  sinks_.standard_output.Append(bytes);
  if (sinks_.output_file != nullptr && spec_.capture_stdout) sinks_.output_file->Append(bytes);
  std::vector<AgentEvent> events;
  sinks_.protocol.Read(bytes, events);
  sinks_.events.Append(Now(), events);
}

void Supervision::ReadErrors() {
  const std::string_view bytes = ReadSome(pipes_.standard_error, buffer_);
  if (bytes.empty()) return;
  last_activity_ = Clock::now();
  sinks_.standard_error.Append(bytes);
  if (sinks_.output_file != nullptr && spec_.capture_stderr) sinks_.output_file->AppendLast(bytes);
}

void Supervision::WriteInput() {
  if (!pipes_.standard_input.open()) return;
  while (!input_left_.empty()) {
    const ssize_t n = ::write(pipes_.standard_input.get(), input_left_.data(), input_left_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) break;  // Nobody reads it (any more), and that is the agent's affair.
    input_left_.remove_prefix(static_cast<std::size_t>(n));
  }
  pipes_.standard_input.Close();
}

void Supervision::Stop(StopReason reason) {
  if (stop_reason_ != StopReason::None) return;
  stop_reason_ = reason;
  kill_at_ = Clock::now() + kStopGrace;
  tree_.Terminate();
}

std::optional<Supervision::Clock::time_point> Supervision::NextDeadline() const {
  if (kill_at_) return kill_at_;
  // After its last word an agent may tidy up, and is not silent but done.
  const Duration silence = sinks_.protocol.Finished() ? kFinishedGrace : spec_.silence;
  std::optional<Clock::time_point> next;
  if (spec_.timeout > Duration::zero()) next = started_ + spec_.timeout;
  if (silence > Duration::zero()) {
    const Clock::time_point silent = last_activity_ + silence;
    next = next ? std::min(*next, silent) : silent;
  }
  return next;
}

void Supervision::CheckClocks() {
  const Clock::time_point now = Clock::now();
  if (tree_.end() && !child_ended_) {
    child_ended_ = true;
    pipes_.standard_input.Close();
    kill_at_ = kill_at_ ? std::min(*kill_at_, now + kLeftoverGrace) : now + kLeftoverGrace;
  }
  if (kill_at_) return;
  const std::optional<Clock::time_point> deadline = NextDeadline();
  if (!deadline || now < *deadline) return;
  if (sinks_.protocol.Finished()) {
    Stop(StopReason::Finished);
  } else if (spec_.timeout > Duration::zero() && now >= started_ + spec_.timeout) {
    Stop(StopReason::TimedOut);
  } else {
    Stop(StopReason::Silent);
  }
}

int Supervision::PollTimeout() const {
  const std::optional<Clock::time_point> deadline = NextDeadline();
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

void Supervision::EndAll() {
  if (!tree_.empty()) {
    const std::size_t left = tree_.Kill(kKillPatience);
    if (left > 0) {
      sinks_.events.Append(Now(), {{.type = "log", .text = "processes that cannot be killed"}});
    }
  }
  // What they wrote last is still in the pipes, which others may be holding: one pipe holds at most
  // a mebibyte.
  for (int i = 0; i < 16 && pipes_.standard_output.open(); ++i) ReadOutput();
  for (int i = 0; i < 16 && pipes_.standard_error.open(); ++i) ReadErrors();
  pipes_ = {};
}

}  // namespace troupe
