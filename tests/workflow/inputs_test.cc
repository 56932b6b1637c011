// The inputs of a run.
#include <gtest/gtest.h>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

constexpr const char* kInputs =
    "name: x\ntasks: {t: {command: x}}\ninputs:\n"
    "  city: {description: Where, default: 010}\n  limit: {type: integer, default: 10}\n"
    "  rate: {type: number}\n  on: {type: boolean}\n  rows: {type: array, default: [1, a]}\n"
    "  map: {type: object}\n  key: {required: true}\n";

std::string Bind(const std::vector<std::string>& given) {
  const BoundInputs bound = BindInputs(*PlanOf(kInputs), given);
  return bound.problems.empty() ? bound.json : FormatProblems("f", bound.problems);
}

TEST(Inputs, DefaultsAndNullStandForWhatIsNotGiven) {
  EXPECT_EQ(Bind({"key=k"}),
            R"({"city":"010","limit":10,"rate":null,"on":null,"rows":[1,"a"],"map":null,)"
            R"("key":"k"})");
}

TEST(Inputs, StringsAreTakenAsTheyAreAndTheRestAsJson) {
  EXPECT_EQ(Bind({"key==a\"=", "limit=-3", "rate=1.5", "on=false", "rows=[ ]",
                  R"(map={"b": 1, "a": [null]})", "city=[1]"}),
            R"({"city":"[1]","limit":-3,"rate":1.5,"on":false,"rows":[],)"
            R"("map":{"b":1,"a":[null]},"key":"=a\"="})");
}

TEST(Inputs, TheLastOneWins) {
  EXPECT_EQ(
      Bind({"key=1", "limit=1", "limit=2", "key="}).find(R"("limit":2,)") != std::string::npos,
      true);
}

TEST(Inputs, AllThatDoesNotFitIsSaid) {
  EXPECT_EQ(Bind({"limit=ten", "limit=1.0", "on=yes", "rows={}", "map=[", "citi=x", "rate",
                  "rate=NaN", "city=\xFF"}),
            "f: error: input \"limit\" must be an integer, not \"ten\" [input]\n"
            "f: error: input \"limit\" must be an integer, not \"1.0\" [input]\n"
            "f: error: input \"on\" must be true or false, not \"yes\" [input]\n"
            "f: error: input \"rows\" must be a list, not \"{}\" [input]\n"
            "f: error: input \"map\" must be an object, not \"[\" [input]\n"
            "f: error: input \"citi\" is not known; did you mean \"city\"? [input]\n"
            "f: error: input \"rate\" has no value; write NAME=VALUE [input]\n"
            "f: error: input \"rate\" must be a number, not \"NaN\" [input]\n"
            "f: error: the value of input \"city\" is not UTF-8 [input]\n"
            "f: error: input \"key\" is required [input]\n");
}

TEST(Inputs, DefaultsMustFitTheirType) {
  EXPECT_EQ(
      ProblemsOf("name: x\ntasks: {t: {command: x}}\ninputs:\n"
                 "  a: {type: integer, default: \"3\"}\n  b: {type: integer, default: 1.5}\n"
                 "  c: {default: [1]}\n  d: {default: }\n  e: {type: number, default: 1e999}\n"
                 "  f: {type: text}\n  g: 3\n"),
      "f:4:31: error: \"default\" must be an integer, not the string \"3\"; remove the quotes "
      "[wrong-type]\n"
      "f:5:31: error: \"default\" must be an integer, not 1.5 [wrong-type]\n"
      "f:6:16: error: \"default\" must be a string, not a list [wrong-type]\n"
      "f:7:7: error: \"default\" has no value; remove the key [wrong-type]\n"
      "f:8:30: error: the number 1e999 is too large; as text it needs quotes "
      "[out-of-range]\n"
      "f:9:13: error: \"type\" must be string, number, integer, boolean, list, object or "
      "array, not \"text\" [bad-value]\n"
      "f:10:6: error: \"g\" must be a map, not 3 [wrong-type]\n");
}

}  // namespace
}  // namespace troupe
