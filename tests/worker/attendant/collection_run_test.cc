// Files that loops go over, read by the real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/worker/attendant/attempt_fixture.h"
#include "worker/attendant/collection.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;

class CollectionRun : public AttemptFixture {
 protected:
  AttemptSpec Reading(const std::string& path, CollectionFormat format) {
    AttemptSpec spec = ShellCommand("");
    spec.kind = RunnerKind::Collection;
    spec.shell = false;
    spec.argv.clear();
    spec.script_file = path;
    spec.collection_format = format;
    return spec;
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(InRunDirectory(name)) << text;
  }
};

TEST_F(CollectionRun, GivesTheItemsAsResult) {
  Write("data.csv", "name,size\na b,1\n");
  const AttemptSpec spec = Reading("./data.csv", CollectionFormat::Csv);

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.id, spec.id);
  EXPECT_EQ(outcome.failure, std::nullopt);
  EXPECT_EQ(outcome.message, "");
  EXPECT_EQ(outcome.output, "");
  EXPECT_EQ(outcome.result_json, R"([{"name":"a b","size":"1"}])");
  EXPECT_TRUE(PrivateFilesLeft().empty());
}

TEST_F(CollectionRun, IsNotHeldToTheBoundOfOtherResults) {
  const std::string text(kCollectionBytesMax - 4, '"');
  Write("most", text.substr(0, text.size() / 2));

  const AttemptOutcome outcome = Run(Reading("most", CollectionFormat::Lines));

  EXPECT_EQ(outcome.failure, std::nullopt);
  EXPECT_EQ(outcome.result_json.size(), kCollectionBytesMax) << "each quote has its backslash";
}

TEST_F(CollectionRun, SaysWhatIsWrongAndWhere) {
  Write("bad.jsonl", "1\n{]\n");
  Write("secret", "1\n");
  ::mkfifo(InRunDirectory("pipe").c_str(), 0600);
  Write("long", std::string(kCollectionBytesMax + 1, 'x'));
  struct Case {
    std::string path;
    std::string message;
  };
  for (const auto& [path, message] :
       std::vector<Case>{{"bad.jsonl", "/bad.jsonl: line 2: not JSON: syntax error"},
                         {"missing", "/missing: No such file or directory"},
                         {"secret/x", "/secret/x: Not a directory"},
                         {".", "is not a regular file"},
                         {"pipe", "/pipe is not a regular file"},
                         {"long", "/long holds more than 50331648 bytes"},
                         {std::string("a\0b", 3), "NUL byte"},
                         {std::string(300, 'x'), "File name too long"}}) {
    const AttemptOutcome outcome = Run(Reading(path, CollectionFormat::JsonLines));

    EXPECT_EQ(outcome.failure, FailureClass::InvalidRequest) << path;
    EXPECT_THAT(outcome.message, HasSubstr(message));
    EXPECT_EQ(outcome.result_json, "");
  }
}

TEST_F(CollectionRun, MayNotReadWhatItsUserMayNot) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  Write("secret", "1\n");
  ::chmod(InRunDirectory("secret").c_str(), 0);

  const AttemptOutcome outcome = Run(Reading("secret", CollectionFormat::Lines));

  EXPECT_EQ(outcome.failure, FailureClass::InvalidRequest);
  EXPECT_THAT(outcome.message, EndsWith("/secret: Permission denied"));
}

TEST_F(CollectionRun, SaysThatARunDirectoryIsMissing) {
  AttemptSpec spec = Reading("x", CollectionFormat::Lines);
  spec.run_dir += "/missing";

  EXPECT_EQ(Run(spec).failure, FailureClass::InvalidRequest);
}

// An error of the system, which may pass: the list finds no room.
TEST_F(CollectionRun, FailsForAWhileIfTheSystemDoes) {
  Write("lines", std::string(200'000, 'x') + "\n");
  const AttemptSpec spec = Reading("lines", CollectionFormat::Lines);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit little{100'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
  const pid_t attendant = Start(spec);  // It inherits the limit.
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(Wait(attendant), 0);

  const AttemptOutcome outcome = Outcome(spec);

  EXPECT_EQ(outcome.failure, FailureClass::Transient);
  EXPECT_THAT(outcome.message, HasSubstr("File too large"));
}

// The file takes far longer to read than there is time: as if its file system hung.
TEST_F(CollectionRun, CostsNoMoreThanItsTimeout) {
  std::string lines;
  while (lines.size() < kCollectionBytesMax - 1'000'000) {
    lines += "{\"a\": [" + std::string(400, ' ') + "1, 2, 3, \"" + std::string(400, 'x') + "\"]}\n";
  }
  Write("lines", lines);
  AttemptSpec spec = Reading("lines", CollectionFormat::JsonLines);
  spec.timeout = milliseconds(5);

  const AttemptOutcome outcome = Run(spec);

  EXPECT_EQ(outcome.failure, FailureClass::Timeout);
  EXPECT_EQ(outcome.message, "not done after 0.005 s");
  EXPECT_EQ(outcome.result_json, "");
}

}  // namespace
}  // namespace troupe
