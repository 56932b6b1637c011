#include "protocol/key_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "protocol/access.h"
#include "tests/storage/temporary_directory.h"

namespace troupe {
namespace {

using testing::HasSubstr;

class KeyFiles : public testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(file) << text; }
  std::string ErrorOfSecret() const {
    const Result<KeyPair> key = ReadSecretKeyFile(file);
    return key ? "accepted" : key.error().message;
  }
  mode_t ModeOf(const std::string& path) const {
    struct stat about {};
    return stat(path.c_str(), &about) == 0 ? about.st_mode & 07777 : 0;
  }

  TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "w1.key";
};

TEST_F(KeyFiles, ArePairsThatBelongTogether) {
  const Result<std::string> made = WriteNewKeyFiles(file, "w1");
  ASSERT_TRUE(made) << made.error().message;

  const Result<KeyPair> secret = ReadSecretKeyFile(file);
  const Result<std::string> shared = ReadPublicKeyFile(file.string() + ".pub");

  ASSERT_TRUE(secret) << secret.error().message;
  ASSERT_TRUE(shared) << shared.error().message;
  EXPECT_EQ(secret->public_key, *made);
  EXPECT_EQ(*shared, *made);
  EXPECT_TRUE(IsKey(*made));
  EXPECT_NE(secret->secret_key, *made);
  EXPECT_EQ(ModeOf(file), 0600u);
  EXPECT_EQ(ModeOf(file.string() + ".pub"), 0644u);
}

TEST_F(KeyFiles, AreNeverOverwritten) {
  ASSERT_TRUE(WriteNewKeyFiles(file, "w1"));

  const Result<std::string> again = WriteNewKeyFiles(file, "w1");

  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("exists; remove it first"));
}

TEST_F(KeyFiles, AreRefusedWhenOthersMayReadTheSecret) {
  ASSERT_TRUE(WriteNewKeyFiles(file, "w1"));
  for (const mode_t mode : {0640u, 0604u, 0620u}) {
    chmod(file.c_str(), mode);

    EXPECT_THAT(ErrorOfSecret(), HasSubstr("chmod 600 " + file.string()));
  }
  chmod(file.c_str(), 0400);
  EXPECT_EQ(ErrorOfSecret(), "accepted");
}

TEST_F(KeyFiles, AreRefusedWhenTheyHoldSomethingElse) {
  EXPECT_THAT(ErrorOfSecret(), HasSubstr("No such file"));
  Write("secret\n");
  chmod(file.c_str(), 0600);
  EXPECT_THAT(ErrorOfSecret(), HasSubstr("one key of 40 characters"));
  Write("# only a comment\n");
  EXPECT_THAT(ErrorOfSecret(), HasSubstr("it holds no key"));
  const std::string key(40, '0');
  Write(key + "\n" + key + "\n");
  EXPECT_THAT(ErrorOfSecret(), HasSubstr("one key"));
  EXPECT_FALSE(ReadPublicKeyFile(directory.path()));
}

}  // namespace
}  // namespace troupe
