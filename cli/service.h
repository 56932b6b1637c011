// What daemons have in common: their log, their signals, and the service manager.
//
// One thread. Without systemd the notices go nowhere.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "config/config.h"

namespace troupe {

// Lines on stderr with time and level, plain or as JSON objects; for all that is logged from here
// on. Whatever names, paths and errors hold, a line stays one line, and control characters are
// escaped.
void StartLog(const std::string& name, const LogConfig& config);

// So that a thousand workers can be connected: as many open files as the system allows us.
void RaiseFileLimit();

// Signals as a descriptor to wait for. They are blocked from here on, so make it before any thread
// is there.
class Signals {
 public:
  explicit Signals(const std::vector<int>& numbers);
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  int fd() const { return fd_; }
  // Those that came since the last call.
  std::vector<int> Take();

 private:
  int fd_ = -1;
};

class Service {
 public:
  Service();

  void Ready(const std::string& status);
  // What `systemctl status` shows; sent when it has changed.
  void SetStatus(const std::string& status);
  void Stopping();
  // Tells the watchdog that we are alive, as often as it wants; to be called once a second.
  void Beat(Instant now);

 private:
  std::string status_ = "";
  Duration beat_every_{};  // 0: nobody watches.
  Instant beat_at_{};
};

}  // namespace troupe
