#include "worker/attendant/zygote.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "worker/attendant/attendant.h"
#include "worker/attendant/cgroup.h"
#include "worker/attendant/process_table.h"

namespace troupe {
namespace {

// The child is its parent's sibling. Not fork(): that cannot. This process has one thread, so there
// is nothing that fork() would do for the child besides.
pid_t ForkSibling() {
  constexpr unsigned long kFlags = CLONE_PARENT | SIGCHLD;
  return static_cast<pid_t>(::syscall(SYS_clone, kFlags, nullptr, nullptr, nullptr, nullptr));
}

// For `ps`: which attempt it is. What does not fit is left out in front, where it says least.
void Rename(std::span<char> title, std::string_view name) {
  ::prctl(PR_SET_NAME, "troupe-attendant");
  if (title.empty()) return;
  name.remove_prefix(name.size() - std::min(name.size(), title.size() - 1));
  std::fill(std::copy(name.begin(), name.end(), title.begin()), title.end(), '\0');
}

}  // namespace

int ServeZygote(std::span<char> title) {
  ::prctl(PR_SET_NAME, "troupe-zygote");
  // What an attendant reads once, it need not read at all.
  static_cast<void>(BootId());
  static_cast<void>(CgroupPath("x"));
  std::array<char, kZygotePathMax> path{};
  for (;;) {
    const ssize_t n = ::recv(STDIN_FILENO, path.data(), path.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return 0;
    const std::string_view directory(path.data(), static_cast<std::size_t>(n));
    const pid_t pid = ForkSibling();
    if (pid == 0) {
      ::dup2(STDOUT_FILENO, STDIN_FILENO);
      ::setsid();
      Rename(title, directory);
      return AttendAttempt(directory);
    }
    const ZygoteAnswer answer{pid, pid < 0 ? errno : 0};
    if (::send(STDIN_FILENO, &answer, sizeof answer, MSG_NOSIGNAL) < 0) return 0;
  }
}

}  // namespace troupe
