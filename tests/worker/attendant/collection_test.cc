#include "worker/attendant/collection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// The list, or the message of what is wrong with the text.
std::string Items(std::string_view text, CollectionFormat format) {
  const Result<std::string> items = CollectionItems(text, format);
  if (items) return *items;
  EXPECT_EQ(items.error().code, ErrorCode::Invalid);
  return items.error().message;
}
std::string Json(std::string_view text) { return Items(text, CollectionFormat::Json); }
std::string JsonLines(std::string_view text) { return Items(text, CollectionFormat::JsonLines); }
std::string Lines(std::string_view text) { return Items(text, CollectionFormat::Lines); }
std::string Csv(std::string_view text) { return Items(text, CollectionFormat::Csv); }

std::string Repeated(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(JsonCollection, IsTheListWithoutBlanks) {
  EXPECT_EQ(Json(" [ 1 , {\"a b\" : \"c \\\" , d\\\\\" } ,\r\n\tnull, [ ] ]\n"),
            R"([1,{"a b":"c \" , d\\"},null,[]])");
  EXPECT_EQ(Json("[]"), "[]");
  EXPECT_EQ(Json("[1.0, 1e3, 12345678901234567890123, -0]"), "[1.0,1e3,12345678901234567890123,-0]")
      << "numbers stay as they are written";
}

TEST(JsonCollection, SaysWhatIsNoList) {
  EXPECT_EQ(Json("{\"a\": [1]}"), "it is not a JSON list");
  EXPECT_EQ(Json("7"), "it is not a JSON list");
  EXPECT_THAT(Json(""), StartsWith("line 1: not JSON: "));
  EXPECT_THAT(Json("[1,\n2,\n"), StartsWith("line 3: not JSON: "));
  EXPECT_THAT(Json("[1,\n2 3]\n"), StartsWith("line 2: not JSON: syntax error"));
  EXPECT_THAT(Json("[1] [2]"), StartsWith("line 1: not JSON: "));
  EXPECT_THAT(Json("[1e999]"), HasSubstr("not JSON: number overflow"));
  EXPECT_THAT(Json("[\"\\ud800\"]"), HasSubstr("not JSON: "));
}

TEST(JsonCollection, IsNotNestedWithoutBound) {
  EXPECT_EQ(Json(Repeated("[", 256) + Repeated("]", 256)).size(), 512U);
  EXPECT_EQ(Json(Repeated("[", 257) + Repeated("]", 257)), "nested deeper than 256");
  EXPECT_EQ(Json(Repeated("[", 1'000'000)), "nested deeper than 256");
}

TEST(JsonLinesCollection, HasAValueALine) {
  EXPECT_EQ(JsonLines("{\"a\": 1}\r\n\n  \t\r\n[2, 3]\n\"x\""), R"([{"a":1},[2,3],"x"])");
  EXPECT_EQ(JsonLines(""), "[]");
  EXPECT_EQ(JsonLines("\n\n"), "[]");
}

TEST(JsonLinesCollection, NamesTheLineThatIsWrong) {
  EXPECT_THAT(JsonLines("1\n\n{\"a\": }\n"), StartsWith("line 3: not JSON: syntax error"));
  EXPECT_THAT(JsonLines("1 2\n"), StartsWith("line 1: not JSON: "));
  EXPECT_EQ(JsonLines("1\n" + Repeated("[", 1000)), "line 2: nested deeper than 256");
  EXPECT_LT(JsonLines(Repeated("x", 100'000)).size(), 400U);
}

TEST(LinesCollection, HasAStringALine) {
  EXPECT_EQ(Lines("a\nb \"c\"\\\n\td\n"), R"(["a","b \"c\"\\","\td"])");
  EXPECT_EQ(Lines("a\r\n\r\nb"), R"(["a","","b"])");
  EXPECT_EQ(Lines("a\rb\r"), R"(["a\rb\r"])");
  EXPECT_EQ(Lines(std::string_view("a\0b\n", 4)), R"(["a\u0000b"])");
  EXPECT_EQ(Lines(""), "[]");
  EXPECT_EQ(Lines("\n"), R"([""])");
}

TEST(CsvCollection, HasAMapARow) {
  EXPECT_EQ(Csv("name,age\nAda,36\r\nBob,\n"),
            R"([{"name":"Ada","age":"36"},{"name":"Bob","age":""}])");
  EXPECT_EQ(Csv("a\nx"), R"([{"a":"x"}])");
  EXPECT_EQ(Csv("a,b\n"), "[]");
  EXPECT_EQ(Csv("a,b"), "[]");
  EXPECT_EQ(Csv("a b, c\n 1 ,\t\n"), R"([{"a b":" 1 "," c":"\t"}])") << "blanks belong to fields";
}

TEST(CsvCollection, ReadsQuotes) {
  EXPECT_EQ(Csv("\"a\",\"b,\"\"c\"\"\"\r\n\"1\n2\r\n3\",\"\"\n"),
            R"([{"a":"1\n2\r\n3","b,\"c\"":""}])");
  EXPECT_EQ(Csv("a\n\"\"\"\"\n\"\"\n\"x\""), R"([{"a":"\""},{"a":""},{"a":"x"}])");
}

TEST(CsvCollection, NamesTheRowThatIsWrong) {
  EXPECT_EQ(Csv("a,b\n1,2\n3\n"), "row 3: 1 field, but the first row names 2 columns");
  EXPECT_EQ(Csv("a\n\"x\ny\"\n1,2,3\n"), "row 3: 3 fields, but the first row names 1 column");
  EXPECT_EQ(Csv("a,b\n1,2\n\n"), "row 3: 1 field, but the first row names 2 columns");
  EXPECT_EQ(Csv("a,b\n1,\"2\n"), "row 2: a quote is not closed");
  EXPECT_EQ(Csv("a,b\n1,\"2\"x\n"), "row 2: text behind the closing quote of a field");
  EXPECT_EQ(Csv("a,b\n1,2\"\n"),
            "row 2: a quote in the field \"2\\\"\", which does not begin with one");
  EXPECT_EQ(Csv("a,b,a\n"), "row 1: two columns are named \"a\"");
  EXPECT_EQ(Csv(""), "it has no first row, which would name the columns");
}

TEST(Collection, IsUtf8) {
  EXPECT_EQ(Lines("\xEF\xBB\xBF"
                  "ä\xEF\xBF\xBD\n"),
            "[\"ä\xEF\xBF\xBD\"]");
  EXPECT_EQ(Json("\xEF\xBB\xBF[]"), "[]");
  EXPECT_EQ(Csv("\xEF\xBB\xBF"
                "a\n1\n"),
            R"([{"a":"1"}])");
  EXPECT_EQ(Lines("a\nb\xFF\n"), "line 2: byte 0xff is not UTF-8");
  EXPECT_EQ(Lines("\n\xEF\xBF\xBD\xEF"), "line 2: byte 0xef is not UTF-8");
  EXPECT_EQ(Lines("\xEF\xBF"
                  "a"),
            "line 1: byte 0xef is not UTF-8");
  EXPECT_EQ(Lines("\xFF\xFE"
                  "a"),
            "line 1: byte 0xff is not UTF-8")
      << "UTF-16";
}

TEST(Collection, HasABoundOfItems) {
  const std::string many = Repeated("1\n", kCollectionItemsMax);

  EXPECT_THAT(Lines(many), StartsWith("[\"1\",\"1\""));
  EXPECT_EQ(Lines(many + "1\n"), "more than 100000 items");
  EXPECT_EQ(JsonLines(many + "1\n"), "more than 100000 items");
  EXPECT_EQ(Csv("a\n" + many + "1\n"), "more than 100000 items");
  const std::string list = "[" + Repeated("[1,2],", kCollectionItemsMax - 1) + "{\"a\":[3]}";
  EXPECT_EQ(Json(list + "]"), list + "]");
  EXPECT_EQ(Json(list + ",4]"), "more than 100000 items");
}

TEST(Collection, HasABoundOfBytes) {
  const std::string most(kCollectionBytesMax - 4, 'x');

  EXPECT_EQ(Lines(most).size(), kCollectionBytesMax);
  EXPECT_EQ(Lines(most + "x"), "its items are more than 48 MiB of JSON");
  EXPECT_EQ(Lines(most + "xxxxx"), "more than 48 MiB");
  EXPECT_EQ(Csv(std::string(10'000, 'c') + "\n" + Repeated("x\n", 10'000)),
            "its items are more than 48 MiB of JSON")
      << "each item names the columns";
}

}  // namespace
}  // namespace troupe
