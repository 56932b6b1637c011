#include "worker/attendant/collection_protocol.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "worker/attendant/collection.h"
#include "worker/attendant/command_protocol.h"
#include "worker/attendant/files.h"

namespace troupe {
namespace {

// As an agent would say it: sysexits.h.
constexpr int kDataError = 65;
constexpr int kIoError = 74;

int Fail(int code, const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  return code;
}

// The same file would be refused the next time.
bool IsOfTheFile(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case ELOOP:
    case ENAMETOOLONG:
      return true;
    default:
      return false;
  }
}

}  // namespace

int ReadCollection(std::string_view format, const std::string& path, const std::string& result) {
  const auto word = std::find(kCollectionFormats.begin(), kCollectionFormats.end(), format);
  if (word == kCollectionFormats.end()) return Fail(kDataError, "no such format");
  if (::access(path.c_str(), R_OK) != 0) {
    const int error_number = errno;
    return Fail(IsOfTheFile(error_number) ? kDataError : kIoError,
                SystemError("read", path, error_number).message);
  }
  const Result<std::string> text = ReadWholeFile(path, kCollectionBytesMax);
  if (!text) {
    return Fail(text.error().code == ErrorCode::Invalid ? kDataError : kIoError,
                text.error().message);
  }
  const Result<std::string> items =
      CollectionItems(*text, static_cast<CollectionFormat>(word - kCollectionFormats.begin()));
  if (!items) return Fail(kDataError, fmt::format("{}: {}", path, items.error().message));
  const Status written = WriteFile(result, *items);
  return written ? 0 : Fail(kIoError, written.error().message);
}

void CollectionProtocol::Read(std::string_view, std::vector<AgentEvent>&) {}

Verdict CollectionProtocol::Conclude(const Ending& ending) {
  Verdict verdict;
  verdict.text = "";
  const bool ended_well = ending.process.signal == 0 && ending.process.exit_code == 0;
  if (ended_well && ending.result_file) {
    verdict.result_json = *ending.result_file;
    return verdict;
  }
  verdict.failure = ending.process.signal != 0               ? FailureClass::Crashed
                    : ending.process.exit_code == kDataError ? FailureClass::InvalidRequest
                                                             : FailureClass::Transient;
  verdict.message = ending.last_error_line;
  if (ended_well) verdict.message = ending.result_file_problem;
  if (verdict.message.empty()) verdict.message = DescribeEnd(ending.process, "");
  return verdict;
}

}  // namespace troupe
