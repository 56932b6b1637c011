// Files of the tree that tests read, and the examples within docs/language.md.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace troupe {

inline std::string FileOf(const std::string& path) {
  std::ifstream file(std::string(TROUPE_SOURCE_DIR "/") + path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// The texts between "```yaml" and "```".
inline std::vector<std::string> YamlExamples(const std::string& page) {
  std::vector<std::string> examples;
  const std::string begin = "\n```yaml\n";
  for (std::size_t at = page.find(begin); at != std::string::npos; at = page.find(begin, at + 1)) {
    const std::size_t first = at + begin.size();
    examples.push_back(page.substr(first, page.find("```", first) - first));
  }
  return examples;
}

}  // namespace troupe
