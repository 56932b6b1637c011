#include "worker/attendant/process_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <set>
#include <string_view>

#include "worker/attendant/files.h"

namespace troupe {
namespace {

std::string ReadProcFile(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!file.open()) return text;
  char chunk[4096];
  for (;;) {
    const ssize_t n = ::read(file.get(), chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(chunk, static_cast<std::size_t>(n));
  }
}

template <class Number>
Number Field(const std::vector<std::string_view>& fields, std::size_t index) {
  Number number{};
  if (index < fields.size()) {
    const std::string_view field = fields[index];
    std::from_chars(field.data(), field.data() + field.size(), number);
  }
  return number;
}

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> fields;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) fields.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return fields;
}

}  // namespace

std::optional<Process> FindProcess(pid_t pid) {
  const std::string text = ReadProcFile(fmt::format("/proc/{}/stat", pid));
  // The name is in parentheses and may hold anything, also parentheses.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text.size()) return std::nullopt;
  const std::vector<std::string_view> fields = Split(std::string_view(text).substr(name_end + 2));
  Process process;
  process.pid = pid;
  process.state = fields[0][0];
  process.parent = Field<pid_t>(fields, 1);
  process.group = Field<pid_t>(fields, 2);
  process.start_ticks = Field<std::uint64_t>(fields, 19);
  return process;
}

std::vector<Process> ListProcesses() {
  std::vector<Process> processes;
  DIR* directory = ::opendir("/proc");
  if (directory == nullptr) return processes;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    const std::optional<Process> process = FindProcess(pid);
    if (process && process->state != 'Z' && process->state != 'X') processes.push_back(*process);
  }
  ::closedir(directory);
  return processes;
}

bool HasToken(pid_t pid, const std::string& token) {
  if (token.empty()) return false;
  const std::string wanted = "TROUPE_ATTEMPT_TOKEN=" + token;
  const std::string text = ReadProcFile(fmt::format("/proc/{}/environ", pid));
  for (std::size_t at = text.find(wanted); at != std::string::npos;
       at = text.find(wanted, at + 1)) {
    const std::size_t end = at + wanted.size();
    const bool begins = at == 0 || text[at - 1] == '\0';
    if (begins && (end == text.size() || text[end] == '\0')) return true;
  }
  return false;
}

std::vector<Process> FindMembers(pid_t root, const std::string& token) {
  std::vector<Process> candidates = ListProcesses();
  const pid_t self = ::getpid();
  std::set<pid_t> parents;
  if (root != 0) parents.insert(root);
  std::vector<Process> members;
  const auto take = [&](const Process& process) {
    members.push_back(process);
    parents.insert(process.pid);
  };
  const auto outside = [&](const Process& process) {
    return process.pid == root || process.pid == self;
  };
  std::erase_if(candidates, [&](const Process& process) {
    if (outside(process)) return true;
    if (!HasToken(process.pid, token)) return false;
    take(process);
    return true;
  });
  for (std::size_t before = candidates.size() + 1; candidates.size() < before;) {
    before = candidates.size();
    std::erase_if(candidates, [&](const Process& process) {
      if (!parents.contains(process.parent)) return false;
      take(process);
      return true;
    });
  }
  return members;
}

void SignalProcess(const Process& process, int signal) {
  const Fd handle(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  const int error = errno;
  const std::optional<Process> now = FindProcess(process.pid);
  if (!now || now->start_ticks != process.start_ticks) return;
  if (handle.open()) {
    ::syscall(SYS_pidfd_send_signal, handle.get(), signal, nullptr, 0);
  } else if (error == ENOSYS || error == EPERM) {  // An old kernel, or a strict container.
    ::kill(process.pid, signal);
  }
}

const std::string& BootId() {
  static const std::string kId = [] {
    std::string id = ReadProcFile("/proc/sys/kernel/random/boot_id");
    while (!id.empty() && id.back() == '\n') id.pop_back();
    return id;
  }();
  return kId;
}

}  // namespace troupe
