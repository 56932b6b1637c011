#include "worker/attendant/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

namespace troupe {
namespace {

using testing::HasSubstr;

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "troupe-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~FilesTest() override { std::filesystem::remove_all(root_); }

  std::filesystem::path root_;
};

TEST_F(FilesTest, ReadsFilesOfAnySizeUpToTheLimit) {
  for (const std::size_t size :
       std::initializer_list<std::size_t>{0, 1, 4095, 4096, 4097, 100'000}) {
    const std::string text(size, 'x');
    ASSERT_TRUE(WriteFile(root_ / "f", text).has_value());
    EXPECT_EQ(ReadWholeFile(root_ / "f", size).value(), text);
    if (size == 0) continue;
    const Result<std::string> refused = ReadWholeFile(root_ / "f", size - 1);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::Invalid);
    EXPECT_THAT(refused.error().message, HasSubstr("holds more than"));
  }
  EXPECT_EQ(ReadWholeFile(root_ / "none", 1).error().code, ErrorCode::NotFound);
}

TEST_F(FilesTest, ReadsWhatHasNoSize) {
  EXPECT_THAT(ReadWholeFile("/proc/self/status", 65'536).value(), HasSubstr("Threads:"));
  EXPECT_EQ(ReadWholeFile("/proc/self/status", 10).error().code, ErrorCode::Invalid);
}

TEST_F(FilesTest, ReadsNothingThatIsNoFile) {
  ASSERT_EQ(::mkfifo((root_ / "pipe").c_str(), 0600), 0);

  EXPECT_EQ(ReadWholeFile(root_ / "pipe", 10).error().code, ErrorCode::Invalid);
  EXPECT_EQ(ReadWholeFile(root_, 10).error().code, ErrorCode::Invalid);
}

// It would take a terabyte.
TEST_F(FilesTest, AllocatesNothingForAFileThatIsTooLong) {
  ASSERT_TRUE(WriteFile(root_ / "f", "").has_value());
  std::filesystem::resize_file(root_ / "f", std::uintmax_t{1} << 40);

  EXPECT_EQ(ReadWholeFile(root_ / "f", 1 << 20).error().code, ErrorCode::Invalid);
}

TEST_F(FilesTest, RemovesATreeWithMoreThanWhatIsLikely) {
  std::filesystem::create_directories(root_ / "t" / "d" / "deep");
  std::filesystem::create_directories(root_ / "t" / "empty");
  for (const char* name : {"f", "other"}) std::ofstream(root_ / "t" / name) << "x";

  EXPECT_TRUE(RemoveTree(root_ / "t", {"f", "empty", "d", "missing"}).has_value());

  EXPECT_FALSE(std::filesystem::exists(root_ / "t"));
  EXPECT_TRUE(RemoveTree(root_ / "t", {"f"}).has_value()) << "there is none";
}

TEST_F(FilesTest, OfALinkInPlaceOfATreeOnlyTheLinkGoes) {
  std::filesystem::create_directory(root_ / "elsewhere");
  std::ofstream(root_ / "elsewhere" / "f") << "x";
  std::filesystem::create_directory_symlink(root_ / "elsewhere", root_ / "t");

  EXPECT_TRUE(RemoveTree(root_ / "t", {"f"}).has_value());

  EXPECT_FALSE(std::filesystem::is_symlink(root_ / "t"));
  EXPECT_TRUE(std::filesystem::exists(root_ / "elsewhere" / "f"));
}

}  // namespace
}  // namespace troupe
