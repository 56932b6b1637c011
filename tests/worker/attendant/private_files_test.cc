#include "worker/attendant/private_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "worker/attendant/files.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

class PrivateFilesTest : public testing::Test {
 protected:
  PrivateFilesTest() {
    std::string pattern = (fs::temp_directory_path() / "troupe-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~PrivateFilesTest() override { fs::remove_all(root_); }

  // The inode of the inputs, which says whether they were made anew.
  ino_t Inode(const fs::path& path) const {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
  }
  std::string Read(const fs::path& path) const {
    const Result<std::string> text = ReadWholeFile(path, 1000);
    return text ? *text : "-";
  }

  fs::path root_;
  Process self_{.pid = 7, .start_ticks = 8};
};

TEST_F(PrivateFilesTest, MakesTheTwoThatAllHave) {
  PrivateFiles files(root_, self_);
  EXPECT_TRUE(fs::is_empty(root_)) << "nothing before it is asked to";

  ASSERT_TRUE(files.Prepare("{}").has_value());

  EXPECT_EQ(files.path(), root_ / "private-7-8");
  EXPECT_EQ(fs::status(files.path()).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(files.path() / "artifacts").permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(files.path() / "inputs.json").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(Read(files.path() / "inputs.json"), "{}");
}

TEST_F(PrivateFilesTest, KeepsThemForTheNext) {
  PrivateFiles files(root_, self_);
  ASSERT_TRUE(files.Prepare("{}").has_value());
  const fs::path artifacts = files.path() / "artifacts";
  const ino_t before = Inode(artifacts);

  files.Clear();
  ASSERT_TRUE(files.Prepare("{\"a\":1}").has_value());

  EXPECT_EQ(Inode(artifacts), before);
  EXPECT_EQ(Read(files.path() / "inputs.json"), "{\"a\":1}");
}

TEST_F(PrivateFilesTest, EndsWithItsAttendant) {
  {
    PrivateFiles files(root_, self_);
    ASSERT_TRUE(files.Prepare("{}").has_value());
    std::ofstream(files.path() / "other") << "x";
  }
  EXPECT_TRUE(fs::is_empty(root_));
}

// Whatever one attempt does to them, the next finds what it would find in a directory of its own,
// and no file outside has changed.
TEST_F(PrivateFilesTest, ShowNothingOfAnAttemptToTheNext) {
  fs::create_directory(root_ / "outside");
  std::ofstream(root_ / "outside" / "file") << "outside";
  const std::map<std::string, std::function<void(const fs::path&)>> deeds = {
      {"a file", [](const fs::path& p) { std::ofstream(p / "new") << "x"; }},
      {"an artifact", [](const fs::path& p) { std::ofstream(p / "artifacts" / "new") << "x"; }},
      {"other inputs", [](const fs::path& p) { std::ofstream(p / "inputs.json") << "{1}"; }},
      {"no inputs", [](const fs::path& p) { fs::remove(p / "inputs.json"); }},
      {"no artifacts", [](const fs::path& p) { fs::remove(p / "artifacts"); }},
      {"nothing", [](const fs::path& p) { fs::remove_all(p); }},
      {"inputs for all", [](const fs::path& p) { ::chmod((p / "inputs.json").c_str(), 0666); }},
      {"inputs twice",
       [&](const fs::path& p) { fs::create_hard_link(p / "inputs.json", root_ / "mine"); }},
      {"linked inputs",
       [&](const fs::path& p) {
         fs::remove(p / "inputs.json");
         fs::create_symlink(root_ / "outside" / "file", p / "inputs.json");
       }},
      {"linked artifacts",
       [&](const fs::path& p) {
         fs::remove(p / "artifacts");
         fs::create_symlink(root_ / "outside", p / "artifacts");
       }},
  };
  for (const std::string next : {"{}", "{2}"}) {  // As the inputs before, and others.
    for (const auto& [name, deed] : deeds) {
      fs::remove(root_ / "mine");
      PrivateFiles files(root_, self_);
      ASSERT_TRUE(files.Prepare("{}").has_value());
      deed(files.path());

      files.Clear();
      ASSERT_TRUE(files.Prepare(next).has_value()) << name;

      const fs::path inputs = files.path() / "inputs.json";
      EXPECT_EQ(Read(inputs), next) << name;
      EXPECT_EQ(fs::hard_link_count(inputs), 1U) << name;
      EXPECT_FALSE(fs::is_symlink(inputs)) << name;
      EXPECT_EQ(fs::status(inputs).permissions(), fs::perms::owner_read | fs::perms::owner_write)
          << name;
      EXPECT_TRUE(fs::is_directory(files.path() / "artifacts")) << name;
      EXPECT_FALSE(fs::is_symlink(files.path() / "artifacts")) << name;
      EXPECT_TRUE(fs::is_empty(files.path() / "artifacts")) << name;
      EXPECT_EQ(std::distance(fs::directory_iterator(files.path()), {}), 2) << name;
      if (fs::exists(root_ / "mine")) {
        EXPECT_EQ(Read(root_ / "mine"), "{}") << name;
      }
    }
  }
  EXPECT_EQ(Read(root_ / "outside" / "file"), "outside");
}

TEST_F(PrivateFilesTest, KnowsThoseOfTheDead) {
  const Process self = FindProcess(::getpid()).value();
  const auto name = [](pid_t pid, std::uint64_t ticks) {
    return "private-" + std::to_string(pid) + "-" + std::to_string(ticks);
  };
  EXPECT_FALSE(IsLeftPrivate(name(self.pid, self.start_ticks)));
  EXPECT_TRUE(IsLeftPrivate(name(self.pid, self.start_ticks + 1)));
  EXPECT_TRUE(IsLeftPrivate(name(0x7FFFFFF, 1)));
  for (const char* other : {"home", "private-", "private-1", "private-0x7-1", "private-7-8x"}) {
    EXPECT_FALSE(IsLeftPrivate(other)) << other;
  }
}

}  // namespace
}  // namespace troupe
