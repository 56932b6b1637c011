#include "worker/attendant/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace troupe {

OutputFile::OutputFile(std::filesystem::path path, std::string unique)
    : path_(std::move(path)), unique_(std::move(unique)), first_(Open("out")) {}

OutputFile::~OutputFile() {
  if (first_.file.open()) ::unlink(first_.path.c_str());
  if (last_ && last_->file.open()) ::unlink(last_->path.c_str());
}

OutputFile::Part OutputFile::Open(std::string_view suffix) {
  Part part;
  std::error_code error;
  std::filesystem::create_directories(path_.parent_path(), error);
  if (error) {
    status_ = SystemError("make", path_.parent_path(), error.value());
    return part;
  }
  part.path = path_.parent_path() / fmt::format(".troupe-{}.{}", unique_, suffix);
  part.file = Fd(::open(part.path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!part.file.open()) status_ = SystemError("write", part.path, errno);
  return part;
}

void OutputFile::Write(Part& part, std::string_view bytes) {
  if (!status_ || WriteAll(part.file.get(), bytes)) return;
  status_ = SystemError("write", part.path, errno);
}

void OutputFile::Append(std::string_view bytes) { Write(first_, bytes); }

void OutputFile::AppendLast(std::string_view bytes) {
  if (!last_) last_ = Open("err");
  Write(*last_, bytes);
}

void OutputFile::Replace(std::string_view text) {
  if (!status_) return;
  if (::ftruncate(first_.file.get(), 0) != 0 || ::lseek(first_.file.get(), 0, SEEK_SET) != 0) {
    status_ = SystemError("write", first_.path, errno);
  }
  if (last_) {
    ::unlink(last_->path.c_str());
    last_.reset();
  }
  Write(first_, text);
}

void OutputFile::Copy(Part& from, Part& to) {
  ::lseek(from.file.get(), 0, SEEK_SET);
  std::string chunk(65536, '\0');
  while (status_) {
    const ssize_t n = ::read(from.file.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status_ = SystemError("read", from.path, errno);
    if (n <= 0) return;
    Write(to, std::string_view(chunk).substr(0, static_cast<std::size_t>(n)));
  }
}

Status OutputFile::Publish() {
  if (status_ && last_) {
    Copy(*last_, first_);
    ::unlink(last_->path.c_str());
    last_.reset();
  }
  if (status_ && ::access(first_.path.c_str(), F_OK) != 0) {
    // The task has removed the directory and perhaps made it anew.
    Part again = Open("out");
    if (status_) Copy(first_, again);
    first_ = std::move(again);
  }
  if (status_ && ::fsync(first_.file.get()) != 0) {
    status_ = SystemError("sync", first_.path, errno);
  }
  if (status_ && ::rename(first_.path.c_str(), path_.c_str()) != 0) {
    status_ = SystemError("write", path_, errno);
  }
  if (!status_) return status_;
  first_.file.Close();
  return SyncDirectory(path_.parent_path());
}

}  // namespace troupe
