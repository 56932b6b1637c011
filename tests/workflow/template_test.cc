// Filling templates.
#include "workflow/template.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

// Values by what was written.
class Values final : public ValueSource {
 public:
  explicit Values(std::map<std::string, Value> values) : values_(std::move(values)) {}
  std::optional<Value> Look(const Ref& ref) const override {
    const auto it = values_.find(ref.words->written);
    if (it == values_.end()) return std::nullopt;
    return it->second;
  }

 private:
  std::map<std::string, Value> values_;
};

Ref Written(const std::string& written, const std::string& path = "") {
  return {.kind = Ref::Kind::TaskResult, .words = RefWords{.path = path, .written = written}};
}

const Values kValues({{"text", {"a\n\"b\"", false}},
                      {"string", {"\"a\\n\\\"b\\\"\"", true}},
                      {"number", {"1.50", true}},
                      {"null", {"null", true}},
                      {"none", {"", false}},
                      {"map", {R"({"b": [1, {"c d": 2, "c": "x"}], "a": true})", true}},
                      {"broken", {"{", true}}});

std::string Filled(const Template& text) {
  const Result<std::string> filled = Fill(text, kValues);
  return filled ? *filled : "error: " + filled.error().message;
}

TEST(Fill, PutsStringsInAsTheyAreNullAsNothingAndTheRestAsJson) {
  EXPECT_EQ(Filled({"<", Written("text"), ">"}), "<a\n\"b\">");
  EXPECT_EQ(Filled({"<", Written("string"), ">"}), "<a\n\"b\">");
  EXPECT_EQ(Filled({"<", Written("number"), ">"}), "<1.5>");
  EXPECT_EQ(Filled({"<", Written("null"), ">"}), "<>");
  EXPECT_EQ(Filled({Written("map"), Written("none")}), R"({"b":[1,{"c d":2,"c":"x"}],"a":true})");
  EXPECT_EQ(Filled({}), "");
}

TEST(Fill, NoTextGrowsWithoutBound) {
  const Values values({{"long", {std::string(1'000'000, 'x'), false}}});
  const Template most(kFilledBytesMax / 1'000'000, Written("long"));
  const Template more(most.size() + 1, Written("long"));

  EXPECT_TRUE(Fill(most, values).has_value());
  const Result<std::string> refused = Fill(more, values);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::Invalid);
}

TEST(Fill, FollowsPaths) {
  EXPECT_EQ(Filled({Written("map", ".b[0]")}), "1");
  EXPECT_EQ(Filled({Written("map", ".b[1].c")}), "x");
  EXPECT_EQ(Filled({Written("map", ".b[1]")}), R"({"c d":2,"c":"x"})");
  EXPECT_EQ(Filled({Written("map", ".a")}), "true");
}

TEST(Fill, APartThatIsNotThereIsUnresolved) {
  for (const char* path : {".x", "[0]", ".b[2]", ".b.c", ".a.b", ".b[1].c[0]", ".b[999999999]"}) {
    const Result<std::string> filled = Fill({Written("map", path)}, kValues);
    ASSERT_FALSE(filled) << path;
    EXPECT_EQ(filled.error(), (Error{ErrorCode::Unresolved, "\"map\" does not exist"}));
  }
  EXPECT_FALSE(Fill({Written("nope")}, kValues));
  EXPECT_FALSE(Fill({Written("broken")}, kValues));
}

TEST(Fill, OfATaskThatDidNotCompleteEveryPartIsEmpty) {
  EXPECT_EQ(Filled({"<", Written("none", ".a.b[3]"), ">"}), "<>");
}

TEST(Fill, WhatWasPutInIsNotLookedAtAgain) {
  const Values values({{"a", {"${b} {{b}} $${b}", false}}, {"b", {"!", false}}});

  const Result<std::string> filled = Fill({Written("a")}, values);

  EXPECT_EQ(*filled, "${b} {{b}} $${b}");
}

TEST(FillTyped, OneReferenceAloneKeepsItsType) {
  const auto typed = [](const Template& text) { return *FillTyped(text, kValues); };

  EXPECT_EQ(typed({Written("number")}), "1.5");
  EXPECT_EQ(typed({Written("null")}), "null");
  EXPECT_EQ(typed({Written("map", ".b[0]")}), "1");
  EXPECT_EQ(typed({Written("text")}), R"("a\n\"b\"")");
  EXPECT_EQ(typed({"n = ", Written("number")}), R"("n = 1.5")");
  EXPECT_EQ(typed({}), R"("")");
  EXPECT_FALSE(FillTyped({Written("nope")}, kValues));
}

TEST(FillInputs, ReferencesStayWithinTheirStrings) {
  const auto plan = PlanOf(
      "name: x\ninputs: {evil: {}, n: {type: number}}\ntasks:\n  t:\n    command: x\n    inputs:\n"
      "      a: 'say \"${evil}\"'\n      b: [1.10, null, true, {'k\"': '${n}'}, [], {}]\n"
      "      c: '${n}'\n");
  const Values values({{"evil", {"\"}, \\\n\xFF", false}}, {"n", {"7", true}}});

  const Result<std::string> inputs = FillInputs(plan->tasks[0], values);

  EXPECT_EQ(*inputs,
            "{\"a\":\"say \\\"\\\"}, \\\\\\n\xEF\xBF\xBD\\\"\","
            "\"b\":[1.10,null,true,{\"k\\\"\":\"7\"},[],{}],\"c\":\"7\"}");
}

TEST(FillInputs, WithoutReferencesTheyAreOneText) {
  const auto plan =
      PlanOf("name: x\ntasks: {t: {command: x, inputs: {a: yes, b: {c: [1]}, d: '{{'}}}\n");

  EXPECT_TRUE(plan->tasks[0].extra->inputs.empty());
  EXPECT_EQ(plan->tasks[0].extra->inputs_json, R"({"a":"yes","b":{"c":[1]},"d":"{{"})");
  EXPECT_EQ(*FillInputs(plan->tasks[0], kValues), plan->tasks[0].extra->inputs_json);
}

TEST(FillInputs, EscapesAreResolvedEvenIfNothingIsReferredTo) {
  const auto plan =
      PlanOf("name: x\ntasks: {t: {command: x, inputs: {a: '$${b}', c: ['{{{{d}}']}}}\n");

  EXPECT_EQ(*FillInputs(plan->tasks[0], kValues), R"({"a":"${b}","c":["{{d}}"]})");
}

}  // namespace
}  // namespace troupe
