// docs/workflow.schema.json says the same as the key tables of the reader.
#include <map>
#include <set>

#include "base/failure.h"
#include "tests/workflow/compiling.h"
#include "tests/workflow/documents.h"
#include "tests/workflow/examples.h"
#include "tests/workflow/json_schema.h"
#include "workflow/key_tables.h"
#include "workflow/source.h"
#include "workflow/tree.h"
#include "workflow/values.h"

namespace troupe {
namespace {

using Json = JsonSchema::Json;
using Names = std::set<std::string>;

const JsonSchema& Schema() {
  static const JsonSchema kSchema(Json::parse(FileOf("docs/workflow.schema.json")));
  return kSchema;
}

// A workflow file as JSON.
Json JsonOf(const std::string& text) {
  const Source source(text);
  Problems problems;
  Tree tree;
  EXPECT_TRUE(ParseYaml(source, problems, tree)) << text;
  Reader reader(source, tree, problems, false);
  return Json::parse(ToJson(reader, tree.root()));
}

Names KeysOf(const Json& object) {
  Names keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

// The kinds of tasks that cannot be done are accepted all the same.
bool Ignored(const TabledKey& key) {
  for (const char* kind : {"uses", "embed", "uses_workflow", "mcp_tool"}) {
    if (key.name == kind) return true;
  }
  return key.support == Support::Ignored;
}

TEST(Schema, HasTheKeysOfEveryTableAndNoOthers) {
  Names tables;
  for (const KeyTable& table : AllKeyTables()) {
    const std::string map(table.map);
    tables.insert(map);
    ASSERT_TRUE(Schema().json()["$defs"].contains(map)) << map;
    const Json& definition = Schema().Definition(map);
    Names keys;
    Names required;
    for (const TabledKey& key : table.keys) {
      if (key.support == Support::NotYet) continue;
      keys.insert(std::string(key.name));
      if (key.required) required.insert(std::string(key.name));
      const Json& property = definition["properties"][std::string(key.name)];
      EXPECT_TRUE(property.contains("description") || map.find('_') != std::string::npos)
          << map << "." << key.name;
      EXPECT_EQ(property.contains("deprecated"), Ignored(key)) << map << "." << key.name;
    }
    EXPECT_EQ(KeysOf(definition["properties"]), keys) << map;
    const Json none = Json::array();
    const Json& listed = definition.contains("required") ? definition["required"] : none;
    EXPECT_EQ(listed.get<Names>(), required) << map;
    EXPECT_EQ(definition["additionalProperties"], false) << map;
    EXPECT_TRUE(definition["patternProperties"].contains("^x-")) << map;
  }
  for (const auto& [name, definition] : Schema().json()["$defs"].items()) {
    EXPECT_EQ(definition.contains("properties"), tables.count(name) > 0) << name;
  }
}

TEST(Schema, ListsTheFailureClasses) {
  Names listable;
  Names told;
  for (int i = 0; i < kFailureClassCount; ++i) {
    const FailureTraits& traits = Traits(static_cast<FailureClass>(i));
    if (traits.listable) listable.insert(std::string(traits.name));
    if (traits.told) told.insert(std::string(traits.name));
  }

  EXPECT_EQ(Schema().Definition("class")["enum"].get<Names>(), listable);
  EXPECT_EQ(Schema().Definition("told_class")["enum"].get<Names>(), told);
}

TEST(Schema, FitsWhatCompiles) {
  std::vector<std::string> texts = YamlExamples(FileOf("docs/language.md"));
  for (const char* text : {kMigration, kDataSync, kTraining, kFanOut, kStages, kLadder}) {
    texts.emplace_back(text);
  }
  texts.push_back(FileOf("examples/release-notes.yaml"));
  texts.emplace_back(
      "name: x\nversion: 1.10\nx-a: null\nmax_parallel: 3\nimports: []\nagents: {a: {mock: "
      "{fail_times: always, result: null}}}\ntasks: {t: {command: x, condition: {and: [{or: []}, "
      "{not: {type: never, x-y: 1}}]}, loop: {type: for_each, iterator: n, collection: {source: "
      "inline, items: one}}}, u: {subtasks: [{v: {command: [x]}}]}, w: {mcp_tool: {}}}\n"
      "workflows: {w: {steps: [{stage: s, tasks: [t, {u: }]}]}}\n");
  for (const std::string& text : texts) {
    ASSERT_NE(PlanOf(text), nullptr);
    EXPECT_TRUE(Schema().Fits(JsonOf(text))) << text;
  }
}

TEST(Schema, RefusesWhatDoesNotCompile) {
  for (const char* part :
       {"tasks: {t: {comand: x}}",
        "tasks: {t: {command: {args: [x]}}}",
        "tasks: {t: {command: []}}",
        "tasks: {t: {priority: -1, command: x}}",
        "tasks: {t: {command: x, on_error: skp}}",
        "tasks: {t: {command: x, on_error: {retry: 1001}}}",
        "tasks: {t: {command: x, on_error: {retry_on: [auth]}}}",
        "tasks: {t: {command: x, condition: {}}}",
        "tasks: {t: {command: x, condition: {type: x}}}",
        "tasks: {t: {command: x, condition: {type: always, not: {type: never}}}}",
        "tasks: {t: {command: x, condition: {type: state_equals, key: k}}}",
        "tasks: {t: {command: x, loop: {type: repeat, count: 3}}}",
        ("tasks: {t: {command: x, loop: {type: for_each, iterator: id, collection: {source: range, "
         "start: 0, end: 3}}}}"),
        ("tasks: {t: {command: x, loop: {type: for_each, iterator: n, collection: {source: range, "
         "start: 0, end: 3, step: 0}}}}"),
        ("tasks: {t: {command: x, loop: {type: for_each, iterator: n, collection: {source: file, "
         "path: x}}}}"),
        "tasks: {t: {subtasks: {}}}",
        "tasks: {t: {http: {url: x}}}",
        "tasks: {t: {script: {language: lua, content: x}}}",
        "tasks: {t: {command: x, timeout_secs: -1}}",
        "tasks: {t: {command: x, timeout_secs: 1s}}",
        "tasks: {t: {command: {executable: x, env: {A B: x}}}}",
        "tasks: {t: {command: x, on_complete: {notify: {}}}}",
        "tasks: {t: {command: x}}\nhooks: {pre_workflow: [{}]}",
        "tasks: {t: {command: x}}\nhooks: {pre_workflow: [{command: x, timeout_secs: 0}]}",
        "tasks: {t: {command: x}}\ninputs: {1a: {}}",
        "tasks: {t: {command: x}}\noutputs: {o: {source: {type: state, task: t}}}",
        "tasks: {t: {command: x}}\nworkflows: {w: {steps: [{tasks: [t]}]}}",
        "tasks: {t: {command: x}}\nagents: {a: {provider: codex}}",
        "tasks: {t: {command: x}}\nrecovery: {circuit_breaker: {failures: 0}}",
        "tasks: {t: {command: x}}\ndsl_version: '2.0'",
        "tasks: {t: {command: x}}\nsecrets: {}"}) {
    const std::string text = std::string("name: x\n") + part + "\n";
    EXPECT_EQ(CompileWorkflow(text, {}).plan, nullptr) << text;
    EXPECT_FALSE(Schema().Fits(JsonOf(text))) << text;
  }
}

}  // namespace
}  // namespace troupe
