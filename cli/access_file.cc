#include "cli/access_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "cli/read_file.h"

namespace troupe {

AccessFile::Mark AccessFile::Look() const {
  struct stat about {};
  if (stat(path_.c_str(), &about) != 0) return {};
  return {about.st_ino, about.st_size,
          std::int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec};
}

bool AccessFile::HasChanged() const { return !(Look() == mark_); }

Result<AccessList> AccessFile::Read() {
  mark_ = Look();
  struct stat about {};
  if (stat(path_.c_str(), &about) == 0 && (about.st_mode & 022) != 0) {
    return Error{ErrorCode::Invalid,
                 fmt::format("others may write {}; whoever can write it can let anybody in: chmod "
                             "644 {}",
                             path_.string(), path_.string())};
  }
  const Result<std::string> text = ReadWorkflowFile(path_.string());
  if (!text) return text.error();
  Result<AccessList> list = AccessList::Parse(*text);
  if (list) return list;
  return Error{ErrorCode::Invalid, fmt::format("{}: {}", path_.string(), list.error().message)};
}

}  // namespace troupe
