#include "worker/attendant/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace troupe {
namespace {

constexpr const char* kBad = "\xEF\xBF\xBD";

TEST(Utf8, KeepsWhatIsValid) {
  const std::string text = "a\u00E4\u20AC\U0001F600\n";

  EXPECT_EQ(ValidUtf8(text), text);
  EXPECT_EQ(ValidUtf8(std::string("\0x", 2)), std::string("\0x", 2));
}

TEST(Utf8, ReplacesWhatIsNot) {
  const std::string bad = kBad;

  EXPECT_EQ(ValidUtf8("a\xFFz"), "a" + bad + "z");
  EXPECT_EQ(ValidUtf8("\x80\x80"), bad + bad) << "continuation without a beginning";
  EXPECT_EQ(ValidUtf8("\xE2\x82z"), bad + "z") << "broken off by another character";
  EXPECT_EQ(ValidUtf8("\xE2\x82"), bad) << "broken off by the end";
  EXPECT_EQ(ValidUtf8("\xC0\xAF"), bad + bad) << "overlong";
  EXPECT_EQ(ValidUtf8("\xE0\x80\x80"), bad + bad + bad) << "overlong";
  EXPECT_EQ(ValidUtf8("\xED\xA0\x80"), bad + bad + bad) << "surrogate";
  EXPECT_EQ(ValidUtf8("\xF4\x90\x80\x80"), bad + bad + bad + bad) << "above U+10FFFF";
  EXPECT_EQ(ValidUtf8("\xE2\xE2\x82\xAC"), bad + "\u20AC");
}

TEST(Utf8, DoesNotCareWhereTheStreamIsCut) {
  const std::string text = "x\u00E4\xFF\u20AC\xE2\x82\U0001F600\xF0\x9F";
  const std::string whole = ValidUtf8(text);

  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    Utf8Filter filter;
    std::string out;
    filter.Feed(text.substr(0, cut), out);
    filter.Feed(text.substr(cut), out);
    filter.Finish(out);

    EXPECT_EQ(out, whole) << "cut at " << cut;
  }
}

TEST(Utf8, CutsBetweenCharacters) {
  const std::string text = "\u20AC\u20AC";

  EXPECT_EQ(Front(text, 2), "");
  EXPECT_EQ(Front(text, 3), "\u20AC");
  EXPECT_EQ(Front(text, 5), "\u20AC");
  EXPECT_EQ(Front(text, 9), text);
  EXPECT_EQ(Back(text, 2), "");
  EXPECT_EQ(Back(text, 4), "\u20AC");
  EXPECT_EQ(Back(text, 6), text);
  EXPECT_EQ(Front("a\xE2\x82", 9), "a") << "the text itself is cut";
  EXPECT_EQ(Back("\x82\xAC"
                 "a",
                 9),
            "a");
}

}  // namespace
}  // namespace troupe
