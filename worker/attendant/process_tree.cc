#include "worker/attendant/process_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include "worker/attendant/process_table.h"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;

// What the child needs between fork and exec, where it may not allocate.
struct ChildPlan {
  std::vector<const char*> argv;
  std::vector<const char*> environment;
  std::vector<std::string> programs;    // Where the program may be, in this order.
  std::vector<const char*> shell_argv;  // For a program text without "#!"; [1] is set later.
  const char* working_directory = "";
  int standard_input = -1;
  int standard_output = -1;
  int standard_error = -1;
  int report = -1;  // Closed by a successful exec.
  pid_t parent = 0;
};

enum class Stage : int { Prepare, Directory, Program };
struct Report {
  Stage stage = Stage::Prepare;
  int error = 0;
};

[[noreturn]] void Fail(const ChildPlan& plan, Stage stage, int error) {
  const Report report{stage, error};
  [[maybe_unused]] const ssize_t n = ::write(plan.report, &report, sizeof report);
  ::_exit(127);
}

char* const* Mutable(const std::vector<const char*>& words) {
  return const_cast<char* const*>(words.data());  // The kernel does not write to them.
}

[[noreturn]] void RunChild(ChildPlan& plan) {
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(127);
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::dup2(plan.standard_input, 0) < 0 || ::dup2(plan.standard_output, 1) < 0 ||
      ::dup2(plan.standard_error, 2) < 0) {
    Fail(plan, Stage::Prepare, errno);
  }
  if (::chdir(plan.working_directory) != 0) Fail(plan, Stage::Directory, errno);
  int error = ENOENT;
  for (const std::string& program : plan.programs) {
    ::execve(program.c_str(), Mutable(plan.argv), Mutable(plan.environment));
    if (errno == ENOEXEC) {
      plan.shell_argv[1] = program.c_str();
      ::execve("/bin/sh", Mutable(plan.shell_argv), Mutable(plan.environment));
    }
    // Like the shell: what is missing here may be there in the next directory of PATH.
    if (errno == EACCES || (errno != ENOENT && errno != ENOTDIR)) error = errno;
    if (error != ENOENT && error != EACCES) break;
  }
  Fail(plan, Stage::Program, error);
}

// As vfork(): the child has our memory, which need not be copied, until its exec; we wait for that.
// By hand, since the child must not return through a function of the C library on the stack that we
// share. A negative number is the kernel's error.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
[[gnu::noinline]] long StartSharing(const clone_args& arguments, ChildPlan& plan) {
  long result = SYS_clone3;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(&arguments), "S"(sizeof arguments)
               : "rcx", "r11", "memory");
  if (result == 0) RunChild(plan);
  return result;
}
#else
long StartSharing(const clone_args&, ChildPlan&) { return -ENOSYS; }
#endif

// Into the cgroup if there is one and the kernel can.
pid_t StartChild(int cgroup, ChildPlan& plan) {
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  clone_args sharing = arguments;
  sharing.flags |= CLONE_VM | CLONE_VFORK;
  long pid = StartSharing(sharing, plan);
  if (pid < 0 && cgroup >= 0) pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) pid = ::fork();
  if (pid == 0) RunChild(plan);
  return static_cast<pid_t>(pid);
}

std::vector<std::string> Candidates(const Launch& launch) {
  const std::string& program = launch.argv[0];
  if (program.find('/') != std::string::npos) return {program};
  std::string_view path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& variable : launch.environment) {
    if (variable.starts_with("PATH=")) path = std::string_view(variable).substr(5);
  }
  std::vector<std::string> candidates;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    const std::string directory(end == 0 ? "." : path.substr(0, end));
    candidates.push_back(directory + "/" + program);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return candidates;
}

Error StartError(const Launch& launch, const Report& report) {
  const char* reason = ::strerrordesc_np(report.error);
  if (report.stage == Stage::Directory) {
    return {ErrorCode::NotFound,
            fmt::format("cannot enter working directory {}: {}", launch.working_directory, reason)};
  }
  if (report.error == E2BIG) {
    return {ErrorCode::Invalid,
            "the arguments and the environment together are longer than the system permits"};
  }
  if (report.stage == Stage::Program) {
    const bool missing = report.error == ENOENT;
    const bool in_path = launch.argv[0].find('/') == std::string::npos;
    return {missing ? ErrorCode::NotFound : ErrorCode::Io,
            fmt::format("cannot start {}: {}", launch.argv[0],
                        missing && in_path ? "it is not in PATH" : reason)};
  }
  return {ErrorCode::Io, fmt::format("cannot start {}: {}", launch.argv[0], reason)};
}

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> MakePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Error{ErrorCode::Io, fmt::format("cannot make a pipe: {}", ::strerrordesc_np(errno))};
  }
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

void DoNotBlock(const Fd& fd) {
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

// Their groups as well: a group takes the signal as one, so nothing in it can fork away from it.
void KillAll(const std::vector<Process>& processes) {
  const pid_t own_group = ::getpgrp();
  for (const Process& process : processes) {
    SignalProcess(process, SIGKILL);
    const std::optional<Process> now = FindProcess(process.pid);
    const bool same = now && now->start_ticks == process.start_ticks;
    if (same && now->group > 1 && now->group != own_group) ::kill(-now->group, SIGKILL);
  }
}

// A moment that grows with the number of rounds, so that a slow end costs no processor time.
void Pause(int round) {
  std::this_thread::sleep_for(std::chrono::milliseconds(std::min(round / 4, 20)));
}

}  // namespace

ProcessTree::ProcessTree(std::string token, const Cgroup& cgroup)
    : token_(std::move(token)), cgroup_(cgroup) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

ProcessTree::~ProcessTree() {
  if (!empty_) Kill(std::chrono::seconds(10));
}

Result<Pipes> ProcessTree::Start(const Launch& launch) {
  Result<Pipe> input = launch.standard_input
                           ? MakePipe()
                           : Pipe{Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), Fd()};
  Result<Pipe> output = MakePipe();
  Result<Pipe> error = MakePipe();
  Result<Pipe> report = MakePipe();
  for (const Result<Pipe>* pipe : {&input, &output, &error, &report}) {
    if (!*pipe) return pipe->error();
  }

  ChildPlan plan;
  for (const std::string& word : launch.argv) plan.argv.push_back(word.c_str());
  plan.argv.push_back(nullptr);
  for (const std::string& entry : launch.environment) plan.environment.push_back(entry.c_str());
  plan.environment.push_back(nullptr);
  plan.programs = Candidates(launch);
  plan.shell_argv = {"sh", ""};
  plan.shell_argv.insert(plan.shell_argv.end(), plan.argv.begin() + 1, plan.argv.end());
  plan.working_directory = launch.working_directory.c_str();
  plan.standard_input = input->read.get();
  plan.standard_output = output->write.get();
  plan.standard_error = error->write.get();
  plan.report = report->write.get();
  plan.parent = ::getpid();

  const pid_t child = StartChild(cgroup_.fd(), plan);
  if (child < 0) return StartError(launch, {Stage::Prepare, errno});
  child_ = child;
  empty_ = false;

  report->write.Close();
  Report failed;
  ssize_t n = 0;
  do {
    n = ::read(report->read.get(), &failed, sizeof failed);
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof failed)) {
    ::waitpid(child, nullptr, 0);
    empty_ = true;
    return StartError(launch, failed);
  }
  Pipes pipes{launch.standard_input ? std::move(input->write) : Fd(), std::move(output->read),
              std::move(error->read)};
  for (const Fd* fd : {&pipes.standard_input, &pipes.standard_output, &pipes.standard_error}) {
    if (fd->open()) DoNotBlock(*fd);
  }
  return pipes;
}

void ProcessTree::Reap() {
  if (empty_) return;
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == EINTR) continue;
    if (pid == 0) return;
    if (pid < 0) {
      // Whatever descends from the child becomes a child of ours when its own parent ends: without
      // children there are no descendants.
      empty_ = true;
      return;
    }
    if (pid != child_) continue;
    if (WIFEXITED(status)) end_ = ProcessEnd{WEXITSTATUS(status), 0};
    if (WIFSIGNALED(status)) end_ = ProcessEnd{-1, WTERMSIG(status)};
  }
}

void ProcessTree::Terminate() {
  if (empty_) return;
  const std::vector<Process> members = FindMembers(::getpid(), token_);
  if (!end_) ::kill(-child_, SIGTERM);
  for (const Process& process : members) {
    if (end_ || process.group != child_) SignalProcess(process, SIGTERM);
  }
}

std::vector<pid_t> ProcessTree::OwnChildren() const {
  const std::string path = fmt::format("/proc/self/task/{}/children", ::getpid());
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t n = file.open() ? ::read(file.get(), text, sizeof text) : 0;
  std::vector<pid_t> children;
  const char* at = text;
  const char* const end = text + std::max<ssize_t>(n, 0);
  while (at < end) {
    pid_t pid = 0;
    const auto [next, error] = std::from_chars(at, end, pid);
    if (error != std::errc()) break;
    children.push_back(pid);
    at = next + 1;
  }
  return children;
}

std::size_t ProcessTree::Kill(Duration patience) {
  const Clock::time_point deadline = Clock::now() + patience;
  for (int round = 0;; ++round) {
    cgroup_.Kill();
    if (!empty_ && !end_) ::kill(-child_, SIGKILL);
    // A process that forks and dies faster than /proc is read is a child of ours between the two.
    for (const pid_t child : OwnChildren()) ::kill(child, SIGKILL);
    const std::vector<Process> members = FindMembers(::getpid(), token_);
    KillAll(members);
    Reap();
    if (members.empty() && empty_ && !cgroup_.Populated()) return 0;
    if (Clock::now() >= deadline) return std::max<std::size_t>(members.size(), 1);
    Pause(round);
  }
}

std::size_t KillByToken(const std::string& token, const std::filesystem::path& cgroup,
                        Duration patience) {
  Cgroup group = Cgroup::Adopt(cgroup);
  const Clock::time_point deadline = Clock::now() + patience;
  for (int round = 0;; ++round) {
    group.Kill();
    const std::vector<Process> members = FindMembers(0, token);
    KillAll(members);
    if (members.empty() && !group.Populated()) break;
    if (Clock::now() >= deadline) return std::max<std::size_t>(members.size(), 1);
    Pause(round);
  }
  group.Remove();
  return 0;
}

}  // namespace troupe
