#include "worker/attendant/private_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <string_view>

#include "worker/attendant/files.h"

namespace troupe {
namespace {

constexpr const char* kInputs = "inputs.json";
constexpr const char* kArtifacts = "artifacts";

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Calls `visit` for each name until that says false: what it said last; false where there is no
// directory (a link to one is none).
template <class Visit>
bool ForAllIn(const std::filesystem::path& path, Visit visit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd));
  if (directory == nullptr) return false;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && !visit(name)) return false;
  }
  return true;
}

// The file itself and only it: not a link to another, and no other name of it.
bool Holds(const std::filesystem::path& path, const std::string& text) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1 ||
      (status.st_mode & 07777) != 0600) {
    return false;
  }
  const Result<std::string> held = ReadWholeFile(path, text.size());
  return held && *held == text;
}

}  // namespace

PrivateFiles::PrivateFiles(const std::filesystem::path& root, const Process& attendant)
    : path_(root / fmt::format("private-{}-{}", attendant.pid, attendant.start_ticks)) {}

PrivateFiles::~PrivateFiles() { static_cast<void>(RemoveTree(path_, {kInputs, kArtifacts})); }

Status PrivateFiles::Prepare(const std::string& inputs_json) {
  const std::filesystem::path inputs = path_ / kInputs;
  if (Holds(inputs, inputs_json)) return {};
  if (Status made = MakePrivateDirectory(path_); !made) return made;
  if (Status made = MakePrivateDirectory(path_ / kArtifacts); !made) return made;
  ::unlink(inputs.c_str());
  return WriteFile(inputs, inputs_json);
}

bool PrivateFiles::LeftAsPrepared() const {
  return ForAllIn(path_,
                  [](std::string_view name) { return name == kInputs || name == kArtifacts; }) &&
         ForAllIn(path_ / kArtifacts, [](std::string_view) { return false; });
}

void PrivateFiles::Clear() {
  if (!LeftAsPrepared()) static_cast<void>(RemoveTree(path_));
}

bool IsLeftPrivate(const std::string& name) {
  Process was;
  int length = 0;
  if (std::sscanf(name.c_str(), "private-%d-%lu%n", &was.pid, &was.start_ticks, &length) != 2 ||
      static_cast<std::size_t>(length) != name.size()) {
    return false;
  }
  const std::optional<Process> is = FindProcess(was.pid);
  return !is || is->start_ticks != was.start_ticks || is->state == 'Z';
}

}  // namespace troupe
