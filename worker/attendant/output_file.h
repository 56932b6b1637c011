// The file of a task's `output`: all of it, byte for byte, or the file that was there before.
//
// The bytes go to a temporary file beside the destination as they come; Publish gives it its name.
// A failure is remembered and told by Publish. Without Publish nothing is left behind.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "worker/attendant/files.h"

namespace troupe {

class OutputFile {
 public:
  // Makes the parents of `path`. `unique`: a word for the names of the temporary files.
  OutputFile(std::filesystem::path path, std::string unique);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  void Append(std::string_view bytes);
  // Comes after all that is appended, whenever that arrives.
  void AppendLast(std::string_view bytes);
  // This in place of everything else.
  void Replace(std::string_view text);

  // Why the file cannot be written, as far as is known yet.
  const Status& status() const { return status_; }
  // Whole, durable and under its name.
  Status Publish();

 private:
  struct Part {
    std::filesystem::path path;
    Fd file;
  };
  Part Open(std::string_view suffix);
  void Write(Part& part, std::string_view bytes);
  void Copy(Part& from, Part& to);

  std::filesystem::path path_;
  std::string unique_;
  Status status_;
  Part first_;
  std::optional<Part> last_;
};

}  // namespace troupe
