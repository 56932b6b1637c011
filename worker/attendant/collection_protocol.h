// An attempt that reads a loop's file: the attendant's own program does it as the attempt's
// process. A file system that hangs then hangs that process, and the attempt ends as any other
// whose time is over.
//
// The process writes the list of the items to TROUPE_RESULT_FILE and ends with 0; or it says what
// is wrong on standard error and ends with one of two exit codes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/attendant/agent_protocol.h"

namespace troupe {

// The process: its exit code. `format` is a word of the language, `path` and `result` are absolute.
int ReadCollection(std::string_view format, const std::string& path, const std::string& result);

// The attendant's side. Does not look into the list again.
class CollectionProtocol : public AgentProtocol {
 public:
  void Read(std::string_view bytes, std::vector<AgentEvent>& events) override;
  Verdict Conclude(const Ending& ending) override;
};

}  // namespace troupe
