#include "worker/attendant/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

namespace troupe {
namespace {

std::string ReadIn(int directory, const char* name) {
  const Fd file(::openat(directory, name, O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!file.open()) return text;
  char chunk[4096];
  for (ssize_t n = 0; (n = ::read(file.get(), chunk, sizeof chunk)) > 0;) {
    text.append(chunk, static_cast<std::size_t>(n));
  }
  return text;
}

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

std::filesystem::path CgroupPath(const std::string& mountinfo, const std::string& own,
                                 const std::string& name) {
  std::string place;  // "/system.slice/troupe-worker.service"
  std::istringstream own_lines(own);
  for (std::string line; std::getline(own_lines, line);) {
    if (line.starts_with("0::")) place = line.substr(3);
  }
  if (place.empty() || place.find("/..") != std::string::npos) return {};

  std::istringstream mounts(mountinfo);
  for (std::string line; std::getline(mounts, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos || !line.substr(dash + 3).starts_with("cgroup2 ")) continue;
    std::istringstream fields(line);
    std::string id, parent, device, root, mount_point;
    fields >> id >> parent >> device >> root >> mount_point;
    std::string below = place;
    if (root != "/") {
      if (!below.starts_with(root)) continue;
      below = below.substr(root.size());
      if (!below.empty() && below[0] != '/') continue;
    }
    while (below.ends_with('/')) below.pop_back();
    return mount_point + below + "/" + name;
  }
  return {};
}

std::filesystem::path CgroupPath(const std::string& name) {
  static const std::string kMounts = ReadAll("/proc/self/mountinfo");
  static const std::string kOwn = ReadAll("/proc/self/cgroup");
  return CgroupPath(kMounts, kOwn, name);
}

Cgroup Cgroup::Make(const std::filesystem::path& path) {
  if (path.empty() || ::mkdir(path.c_str(), 0755) != 0) return {};
  return Adopt(path);
}

Cgroup Cgroup::Adopt(const std::filesystem::path& path) {
  Cgroup group;
  if (path.empty()) return group;
  group.path_ = path;
  group.directory_ = Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return group;
}

bool Cgroup::Populated() const {
  return made() && ReadIn(fd(), "cgroup.events").find("populated 1") != std::string::npos;
}

void Cgroup::Kill() const {
  if (!made()) return;
  const Fd kill(::openat(fd(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
  if (kill.open() && WriteAll(kill.get(), "1")) return;
  // Kernels before 5.14 have no such file.
  std::istringstream pids(ReadIn(fd(), "cgroup.procs"));
  for (pid_t pid = 0; pids >> pid;) ::kill(pid, SIGKILL);
}

void Cgroup::Remove() {
  if (!made()) return;
  for (int i = 0; i < 200 && ::rmdir(path_.c_str()) != 0 && errno == EBUSY; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  directory_.Close();
}

}  // namespace troupe
