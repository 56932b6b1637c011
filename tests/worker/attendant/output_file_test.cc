#include "worker/attendant/output_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <sstream>

namespace troupe {
namespace {

class OutputFileTest : public testing::Test {
 protected:
  OutputFileTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "troupe-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~OutputFileTest() override { std::filesystem::remove_all(directory_); }

  std::string Read(const std::filesystem::path& path) const {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::size_t Files(const std::filesystem::path& directory) const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) {
      ++count;
    }
    return count;
  }

  std::filesystem::path directory_;
};

TEST_F(OutputFileTest, AppearsWholeAndWithItsParents) {
  const std::filesystem::path path = directory_ / "a" / "b" / "out.txt";
  {
    OutputFile file(path, "1");
    file.Append("one\n");
    file.AppendLast("errors\n");
    file.Append(std::string("\0\xFF", 2));
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_TRUE(file.Publish().has_value());
  }

  EXPECT_EQ(Read(path), std::string("one\n\0\xFF"
                                    "errors\n",
                                    13));
  EXPECT_EQ(Files(path.parent_path()), 1U);
}

TEST_F(OutputFileTest, AppearsEmpty) {
  OutputFile file(directory_ / "out", "1");

  EXPECT_TRUE(file.Publish().has_value());

  EXPECT_TRUE(std::filesystem::exists(directory_ / "out"));
}

TEST_F(OutputFileTest, LeavesTheOldFileUnlessItIsPublished) {
  std::ofstream(directory_ / "out") << "old";
  {
    OutputFile file(directory_ / "out", "1");
    file.Append("new");
    file.AppendLast("new");
  }

  EXPECT_EQ(Read(directory_ / "out"), "old");
  EXPECT_EQ(Files(directory_), 1U);
}

TEST_F(OutputFileTest, ReplacesAllThatWasAppended) {
  OutputFile file(directory_ / "out", "1");
  file.Append("a long text");
  file.AppendLast("errors");
  file.Replace("short");

  EXPECT_TRUE(file.Publish().has_value());

  EXPECT_EQ(Read(directory_ / "out"), "short");
  EXPECT_EQ(Files(directory_), 1U);
}

TEST_F(OutputFileTest, SurvivesTheRemovalOfItsDirectory) {
  OutputFile file(directory_ / "made" / "out", "1");
  file.Append("text");
  file.AppendLast(" and errors");
  std::filesystem::remove_all(directory_ / "made");

  EXPECT_TRUE(file.Publish().has_value());

  EXPECT_EQ(Read(directory_ / "made" / "out"), "text and errors");
}

TEST_F(OutputFileTest, SaysWhyItCannotBeWritten) {
  std::ofstream(directory_ / "file") << "";
  OutputFile below_a_file(directory_ / "file" / "out", "1");
  OutputFile a_directory(directory_, "1");

  EXPECT_FALSE(below_a_file.status().has_value());
  EXPECT_FALSE(below_a_file.Publish().has_value());
  EXPECT_TRUE(a_directory.status().has_value());
  const Status published = a_directory.Publish();
  ASSERT_FALSE(published.has_value());
  EXPECT_NE(published.error().message.find(directory_.string()), std::string::npos);
}

}  // namespace
}  // namespace troupe
