#include "worker/attendant/output_capture.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>

namespace troupe {
namespace {

std::string Kept(const std::string& text, std::uint64_t bytes_max, Truncation truncation,
                 std::size_t piece = 1000) {
  TextKeeper keeper(bytes_max, truncation);
  for (std::size_t at = 0; at < text.size(); at += piece) keeper.Append(text.substr(at, piece));
  return keeper.Text(bytes_max);
}

TEST(TextKeeper, KeepsTheEndThatIsAskedFor) {
  EXPECT_EQ(Kept("0123456789", 10, Truncation::Tail), "0123456789");
  EXPECT_EQ(Kept("0123456789", 4, Truncation::Head), "0123[... 6 bytes left out ...]");
  EXPECT_EQ(Kept("0123456789", 4, Truncation::Tail), "[... 6 bytes left out ...]6789");
  EXPECT_EQ(Kept("0123456789", 4, Truncation::Both), "01[... 6 bytes left out ...]89");
  EXPECT_EQ(Kept("0123456789", 0, Truncation::Both), "[... 10 bytes left out ...]");
  EXPECT_EQ(Kept("", 0, Truncation::Both), "");
}

TEST(TextKeeper, DropsNewlinesAtTheEndOnly) {
  EXPECT_EQ(Kept("a\n\nb\r\n\n", 4, Truncation::Tail), "a\n\nb");
  EXPECT_EQ(Kept("a\n\nb\r\n\n", 4, Truncation::Tail, 1), "a\n\nb");
  EXPECT_EQ(Kept("\n\n", 4, Truncation::Tail), "");
}

TEST(TextKeeper, CutsBetweenCharacters) {
  const std::string text = "\u20AC\u20AC\u20AC\u20AC";

  EXPECT_EQ(Kept(text, 4, Truncation::Head), "\u20AC[... 9 bytes left out ...]");
  EXPECT_EQ(Kept(text, 5, Truncation::Tail), "[... 9 bytes left out ...]\u20AC");
  EXPECT_EQ(Kept(text, 8, Truncation::Both), "\u20AC[... 6 bytes left out ...]\u20AC");
}

// The same by the book: all of it in memory, then cut.
std::string Expected(const std::string& text, std::uint64_t max, Truncation truncation) {
  if (text.size() <= max) return text;
  const std::uint64_t head = truncation == Truncation::Head   ? max
                             : truncation == Truncation::Both ? max / 2
                                                              : 0;
  const std::string_view front = Front(text, head);
  const std::string_view back = Back(text, max - head);
  std::ostringstream out;
  out << front << "[... " << text.size() - front.size() - back.size() << " bytes left out ...]"
      << back;
  return out.str();
}

TEST(TextKeeper, DoesNotCareInWhatPiecesItComes) {
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (std::size_t n = random() % 60; n > 0; --n) text += random() % 3 == 0 ? "\u20AC" : "x";
    const std::uint64_t own_max = random() % 80;
    const std::uint64_t max = own_max == 0 ? 0 : random() % (own_max + 1);
    const auto truncation = static_cast<Truncation>(random() % 3);
    TextKeeper keeper(own_max, truncation);
    for (std::size_t at = 0; at < text.size();) {
      const std::string_view piece = Front(std::string_view(text).substr(at), 3 + random() % 20);
      keeper.Append(piece);
      at += piece.size();
    }

    EXPECT_EQ(keeper.Text(max), Expected(text, max, truncation)) << text << " " << max;
    EXPECT_EQ(keeper.total(), text.size());
  }
}

class StreamCaptureTest : public testing::Test {
 protected:
  StreamCaptureTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "troupe-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~StreamCaptureTest() override { std::filesystem::remove_all(directory_); }

  StreamCapture Capture(std::uint64_t bytes_max = 1000, KeepWhole whole = KeepWhole::Never) {
    return {directory_ / "stream", bytes_max, Truncation::Tail, whole};
  }
  // Two streams that have printed this, as the outcome reports them.
  CutOutput Cut(const AttemptSpec& spec, const std::string& out, const std::string& err,
                const std::optional<std::string>& text = {}) {
    const OutputLimits& limits = spec.limits;
    StreamCapture first(directory_ / "out", limits.stdout_bytes, limits.truncation,
                        KeepWhole::Never);
    StreamCapture second(directory_ / "err", limits.stderr_bytes, limits.truncation,
                         KeepWhole::Never);
    first.Append(out);
    second.Append(err);
    return CutToLimits(spec, text, first, second);
  }

  std::filesystem::path directory_;
};

TEST_F(StreamCaptureTest, SpoolsTheRawBytesAndKeepsValidText) {
  StreamCapture capture = Capture();
  capture.Append("a\xFF");
  capture.Append("\xE2\x82");
  capture.Append("\xAC\n");
  capture.Finish();

  std::ifstream file(directory_ / "stream");
  std::ostringstream raw;
  raw << file.rdbuf();
  EXPECT_EQ(raw.str(), "a\xFF\xE2\x82\xAC\n");
  EXPECT_EQ(capture.kept().Text(1000), "a\uFFFD\u20AC");
}

TEST_F(StreamCaptureTest, StopsSpoolingAtTheCapAndReadsOn) {
  StreamCapture capture = Capture(4);
  const std::string mebibyte(1 << 20, 'x');
  for (int i = 0; i < 65; ++i) capture.Append(mebibyte);
  capture.Append("end!");
  capture.Finish();

  EXPECT_EQ(std::filesystem::file_size(directory_ / "stream"), kSpooledBytesMax);
  EXPECT_EQ(capture.kept().Text(4), "[... 68157440 bytes left out ...]end!");
}

TEST_F(StreamCaptureTest, SurvivesADiskThatIsFull) {
  std::filesystem::create_symlink("/dev/full", directory_ / "stream");
  StreamCapture capture = Capture();
  capture.Append("text");
  capture.Finish();

  EXPECT_EQ(capture.kept().Text(1000), "text");
}

TEST_F(StreamCaptureTest, RemembersTheLastLineThatIsNotBlank) {
  StreamCapture capture = Capture();
  capture.Append("first\n  the la");
  capture.Append("st one \r\n\n \t\n");
  EXPECT_EQ(capture.last_line(), "the last one");

  capture.Append("unfinished");
  capture.Finish();
  EXPECT_EQ(capture.last_line(), "unfinished");
}

TEST_F(StreamCaptureTest, BoundsTheLastLine) {
  StreamCapture capture = Capture();
  for (int i = 0; i < 3000; ++i) capture.Append("\u20AC");
  capture.Finish();

  EXPECT_EQ(capture.last_line().size(), 999U);
}

TEST_F(StreamCaptureTest, KeepsTheWholeOnlyOfWhatMayBeJson) {
  StreamCapture json = Capture(2, KeepWhole::IfItMayBeJson);
  StreamCapture text = Capture(2, KeepWhole::IfItMayBeJson);
  json.Append("\n {\"a\":");
  json.Append("1}\n");
  text.Append(" text {}");

  EXPECT_EQ(json.whole(), "\n {\"a\":1}\n");
  EXPECT_EQ(text.whole(), std::nullopt);
}

TEST_F(StreamCaptureTest, KeepsNoWholeBeyondItsBound) {
  StreamCapture capture = Capture(2, KeepWhole::Always);
  capture.Append("[");
  capture.Append(std::string(kWholeBytesMax, '1'));

  EXPECT_EQ(capture.whole(), std::nullopt);
}

TEST_F(StreamCaptureTest, CutsStandardErrorFirst) {
  AttemptSpec spec;
  spec.limits = {
      .stdout_bytes = 6, .stderr_bytes = 6, .combined_bytes = 8, .truncation = Truncation::Head};

  const CutOutput both = Cut(spec, "012345", "abcdef");
  EXPECT_EQ(both.output, "012345");
  EXPECT_EQ(both.error_output, "ab[... 4 bytes left out ...]");

  const CutOutput little = Cut(spec, "01", "abcdef");
  EXPECT_EQ(little.error_output, "abcdef");

  spec.limits.combined_bytes = 3;
  const CutOutput none = Cut(spec, "012345", "abcdef");
  EXPECT_EQ(none.output, "012[... 3 bytes left out ...]");
  EXPECT_EQ(none.error_output, "[... 6 bytes left out ...]");
}

TEST_F(StreamCaptureTest, PutsStandardErrorBehindTheOutputIfAsked) {
  AttemptSpec spec;
  EXPECT_EQ(Cut(spec, "out\n", "err\n").output, "out");

  spec.capture_stderr = true;
  EXPECT_EQ(Cut(spec, "out\n", "err\n").output, "out\nerr");
  EXPECT_EQ(Cut(spec, "out\n", "").output, "out");
  EXPECT_EQ(Cut(spec, "out\n", "err\n", "said\n").output, "said") << "an agent's text is all";

  spec.capture_stdout = false;
  EXPECT_EQ(Cut(spec, "out\n", "err\n").output, "err");
}

}  // namespace
}  // namespace troupe
