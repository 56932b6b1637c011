// What the processes of an attempt print: kept within bounds, in memory and on disk.
//
// Nothing here fails: a log that cannot be written is cut short, an output that does not fit says
// how much of it is missing. The file of a task's `output`, which may fail, is output_file.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/attempt.h"
#include "worker/attendant/files.h"
#include "worker/attendant/utf8.h"

namespace troupe {

inline constexpr std::uint64_t kSpooledBytesMax = std::uint64_t{64} << 20;  // Per stream.
// Of each of an attempt's limits: an outcome may hold it twice, and must fit a frame.
inline constexpr std::uint64_t kKeptBytesMax = std::uint64_t{16} << 20;
inline constexpr std::size_t kWholeBytesMax = std::size_t{16} << 20;
inline constexpr std::size_t kResultBytesMax = std::size_t{1} << 20;

// Keeps the beginning, the end or both of a text that may be of any length. Newlines at its very
// end are held apart.
class TextKeeper {
 public:
  TextKeeper(std::uint64_t bytes_max, Truncation truncation);

  // Valid UTF-8, cut between characters.
  void Append(std::string_view text);

  // Bytes so far, without the newlines at the end.
  std::uint64_t total() const { return total_; }
  const std::string& newlines_at_end() const { return held_; }

  // The text, if it is not longer than `bytes_max`; else what is kept of that many bytes, with
  // "[... 1234 bytes left out ...]" in the gap. `bytes_max` is at most that of the constructor.
  std::string Text(std::uint64_t bytes_max) const;

 private:
  void Keep(std::string_view text);

  Truncation truncation_;
  std::uint64_t head_max_;
  std::uint64_t tail_max_;
  std::uint64_t total_ = 0;
  std::string head_;  // The first head_max_ bytes, and
  std::string tail_;  // of what follows the last tail_max_ bytes, or more.
  std::string held_;
};

// Whether a whole stream is kept beside what the limits leave of it: to be read as JSON.
enum class KeepWhole { Never, IfItMayBeJson, Always };

class StreamCapture {
 public:
  // `spool`: the file the raw bytes are appended to as they come, up to kSpooledBytesMax. Made when
  // the first of them comes.
  StreamCapture(std::filesystem::path spool, std::uint64_t bytes_max, Truncation truncation,
                KeepWhole keep_whole);

  void Append(std::string_view bytes);
  void Finish();

  const TextKeeper& kept() const { return kept_; }
  // None if it was not to be kept, or had more than kWholeBytesMax.
  std::optional<std::string_view> whole() const;
  // At most 1,000 bytes of the last line that is not blank.
  const std::string& last_line() const { return last_line_; }

 private:
  void Spool(std::string_view bytes);
  void Take(std::string_view text);
  void TakeLine();

  std::filesystem::path spool_path_;
  Fd spool_;
  std::uint64_t spool_left_ = kSpooledBytesMax;
  Utf8Filter filter_;
  TextKeeper kept_;
  KeepWhole keep_whole_;
  std::string whole_;
  std::string line_;
  std::string last_line_;
};

// Limits that are higher than kKeptBytesMax are that.
OutputLimits Bounded(OutputLimits limits);

// Both outputs of an attempt as they are reported. `text`: what the agent said, if that is not its
// standard output.
struct CutOutput {
  std::string output = "";
  std::string error_output = "";
};
CutOutput CutToLimits(const AttemptSpec& spec, const std::optional<std::string>& text,
                      const StreamCapture& standard_output, const StreamCapture& standard_error);

}  // namespace troupe
