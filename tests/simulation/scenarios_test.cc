// The stories of tests/scenarios, each an event a line and under it what the cores do (scenario.h).
//
//     scenarios_test --rewrite [--gtest_filter=*NAME*]
//
// writes into the files what the cores do now. Read the difference before you commit it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/simulation/scenario.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

bool g_rewrite = false;

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(TROUPE_SCENARIOS)) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class Scenarios : public testing::TestWithParam<std::string> {};

TEST_P(Scenarios, HappenAsTheyAreTold) {
  const std::string path = std::string(TROUPE_SCENARIOS) + "/" + GetParam() + ".txt";
  std::ostringstream told;
  told << std::ifstream(path).rdbuf();

  const Result<std::string> played = PlayScenario(told.str());

  ASSERT_TRUE(played) << path << ":" << played.error().message;
  EXPECT_EQ(played->find("    BROKEN"), std::string::npos) << *played;
  if (g_rewrite) {
    std::ofstream(path) << *played;
    return;
  }
  const std::vector<std::string> expected = LinesOf(told.str());
  const std::vector<std::string> actual = LinesOf(*played);
  const auto [e, a] = std::mismatch(expected.begin(), expected.end(), actual.begin(), actual.end());
  if (e == expected.end() && a == actual.end()) return;
  const auto line = e - expected.begin();
  const auto part = [&](const std::vector<std::string>& lines) {
    std::string text;
    for (auto i = std::max<std::ptrdiff_t>(line - 3, 0); i < line + 6; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (at < lines.size()) text += (i == line ? "  > " : "    ") + lines[at] + "\n";
    }
    return text;
  };
  ADD_FAILURE_AT(path.c_str(), static_cast<int>(line) + 1)
      << "told:\n"
      << part(expected) << "happened:\n"
      << part(actual) << "if that is right: scenarios_test --rewrite --gtest_filter=*/"
      << GetParam();
}

INSTANTIATE_TEST_SUITE_P(All, Scenarios, testing::ValuesIn(Names()),
                         [](const auto& parameter) { return std::string(parameter.param); });

}  // namespace
}  // namespace troupe

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  troupe::g_rewrite = argc > 1 && std::string(argv[1]) == "--rewrite";
  return RUN_ALL_TESTS();
}
