// What the daemons look at before they start: programs, and the file of authorised keys.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "cli/access_file.h"
#include "cli/host_name.h"
#include "cli/providers.h"
#include "tests/storage/temporary_directory.h"

namespace troupe {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kKey(40, '0');

class ProvidersTest : public testing::Test {
 protected:
  std::string AddProgram(const std::string& name, mode_t mode = 0755) {
    std::string file = directory.path() / name;
    std::ofstream(file) << "#!/bin/sh\n";
    chmod(file.c_str(), mode);
    return file;
  }

  TemporaryDirectory directory;
  WorkerConfig config;
};

TEST_F(ProvidersTest, OfferClaudeOnlyWhereItIs) {
  const OfferedProviders none = FindProviders(config, "/nonexistent:" + directory.path().string());
  EXPECT_THAT(none.names, ElementsAre("command", "mock"));
  EXPECT_THAT(none.missing, ElementsAre(HasSubstr("no program \"claude\" on PATH")));
  const std::string program = AddProgram("claude");

  const OfferedProviders found = FindProviders(config, "/nonexistent:" + directory.path().string());

  EXPECT_THAT(found.names, ElementsAre("command", "mock", "claude"));
  EXPECT_EQ(found.claude, program);
  EXPECT_THAT(found.missing, IsEmpty());
}

TEST_F(ProvidersTest, OfferOnlyWhatTheConfigurationNames) {
  AddProgram("claude");
  config.all_providers = false;
  config.providers = {{"command", {}}};

  EXPECT_THAT(FindProviders(config, directory.path()).names, ElementsAre("command"));
}

TEST_F(ProvidersTest, TakeTheProgramThatIsNamed) {
  config.all_providers = false;
  config.providers = {{"claude", {.program = AddProgram("claude-2")}}};
  EXPECT_EQ(FindProviders(config, "").claude, directory.path() / "claude-2");
  config.providers = {{"claude", {.program = AddProgram("no-program", 0644)}}};

  const OfferedProviders broken = FindProviders(config, "");

  EXPECT_THAT(broken.names, IsEmpty());
  EXPECT_THAT(broken.missing, ElementsAre(HasSubstr("no-program is no program")));
}

class AccessFileTest : public testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(path) << text; }

  TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "keys";
  AccessFile file{path};
};

TEST_F(AccessFileTest, NoticesEveryChange) {
  Write("");
  ASSERT_TRUE(file.Read());
  EXPECT_FALSE(file.HasChanged());
  Write("viewer wall " + kKey + "\n");
  EXPECT_TRUE(file.HasChanged());

  const Result<AccessList> list = file.Read();

  ASSERT_TRUE(list);
  EXPECT_EQ(list->Keys().size(), 1u);
  EXPECT_FALSE(file.HasChanged());
  std::filesystem::remove(path);
  EXPECT_TRUE(file.HasChanged());
  EXPECT_FALSE(file.Read());
  EXPECT_FALSE(file.HasChanged());  // A broken file is told of once.
}

TEST_F(AccessFileTest, NamesFileAndLineOfAProblem) {
  Write("worker w1 " + kKey + "\nnonsense\n");

  const Result<AccessList> list = file.Read();

  ASSERT_FALSE(list);
  EXPECT_THAT(list.error().message, HasSubstr(path.string() + ": line 2: "));
}

TEST_F(AccessFileTest, IsRefusedWhenOthersMayWriteIt) {
  Write("");
  chmod(path.c_str(), 0666);

  const Result<AccessList> list = file.Read();

  ASSERT_FALSE(list);
  EXPECT_THAT(list.error().message, HasSubstr("chmod 644 " + path.string()));
}

TEST(HostName, CanBeAWorkersName) { EXPECT_TRUE(IsWorkerName(HostName())); }

}  // namespace
}  // namespace troupe
