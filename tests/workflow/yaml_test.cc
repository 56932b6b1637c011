// What YAML means here. Inputs of tasks are free-form values, so they show how values are read.
#include <gtest/gtest.h>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

// `yaml` as the inputs of a task, as JSON; or the problems.
std::string Json(const std::string& yaml, const std::string& root = "") {
  const Compiled compiled = CompileWorkflow(
      "name: x\n" + root + "\ntasks:\n  t:\n    command: x\n    inputs:\n" + yaml, {});
  if (compiled.plan == nullptr) return FormatProblems("f", compiled.problems);
  return compiled.plan->tasks[0].extra->inputs_json;
}

TEST(Yaml, UnquotedScalarsMeanWhatTheyMeanInJson) {
  EXPECT_EQ(Json("      a: [null, ~, true, false, 0, -1, 1.50, 1e3, 1E-2]\n"),
            R"({"a":[null,null,true,false,0,-1,1.50,1e3,1E-2]})");
  EXPECT_EQ(
      Json("      a: [yes, no, on, off, True, 010, 0x1F, 1_000, +3, .inf, 1:30, 2026-01-01]\n"),
      R"({"a":["yes","no","on","off","True","010","0x1F","1_000","+3",".inf","1:30",)"
      R"("2026-01-01"]})");
  EXPECT_EQ(Json("      a: [Null, NULL, nUll, FALSE, 1., .5, -, 1e, 00, -0]\n"),
            R"({"a":["Null","NULL","nUll","FALSE","1.",".5","-","1e","00",-0]})");
}

TEST(Yaml, NothingAtAllIsNull) {
  EXPECT_EQ(
      Json("      a:\n      Null: 1\n      b: Null\n      c:\n        -\n        - x\n        -\n"),
      R"({"a":null,"Null":1,"b":"Null","c":[null,"x",null]})");
}

TEST(Yaml, QuotedScalarsAreStrings) {
  EXPECT_EQ(Json("      a: [\"1\", 'true', \"\", '~', \"\\u00e4\\t\"]\n      b: |\n        1\n     "
                 " c: >-\n"
                 "        a\n        b\n"),
            "{\"a\":[\"1\",\"true\",\"\",\"~\",\"\xC3\xA4\\t\"],\"b\":\"1\\n\",\"c\":\"a b\"}");
}

TEST(Yaml, CoreTagsChooseTheType) {
  EXPECT_EQ(
      Json("      a: [!!str 1, !!int 1, !!float 1.5, !!bool true, !!null ~, !!seq [1], !!map {b: "
           "1}, !!str]\n"),
      R"({"a":["1",1,1.5,true,null,[1],{"b":1},""]})");
  EXPECT_EQ(Json("      a: !!map [1]\n"),
            "f:7:10: error: tag \"tag:yaml.org,2002:map\" is not allowed here [tag]\n");
  EXPECT_EQ(Json("      a: !!set {b}\n"),
            "f:7:10: error: tag \"tag:yaml.org,2002:set\" is not allowed here [tag]\n");
}

TEST(Yaml, AliasesStandForTheirAnchors) {
  EXPECT_EQ(Json("      a: &a [1, &b {c: '2'}]\n      d: *a\n      e: [*b, *b]\n"),
            R"({"a":[1,{"c":"2"}],"d":[1,{"c":"2"}],"e":[{"c":"2"},{"c":"2"}]})");
  EXPECT_EQ(Json("      a: *d\n", "x-d: &d {b: 1}"), R"({"a":{"b":1}})");
}

TEST(Yaml, MergedKeysStandWhereTheMergeStoodAndGiveWay) {
  const std::string bases = "x-bases: [&p {b: 1, c: 2}, &q {c: 3, d: 4}]";

  EXPECT_EQ(Json("      m: {a: 0, <<: *p, c: 9}\n", bases), R"({"m":{"a":0,"b":1,"c":9}})");
  EXPECT_EQ(Json("      m: {<<: [*q, *p], z: 1}\n", bases), R"({"m":{"c":3,"d":4,"b":1,"z":1}})");
  EXPECT_EQ(Json("      m: {<<: {y: 1, z: 2}, z: 1}\n"), R"({"m":{"y":1,"z":1}})");
  EXPECT_EQ(Json("      m: {\"<<\": 1}\n"), R"({"m":{"<<":1}})");
  EXPECT_EQ(Json("      m: {<<: 1}\n"),
            "f:7:15: error: \"<<\" must be a map or a list of maps [wrong-type]\n");
}

TEST(Yaml, MergesWorkWhereKeysAreFixed) {
  const auto plan = PlanOf(
      "name: x\nx-defaults: &d {on_error: {retry: 3}, timeout_secs: 5}\ntasks:\n  a: {<<: *d, "
      "command: "
      "x}\n  b: {command: x, <<: *d, timeout_secs: 6}\n");

  EXPECT_EQ(plan->tasks[0].rules->retry, 3u);
  EXPECT_EQ(plan->tasks[0].settings->timeout, std::chrono::seconds(5));
  EXPECT_EQ(plan->tasks[1].settings->timeout, std::chrono::seconds(6));
}

TEST(Yaml, ProblemsInWhatAliasesRepeatAreSaidOnce) {
  EXPECT_EQ(
      ProblemsOf("name: x\nx-e: &e {retry: no}\ntasks:\n  a: {command: x, on_error: *e}\n  b: "
                 "{command: x, on_error: *e}\n"),
      "f:2:17: error: \"retry\" must be an integer, not the string \"no\" [wrong-type]\n");
}

std::string Nested(std::size_t levels) {
  return std::string(levels, '[') + "1" + std::string(levels, ']');
}

TEST(Yaml, SixtyFourLevelsAreAllowedAndNoMore) {
  // The value stands in the root, tasks, t and inputs: four levels.
  EXPECT_EQ(Json("      a: " + Nested(60) + "\n"), "{\"a\":" + Nested(60) + "}");
  EXPECT_EQ(Json("      a: " + Nested(61) + "\n"),
            "f:7:70: error: lists and maps are nested more than 64 levels deep [too-large]\n");
  const std::string anchored = "x-a: &a " + Nested(40);
  EXPECT_EQ(Json("      a: [[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]\n", anchored),
            "{\"a\":" + Nested(60) + "}");
  EXPECT_EQ(Json("      a: [[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]\n", anchored),
            "f:7:31: error: lists and maps are nested more than 64 levels deep [too-large]\n");
}

TEST(Yaml, PlacesAreThoseOfTheText) {
  EXPECT_EQ(
      ProblemsOf("name: x\ntasks:\n  a:\n    command: x\n    priority: |\n      3\n    output:\n"
                 "    depends_on: [\n      \"b\",\n      ~]\n"),
      "f:5:15: error: \"priority\" must be an integer, not the string \"3\\n\" [wrong-type]\n"
      "f:7:5: error: \"output\" has no value; remove the key [wrong-type]\n"
      "f:9:7: error: task \"a\" depends on \"b\", which does not exist; did you mean \"a\"? "
      "[unknown-task]\n"
      "f:10:7: error: an item of \"depends_on\" has no value; remove it [wrong-type]\n");
}

}  // namespace
}  // namespace troupe
