// Texts and what is printed for them.
#include <gtest/gtest.h>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

struct Case {
  const char* text;
  const char* problems;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& one : cases) EXPECT_EQ(ProblemsOf(one.text), one.problems) << one.text;
}

TEST(Problems, AGoodFileHasNone) {
  Check({{"name: hello\ntasks:\n  greet: {command: \"echo hello\"}\n", ""},
         {"{\"name\": \"json\", \"tasks\": {\"a\": {\"command\": [\"ls\"]}}}", ""},
         {"\xEF\xBB\xBFname: bom\ntasks: {a: {command: x}}", ""},
         {"name: crlf\r\ntasks:\r\n  a:\r\n    command: x\r\n", ""},
         {"name: x\nx-note: [1]\ntasks: {x-ray: {command: x, x-y: null}}\n", ""}});
}

TEST(Problems, AFileThatIsNoMapOfTasks) {
  Check({
      {"",
       "f:1:1: error: the file is empty; a workflow is a map that begins with \"name\" "
       "[wrong-type]\n"},
      {"# only a comment\n",
       "f:1:1: error: the file is empty; a workflow is a map that begins with \"name\" "
       "[wrong-type]\n"},
      {"- a\n", "f:1:1: error: a workflow must be a map that begins with \"name\" [wrong-type]\n"},
      {"name: x\n", "f:1:1: error: the workflow has no tasks [missing-key]\n"},
      {"tasks: {a: {command: x}}\n", "f:1:1: error: the workflow needs \"name\" [missing-key]\n"},
      {"name: x\ntasks:\n", "f:2:1: error: \"tasks\" has no value; remove the key [wrong-type]\n"},
      {"name: x\ntasks: []\n", "f:2:8: error: \"tasks\" must be a map, not a list [wrong-type]\n"},
  });
}

TEST(Problems, TextThatIsNoYamlIsOneProblem) {
  Check({
      {"name: [a, b\n", "f:2:1: error: did not find expected ',' or ']' [yaml]\n"},
      {"x: {a: 1, a: 2}\ny: [b\n", "f:3:1: error: did not find expected ',' or ']' [yaml]\n"},
      {"name: {a: b\n", "f:2:1: error: did not find expected ',' or '}' [yaml]\n"},
      {"name: \"x\n", "f:1:7: error: a quoted string is not closed [yaml]\n"},
      {"name: 'it''s\n", "f:1:7: error: a quoted string is not closed [yaml]\n"},
      {"name: &a \"x\n", "f:1:10: error: a quoted string is not closed [yaml]\n"},
      {"name: \"x", "f:1:9: error: a quoted string is not closed [yaml]\n"},
      {"name: a: b\n",
       "f:1:8: error: did not expect ':' here; put text that contains ': ' in quotes [yaml]\n"},
      {"name: x\ntasks:\n\ta: {command: x}\n",
       "f:3:1: error: a tab may not be used to indent; use spaces [yaml]\n"},
      {"a: 1\n\tb: 2\n", "f:2:1: error: a tab may not be used to indent; use spaces [yaml]\n"},
      {"nope: 1\nname: x\n  bad: 2\n",
       "f:3:6: error: did not expect ':' here; put text that contains ': ' in quotes [yaml]\n"},
      {"name: x\ntasks: {}\n--- \nname: y\n",
       "f:1:1: error: the workflow has no tasks [missing-key]\n"
       "f:3:1: error: a second document begins here; a file holds one workflow "
       "[several-documents]\n"},
      {"{\"name\": \"x\"}\nmore\n",
       "f:2:1: error: did not expect anything after the end of the document [yaml]\n"},
      {"name: x\x01\n",
       "f:1:8: error: the control character U+0001 is not allowed; in double "
       "quotes it is written \"\\x01\" [yaml]\n"},
      {"name: *a\n", "f:1:7: error: alias \"a\" is not defined [alias]\n"},
      {"name: &a [*a]\n", "f:1:11: error: alias \"a\" stands within what it stands for [alias]\n"},
      {"name: !secret x\n", "f:1:7: error: tag \"!secret\" is not allowed [tag]\n"},
      {"name: !!int x\n", "f:1:7: error: tag \"!!int\" does not fit \"x\" [tag]\n"},
      {"name: \xFF\n", "f:1:7: error: byte 0xff is not UTF-8 [encoding]\n"},
      {"n\xC3\xA4me: \xC3(\n", "f:1:7: error: byte 0xc3 is not UTF-8 [encoding]\n"},
      {"name: \xED\xA0\x80\n", "f:1:7: error: byte 0xed is not UTF-8 [encoding]\n"},
  });
}

TEST(Problems, ColumnsCountCodePoints) {
  EXPECT_EQ(ProblemsOf("{name: \"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\", nmae: 1, tasks: {a: "
                       "{command: x}}}"),
            "f:1:15: error: unknown key \"nmae\"; did you mean \"name\"? [unknown-key]\n");
  EXPECT_EQ(ProblemsOf("\xEF\xBB\xBFnmae: 1\nname: x\ntasks: {a: {command: x}}"),
            "f:1:1: error: unknown key \"nmae\"; did you mean \"name\"? [unknown-key]\n");
}

TEST(Problems, KeysThatStandTwiceNameBothLines) {
  Check({{"name: x\nname: y\ntasks:\n  a: {command: x}\n  b: {command: x, \"command\": y}\n",
          "f:2:1: error: key \"name\" appears twice (first on line 1) [duplicate-key]\n"
          "f:5:19: error: key \"command\" appears twice (first on line 5) [duplicate-key]\n"},
         {"name: x\ntasks:\n  a: {command: x}\n  a: {command: x}\n",
          "f:4:3: error: key \"a\" appears twice (first on line 3) [duplicate-key]\n"}});
  std::string many = "name: x\ntasks:\n";
  for (char c = 'a'; c <= 'z'; ++c) many += std::string("  ") + c + ": {command: x}\n";
  EXPECT_EQ(ProblemsOf(many + "  m: {command: x}\n"),
            "f:29:3: error: key \"m\" appears twice (first on line 15) [duplicate-key]\n");
}

TEST(Problems, KeysAreText) {
  Check({{"name: x\ntasks: {1: {command: x}, true: {command: y}, no: {command: z}}\n", ""},
         {"name: x\ntasks: {a: {command: x}}\n\"\": 1\nnull: 2\n[a]: 3\n{a: b}: 4\n~: 5\n",
          "f:3:1: error: a key may not be empty [wrong-type]\n"
          "f:4:1: error: a key must be text, not null; use quotes [wrong-type]\n"
          "f:5:1: error: a key must be text, not a list [wrong-type]\n"
          "f:6:1: error: a key must be text, not a map [wrong-type]\n"
          "f:7:1: error: a key must be text, not null; use quotes [wrong-type]\n"}});
}

TEST(Problems, UnknownKeysGetASuggestion) {
  Check({
      {"name: x\ntasks:\n  a: {command: x, on_error: {retires: 3}}\n",
       "f:3:30: error: unknown key \"retires\" in \"on_error\"; did you mean \"retry\"? "
       "[unknown-key]\n"},
      {"name: x\ntasks:\n  a: {run: x, needs: b, timeout: 3, retries: 2, prompt: p, xyzzy: 1}\n",
       "f:3:3: error: task \"a\" has no agent, script or command [kind]\n"
       "f:3:7: error: unknown key \"run\" in task \"a\"; did you mean \"command\"? "
       "[unknown-key]\n"
       "f:3:15: error: unknown key \"needs\" in task \"a\"; did you mean \"depends_on\"? "
       "[unknown-key]\n"
       "f:3:25: error: unknown key \"timeout\" in task \"a\"; did you mean \"timeout_secs\"? "
       "[unknown-key]\n"
       "f:3:37: error: unknown key \"retries\" in task \"a\"; did you mean \"on_error.retry\"? "
       "[unknown-key]\n"
       "f:3:49: error: unknown key \"prompt\" in task \"a\"; did you mean \"description\"? "
       "[unknown-key]\n"
       "f:3:60: error: unknown key \"xyzzy\" in task \"a\" [unknown-key]\n"},
      {"name: x\ntasks:\n  a: {command: x, on_error: {max_retries: 3}}\n",
       "f:3:30: error: unknown key \"max_retries\" in \"on_error\"; did you mean \"retry\"? "
       "[unknown-key]\n"},
  });
}

TEST(Problems, LenientMakesUnknownKeysWarnings) {
  const char* text = "name: x\ntasks: {a: {command: x, retires: 3}}\nfoo: 1\n";

  const Compiled compiled = CompileWorkflow(text, {.lenient = true});

  EXPECT_NE(compiled.plan, nullptr);
  EXPECT_EQ(FormatProblems("f", compiled.problems),
            "f:2:25: warning: unknown key \"retires\" in task \"a\" is ignored; did you mean "
            "\"on_error.retry\"? [unknown-key]\n"
            "f:3:1: warning: unknown key \"foo\" is ignored [unknown-key]\n");
}

TEST(Problems, LenientHoldsWhereverKeysAreFixed) {
  const char* text =
      "name: x\nunknown: 1\nrecovery: {unknown: 1, circuit_breaker: {unknown: 1}}\n"
      "tools: {unknown: 1}\nrequires: {unknown: 1}\nlimits: {unknown: 1}\n"
      "on_error: {unknown: 1}\ninputs: {i: {unknown: 1}}\n"
      "outputs: {o: {unknown: 1, source: {type: state, key: k, task: 1}}}\n"
      "agents: {a: {unknown: 1, mock: {unknown: 1}, permissions: {unknown: 1}}}\n"
      "tasks:\n  t:\n    unknown: 1\n    command: {executable: x, unknown: 1}\n"
      "    on_complete: {unknown: 1}\n"
      "    condition: {or: [{type: always, unknown: 1}], unknown: 1}\n"
      "    loop: {type: for_each, iterator: n, count: 1, collection: {source: inline, items: [], "
      "path: 1}}\n"
      "  u: {script: {language: sh, content: x, unknown: 1}}\n"
      "  p: {subtasks: {u: {command: x, unknown: 1}}}\n"
      "workflows: {w: {unknown: 1, steps: [{stage: s, tasks: [t], unknown: 1}]}}\n"
      "hooks: {unknown: 1, on_error: [{command: x, unknown: 1}]}\n";

  const Compiled strict = CompileWorkflow(text, {});
  const Compiled lenient = CompileWorkflow(text, {.lenient = true});

  EXPECT_EQ(strict.plan, nullptr);
  ASSERT_NE(lenient.plan, nullptr) << FormatProblems("f", lenient.problems);
  EXPECT_EQ(strict.problems.size(), 26u);
  EXPECT_EQ(lenient.problems.size(), 26u);
  for (const Problem& problem : lenient.problems) {
    EXPECT_TRUE(problem.warning);
    EXPECT_EQ(problem.code, "unknown-key");
  }
}

TEST(Problems, WorkThatCannotBeDoneIsAWarningThatARunCanRefuse) {
  const char* text =
      "name: x\nagents: {g: {command: cat}}\ntasks:\n"
      "  b: {mcp_tool: {server: s, tool: t}, description: d, on_error: {fallback_agent: g}}\n"
      "  p: {agent: g, subtasks: {c: {uses: other/flow}}}\n"
      "  d: {embed: {x: 1}, overrides: {y: 2}}\n  e: {uses_workflow: f.yaml}\n";

  const Compiled compiled = CompileWorkflow(text, {});

  ASSERT_NE(compiled.plan, nullptr);
  EXPECT_EQ(
      FormatProblems("f", compiled.problems),
      "f:4:17: warning: task \"b\" is of the kind \"mcp_tool\", which is not supported; it "
      "fails with invalid_request when its turn comes [unsupported]\n"
      "f:5:38: warning: task \"p.c\" is of the kind \"uses\", which is not supported; it fails "
      "with invalid_request when its turn comes [unsupported]\n"
      "f:6:14: warning: task \"d\" is of the kind \"embed\", which is not supported; it fails "
      "with invalid_request when its turn comes [unsupported]\n"
      "f:6:22: warning: key \"overrides\" is not supported and is ignored [unsupported]\n"
      "f:7:22: warning: task \"e\" is of the kind \"uses_workflow\", which is not supported; "
      "it fails with invalid_request when its turn comes [unsupported]\n");
  for (const char* id : {"b", "p.c", "d", "e"}) {
    EXPECT_EQ(compiled.plan->tasks[TaskOf(*compiled.plan, id)].kind, TaskKind::Unsupported) << id;
  }
  ASSERT_TRUE(compiled.unsupported_work);
  EXPECT_EQ(FormatProblems("f", {*compiled.unsupported_work}),
            "f:4:17: error: task \"b\" is of the kind \"mcp_tool\", which is not supported; it "
            "fails with invalid_request when its turn comes [unsupported]\n");
  EXPECT_FALSE(CompileWorkflow("name: x\ntasks: {t: {command: x}}\n", {}).unsupported_work);
  EXPECT_EQ(ProblemsOf("name: x\ntasks: {t: {command: x, uses: y}}\n"),
            "f:2:9: error: task \"t\" has both \"command\" and \"uses\"; keep one [kind]\n");
}

TEST(Problems, EverythingThatIsIgnoredIsNamed) {
  EXPECT_EQ(ProblemsOf("name: x\nimports: [1]\ntask_groups: 1\ncommunication: {channels: {}}\n"
                       "tools: {constraints: 1}\n"
                       "limits: {external_storage_threshold: a, external_storage_dir: b, "
                       "compress_external: c, cleanup_strategy: d}\n"
                       "agents: {a: {outputs: 1}}\ntasks: {t: {command: [\"${group.x}\"], group: "
                       "1}}\n"),
            "f:2:1: warning: key \"imports\" is not supported and is ignored [unsupported]\n"
            "f:3:1: warning: key \"task_groups\" is not supported and is ignored [unsupported]\n"
            "f:4:1: warning: key \"communication\" is not supported and is ignored [unsupported]\n"
            "f:5:9: warning: key \"constraints\" is not supported and is ignored [unsupported]\n"
            "f:6:10: warning: key \"external_storage_threshold\" is not supported and is ignored "
            "[unsupported]\n"
            "f:6:41: warning: key \"external_storage_dir\" is not supported and is ignored "
            "[unsupported]\n"
            "f:6:66: warning: key \"compress_external\" is not supported and is ignored "
            "[unsupported]\n"
            "f:6:88: warning: key \"cleanup_strategy\" is not supported and is ignored "
            "[unsupported]\n"
            "f:7:14: warning: key \"outputs\" is not supported and is ignored [unsupported]\n"
            "f:8:23: warning: \"${group.x}\" is not supported and stays as text [unsupported]\n"
            "f:8:38: warning: key \"group\" is not supported and is ignored [unsupported]\n");
}

TEST(Problems, PathsMayNotBeEmpty) {
  EXPECT_EQ(ProblemsOf("name: x\ntasks:\n  a: {command: x, output: \"\"}\n  b: {script: {language: "
                       "sh, file: \"\"}}\n"),
            "f:3:27: error: \"output\" may not be empty [bad-value]\n"
            "f:4:36: error: \"file\" may not be empty [bad-value]\n");
}

TEST(Problems, WrongTypesSayWhatIsThereInstead) {
  const auto with = [](const std::string& on_error) {
    return ProblemsOf("name: x\ntasks:\n  a:\n    command: x\n    on_error: {" + on_error + "}\n");
  };
  EXPECT_EQ(with("retry: \"3\""),
            "f:5:23: error: \"retry\" must be an integer, not the string \"3\"; remove the quotes "
            "[wrong-type]\n");
  EXPECT_EQ(with("retry: 3.0"),
            "f:5:23: error: \"retry\" must be an integer, not 3.0 [wrong-type]\n");
  EXPECT_EQ(with("retry: 010"),
            "f:5:23: error: \"retry\" must be an integer, not the string \"010\" [wrong-type]\n");
  EXPECT_EQ(with("retry: -1"),
            "f:5:23: error: \"retry\" must be between 0 and 1000, not -1 [out-of-range]\n");
  EXPECT_EQ(with("retry: 99999999999999999999"),
            "f:5:23: error: \"retry\" must be between 0 and 1000, not 99999999999999999999 "
            "[out-of-range]\n");
  EXPECT_EQ(with("retry: true"),
            "f:5:23: error: \"retry\" must be an integer, not true [wrong-type]\n");
  EXPECT_EQ(with("retry: {}"),
            "f:5:23: error: \"retry\" must be an integer, not a map [wrong-type]\n");
  EXPECT_EQ(with("retry: "),
            "f:5:16: error: \"retry\" has no value; remove the key [wrong-type]\n");
  EXPECT_EQ(with("retry: ~"),
            "f:5:23: error: \"retry\" has no value; remove the key [wrong-type]\n");
  EXPECT_EQ(with("exponential_backoff: yes"),
            "f:5:37: error: \"exponential_backoff\" must be true or false, not the string "
            "\"yes\"; did you mean true? [wrong-type]\n");
  EXPECT_EQ(with("jitter: 2"),
            "f:5:24: error: \"jitter\" must be between 0 and 1, not 2 "
            "[out-of-range]\n");
  EXPECT_EQ(with("retry_delay_secs: 1e9"),
            "f:5:34: error: \"retry_delay_secs\" must be between 0 and 31536000, not 1e9 "
            "[out-of-range]\n");
  EXPECT_EQ(with("retry_delay_secs: 1s"),
            "f:5:34: error: \"retry_delay_secs\" must be a number of seconds, not the string "
            "\"1s\" [wrong-type]\n");
  EXPECT_EQ(with("on_exhausted: Skip"),
            "f:5:30: error: \"on_exhausted\" must be abort, skip or continue, not \"Skip\"; did "
            "you mean \"skip\"? [bad-value]\n");
  EXPECT_EQ(with("retry_on: [timeouts, auth, timeout]"),
            "f:5:27: error: failure class \"timeouts\" does not exist; did you mean \"timeout\"? "
            "[unknown-class]\n"
            "f:5:37: error: failure class \"auth\" may not stand in \"retry_on\" "
            "[unknown-class]\n");
}

TEST(Problems, OnErrorMayBeAWord) {
  Check({{"name: x\ntasks: {a: {command: x, on_error: skip}}\n", ""},
         {"name: x\ntasks: {a: {command: x, on_error: skp}}\n",
          "f:2:35: error: \"on_error\" must be abort, skip or continue, not \"skp\"; did you mean "
          "\"skip\"? [bad-value]\n"},
         {"name: x\ntasks: {a: {command: x, on_error: 3}}\n",
          "f:2:35: error: \"on_error\" must be a map, or abort, skip or continue, not 3 "
          "[wrong-type]\n"}});
}

TEST(Problems, TheCapOfDelaysIsCheckedWhereverTheyComeFrom) {
  Check({{"name: x\non_error: {max_retry_delay_secs: 3}\ntasks:\n"
          "  a: {command: x, on_error: {retry_delay_secs: 5}}\n  b: {command: x}\n",
          "f:2:34: error: \"max_retry_delay_secs\" of task \"a\" is 3, less than its "
          "\"retry_delay_secs\", which is 5 [out-of-range]\n"},
         {"name: x\ntasks: {a: {command: x, on_error: {retry_delay_secs: 100}}}\n", ""}});
}

TEST(Problems, NamesThatAreNotAllowed) {
  Check({
      {"name: x\ntasks:\n  \"a\\nb\": {command: x}\n  -a: {command: x}\n  \"a  b\": {command: x}\n"
       "  \"a \": {command: x}\n  a b-c.d:e/f@g+(h): {command: x}\n  \xC3\xA4\xE6\x97\xA5: "
       "{command: x}\n  a\xCC\x88: {command: x}\n",
       "f:3:3: error: task name \"a\\nb\" may not contain \"\\n\" [bad-name]\n"
       "f:4:3: error: task name \"-a\" must begin with a letter, a digit or _ [bad-name]\n"
       "f:5:3: error: task name \"a  b\" may not contain two spaces in a row [bad-name]\n"
       "f:6:3: error: task name \"a \" may not end with a space [bad-name]\n"},
      {"name: x\nagents: {\"a\xE2\x82\xAC\": {command: x}}\ninputs: {1a: {}, \xC3\xA4: {}}\n"
       "tasks: {a: {command: x, inputs: {output: 1, b.c: 2}}}\n",
       "f:2:10: error: agent name \"a\xE2\x82\xAC\" may not contain \"\xE2\x82\xAC\" [bad-name]\n"
       "f:3:10: error: input \"1a\" must begin with a letter A-Z, a-z or _ [bad-name]\n"
       "f:3:18: error: input \"\xC3\xA4\" must begin with a letter A-Z, a-z or _ [bad-name]\n"
       "f:4:34: error: an input of a task may not be called \"output\": ${task.output} means "
       "something else [bad-name]\n"
       "f:4:45: error: input \"b.c\" may not contain \".\" [bad-name]\n"},
      {"name: x\ntasks:\n  a: {command: {executable: x, env: {A B: x, TROUPE_X: 1, WORKFLOW_NAME: "
       "y, _ok1: z}}}\n",
       "f:3:38: error: environment variable \"A B\" may not contain \" \" [bad-name]\n"
       "f:3:46: error: environment variable \"TROUPE_X\" is reserved; TROUPE_ and WORKFLOW_ "
       "variables are set by troupe [bad-name]\n"
       "f:3:59: error: environment variable \"WORKFLOW_NAME\" is reserved; TROUPE_ and WORKFLOW_ "
       "variables are set by troupe [bad-name]\n"},
      {"name: \"a\\u0007\"\nversion: \"\"\ntasks: {a: {command: x}}\n",
       "f:1:7: error: \"name\" may not contain control characters: \"a\\u0007\" [bad-name]\n"
       "f:2:10: error: \"version\" must have 1 to 64 characters, not 0 [bad-value]\n"},
  });
  const auto root = [](std::size_t name, std::size_t version) {
    return ProblemsOf("name: " + std::string(name, 'n') +
                      "\nversion: " + std::string(version, 'v') + "\ntasks: {a: {command: x}}\n");
  };
  EXPECT_EQ(root(200, 64), "");
  EXPECT_EQ(root(201, 65),
            "f:1:7: error: \"name\" must have 1 to 200 characters, not 201 [bad-name]\n"
            "f:2:10: error: \"version\" must have 1 to 64 characters, not 65 [bad-value]\n");
  EXPECT_EQ(ProblemsOf("name: x\ntasks: {" + std::string(128, 'a') + ": {command: x}}\n"), "");
  EXPECT_EQ(ProblemsOf("name: x\ntasks: {" + std::string(129, 'a') + ": {command: x}}\n"),
            "f:2:9: error: task name \"" + std::string(129, 'a') +
                "\" is longer than 128 characters [bad-name]\n");
  const auto input = [](std::size_t size) {
    return ProblemsOf("name: x\ntasks: {a: {command: x}}\ninputs: {a-_" +
                      std::string(size - 3, '1') + ": {}}\n");
  };
  EXPECT_EQ(input(64), "");
  EXPECT_EQ(input(65), "f:3:10: error: input \"a-_" + std::string(62, '1') +
                           "\" is longer than 64 characters [bad-name]\n");
}

TEST(Problems, ATaskHasExactlyOneKind) {
  Check({
      {"name: x\nagents: {g: {command: x}}\ntasks:\n  a: {}\n  b: {agent: g, command: x, "
       "description: d}\n  c: {agent: g, command: x, script: {language: sh, content: x}}\n",
       "f:4:3: error: task \"a\" has no agent, script or command [kind]\n"
       "f:5:3: error: task \"b\" has both \"agent\" and \"command\"; keep one [kind]\n"
       "f:6:3: error: task \"c\" has \"agent\", \"command\" and \"script\"; keep one [kind]\n"},
      {"name: x\nagents: {g: {command: x}}\ntasks:\n  a: {agent: g}\n  b: {agent: g, description: "
       "\"\"}\n  c: {command: x, on_error: {fallback_agent: g}}\n",
       "f:4:3: error: task \"a\" needs \"description\": it is the prompt of its agent "
       "[missing-key]\n"
       "f:6:3: error: task \"c\" needs \"description\": it is the prompt of its fallback agent "
       "[missing-key]\n"},
      {"name: x\ntasks:\n  a: {script: {language: sh}}\n  b: {script: {language: sh, content: x, "
       "file: y}}\n  c: {script: {content: x}}\n  d: {script: {language: shell, content: x}}\n"
       "  e: {script: echo}\n",
       "f:3:15: error: \"script\" needs \"content\" or \"file\" [missing-key]\n"
       "f:4:15: error: \"script\" has both \"content\" and \"file\"; keep one [kind]\n"
       "f:5:15: error: \"script\" needs \"language\" [missing-key]\n"
       "f:6:26: error: \"language\" must be python, javascript, bash, sh, ruby or perl, not "
       "\"shell\" [bad-value]\n"
       "f:7:15: error: \"script\" must be a map, not the string \"echo\" [wrong-type]\n"},
      {"name: x\ntasks:\n  a: {command: {args: [x]}}\n  b: {command: []}\n  c: {command: \" \"}\n  "
       "d: {command: {executable: x, timeout_secs: 3}, timeout_secs: 4}\n"
       "  e: {command: {executable: \" \"}}\n",
       "f:3:16: error: \"command\" needs \"executable\" [missing-key]\n"
       "f:4:16: error: \"command\" may not be empty [bad-value]\n"
       "f:5:16: error: \"command\" may not be empty [bad-value]\n"
       "f:6:46: error: task \"d\" has \"timeout_secs\" twice, in \"command\" and beside it; keep "
       "one [kind]\n"
       "f:7:29: error: \"executable\" may not be empty [bad-value]\n"},
  });
}

TEST(Problems, PrioritiesAreUnsigned) {
  const auto with = [](const std::string& priority) {
    return ProblemsOf("name: x\ntasks: {a: {command: x, priority: " + priority + "}}\n");
  };
  EXPECT_EQ(with("0"), "");
  EXPECT_EQ(with("4294967295"), "");
  for (const char* priority : {"-1", "4294967296"}) {
    EXPECT_EQ(with(priority), std::string("f:2:35: error: \"priority\" must be between 0 and "
                                          "4294967295, not ") +
                                  priority + " [out-of-range]\n");
  }
}

TEST(Problems, NamesThatDoNotExist) {
  Check({
      {"name: x\nagents: {back_up: {command: x}}\ntasks:\n"
       "  review: {command: x}\n"
       "  publish: {command: x, depends_on: [reveiw], parallel_with: zzz}\n"
       "  a: {agent: back-up, description: d, on_error: {fallback_agent: [backup, back_up, "
       "back_up]}}\n"
       "outputs: {best: {source: {type: task_output, task: rank}}}\n",
       "f:5:38: error: task \"publish\" depends on \"reveiw\", which does not exist; did you mean "
       "\"review\"? [unknown-task]\n"
       "f:5:62: error: task \"publish\" runs parallel with \"zzz\", which does not exist "
       "[unknown-task]\n"
       "f:6:14: error: task \"a\" has agent \"back-up\", which does not exist; did you mean "
       "\"back_up\"? [unknown-agent]\n"
       "f:6:67: error: on_error of task \"a\" names agent \"backup\", which does not exist; did "
       "you mean \"back_up\"? [unknown-agent]\n"
       "f:6:84: error: on_error of task \"a\" names agent \"back_up\" twice [bad-value]\n"
       "f:7:52: error: output \"best\" takes task \"rank\", which does not exist "
       "[unknown-task]\n"},
      {"name: x\ntasks: {a: {command: x}, b: {command: x}}\nworkflows:\n  w:\n    steps:\n"
       "      - {stage: one, tasks: [a, c, a], agents: [g]}\n"
       "      - {stage: two, tasks: [a, {d: }], depends_on: [On, one, one]}\n"
       "      - {stage: one}\n"
       "      - {tasks: [b], mode: Parallel}\n",
       "f:6:33: error: stage \"one\" lists task \"c\", which does not exist; did you mean \"a\"? "
       "[unknown-task]\n"
       "f:6:36: error: task \"a\" is twice in stage \"one\" [duplicate-task]\n"
       "f:6:49: error: stage \"one\" names agent \"g\", which does not exist [unknown-agent]\n"
       "f:7:30: error: task \"a\" is in the stages \"one\" and \"two\" [duplicate-task]\n"
       "f:7:34: error: stage \"two\" lists task \"d\", which does not exist; did you mean \"a\"? "
       "[unknown-task]\n"
       "f:7:54: error: stage \"two\" depends on \"On\", which does not exist [unknown-stage]\n"
       "f:8:9: warning: stage \"one\" has no tasks [empty-stage]\n"
       "f:8:17: error: there are two stages called \"one\" [bad-name]\n"
       "f:9:9: error: \"steps\" needs \"stage\" [missing-key]\n"
       "f:9:28: error: \"mode\" must be sequential or parallel, not \"Parallel\"; did you mean "
       "\"parallel\"? [bad-value]\n"},
  });
  EXPECT_EQ(ProblemsOf("name: x\ntasks: {a: {command: x}}\nworkflows: {release: {}}\n",
                       {.workflow = "realese"}),
            "f: error: workflow \"realese\" does not exist; did you mean \"release\"? "
            "[unknown-workflow]\n");
}

TEST(Problems, CyclesShowTheirTasksAndWhereEdgesComeFrom) {
  Check({
      {"name: x\ntasks:\n  a: {command: x, depends_on: b}\n  b: {command: x, depends_on: [c]}\n  "
       "c: "
       "{command: x, depends_on: a}\n  d: {command: x, depends_on: d}\n  e: {command: x, "
       "depends_on: a}\n",
       "f:3:31: error: cycle: \"a\" -> \"b\" (depends_on, line 3) -> \"c\" (depends_on, line 4) -> "
       "\"a\" (depends_on, line 5) [cycle]\n"
       "f:6:31: error: cycle: \"d\" -> \"d\" (depends_on, line 6) [cycle]\n"},
      {"name: x\ntasks:\n  a: {command: x, depends_on: b}\n  b: {command: x}\nworkflows:\n  w:\n"
       "    steps:\n      - {stage: s, tasks: [a, b]}\n",
       "f:3:31: error: cycle: \"a\" -> \"b\" (depends_on, line 3) -> \"a\" (stage \"s\", line 8) "
       "[cycle]\n"},
      {"name: x\ntasks:\n  a: {command: x, depends_on: c}\n  b: {command: x}\n  c: {command: x}\n"
       "  d: {command: x}\nworkflows:\n  w:\n    steps:\n"
       "      - {stage: s, mode: parallel, tasks: [a, b]}\n"
       "      - {stage: t, mode: parallel, tasks: [c, d], depends_on: [s]}\n",
       "f:3:31: error: cycle: \"a\" -> \"c\" (depends_on, line 3) -> \"a\" (stage \"t\", line 11) "
       "[cycle]\n"},
      {"name: x\ntasks: {a: {command: x}}\nworkflows:\n  w:\n    steps:\n"
       "      - {stage: s, tasks: [a], depends_on: [t]}\n"
       "      - {stage: t, tasks: [], depends_on: [s]}\n",
       "f:6:45: error: cycle: stage \"s\" -> stage \"t\" (depends_on, line 6) -> stage \"s\" "
       "(depends_on, line 7) [cycle]\n"
       "f:7:9: warning: stage \"t\" has no tasks [empty-stage]\n"},
  });
}

TEST(Problems, ALongCycleIsShortened) {
  std::string text = "name: x\ntasks:\n";
  for (int i = 0; i < 14; ++i) {
    text += "  t" + std::to_string(i) + ": {command: x, depends_on: t" +
            std::to_string((i + 1) % 14) + "}\n";
  }

  const std::string problems = ProblemsOf(text);

  EXPECT_NE(problems.find("-> \"t9\" (depends_on, line 11) -> (4 more) -> \"t0\""),
            std::string::npos)
      << problems;
}

TEST(Problems, OtherWorkflowsAreCheckedToo) {
  Check(
      {{"name: x\ntasks: {a: {command: x}, b: {command: x, depends_on: c}, c: {command: x}}\n"
        "workflows:\n  one: {steps: [{stage: s, tasks: [a]}]}\n"
        "  two: {steps: [{stage: s, tasks: [b, c]}, {stage: t, tasks: [nope]}]}\n",
        "f:2:54: error: cycle: \"b\" -> \"c\" (depends_on, line 2) -> \"b\" (stage \"s\", line "
        "5) [cycle]\n"
        "f:5:63: error: stage \"t\" lists task \"nope\", which does not exist "
        "[unknown-task]\n"}});
}

TEST(Problems, AgentsAndTheirProviders) {
  Check({
      {"name: x\nprovider: mock\nagents:\n  a: {provider: command}\n  b: {provider: claude, "
       "command: x}\n  c: {provider: codex}\n  d: {provider: clod}\n  e: {command: {a: b}}\n"
       "  f: {mock: {output: a, echo: true}}\n  g: {mock: {fail_times: allways, class: "
       "worker_lost}}\ntasks: {a: {command: x}}\n",
       "f:4:3: error: agent \"a\" needs \"command\": its provider is command [missing-key]\n"
       "f:5:34: error: agent \"b\" has provider claude, which has no \"command\" [kind]\n"
       "f:6:17: error: provider \"codex\" is not supported yet [not-yet]\n"
       "f:7:17: error: \"provider\" must be claude, command or mock, not \"clod\" [bad-value]\n"
       "f:8:16: error: \"command\" must be a string or a list of strings, not a map "
       "[wrong-type]\n"
       "f:9:13: error: \"mock\" has both \"output\" and \"echo\"; keep one [bad-value]\n"
       "f:10:26: error: \"fail_times\" must be an integer or always, not the string \"allways\" "
       "[wrong-type]\n"
       "f:10:42: error: failure class \"worker_lost\" is not one that an agent can report "
       "[unknown-class]\n"},
      {"name: x\nagents:\n  a: {tools: [Read, \"Bash(git:*)\", mcp__s__t, bash, \"Nope(x)\"], "
       "permissions: {mode: yolo}, max_turns: 0}\ntasks: {a: {command: x}}\n",
       "f:3:47: warning: tool \"bash\" is not known here [unknown-tool]\n"
       "f:3:53: warning: tool \"Nope(x)\" is not known here [unknown-tool]\n"
       "f:3:85: error: \"mode\" must be default, acceptEdits, plan, bypassPermissions or dontAsk, "
       "not \"yolo\" [bad-value]\n"
       "f:3:103: error: \"max_turns\" must be between 1 and 10000, not 0 [out-of-range]\n"},
      {"name: x\nagents:\n  a: {command: [ask], prompt: arg}\n  b: {command: [ask, "
       "\"{{prompt}}\"]}\n  c: {command: [ask, \"{{ prompt_file }}\"]}\n  d: {command: [ask, "
       "\"{{prompt_file}}\"], prompt: file}\n  e: {command: [ask, \"-p={{prompt}}\"], prompt: "
       "arg}\ntasks: {a: {command: x}}\n",
       "f:3:16: error: the command of agent \"a\" has no {{prompt}}, but its \"prompt\" is arg "
       "[unknown-reference]\n"
       "f:4:16: error: the command of agent \"b\" has {{prompt}}, but its \"prompt\" is not arg "
       "[unknown-reference]\n"
       "f:5:16: error: the command of agent \"c\" has {{prompt_file}}, but its \"prompt\" is not "
       "file [unknown-reference]\n"},
  });
}

TEST(Problems, ToolsThatAreKnown) {
  const auto with = [](const std::string& tools) {
    return ProblemsOf("name: x\ntools: {allowed: [" + tools + "]}\ntasks: {a: {command: x}}\n");
  };
  EXPECT_EQ(
      with("Read, Write, Edit, Bash, Grep, Glob, WebSearch, WebFetch, Task, TodoWrite, Skill, "
           "SlashCommand, mcp__server__tool, \"Bash(git:*)\""),
      "");
  for (const char* tool : {"read", "mcp__server", "mcp____tool", "mcp__server__", "Bash(git"}) {
    EXPECT_EQ(with(tool), std::string("f:2:19: warning: tool \"") + tool +
                              "\" is not known here [unknown-tool]\n");
  }
}

TEST(Problems, Hooks) {
  Check({
      {"name: x\ntasks: {a: {command: x}}\nhooks:\n  pre_workflow:\n    - \" \"\n    - {}\n    - "
       "3\n"
       "    - {command: x, async: true, on_failure: fail}\n    - {command: x, timeout_secs: 0}\n"
       "  on_start: [x]\n  post_workflow: echo done\n",
       "f:5:7: error: \"command\" may not be empty [bad-value]\n"
       "f:6:7: error: \"pre_workflow\" needs \"command\" [missing-key]\n"
       "f:7:7: error: an item of \"pre_workflow\" must be a string or a map, not 3 [wrong-type]\n"
       "f:8:45: error: \"on_failure\" may not be fail for a hook that is async: nothing waits for "
       "it [bad-value]\n"
       "f:9:34: error: \"timeout_secs\" must be above 0, not 0 [out-of-range]\n"
       "f:10:3: error: unknown key \"on_start\" in \"hooks\" "
       "[unknown-key]\n"},
  });
}

TEST(Problems, WarningsDoNotStopARun) {
  const char* text =
      "name: x\ntask_groups: {a: 1}\nagents: {g: {command: x}, h: {command: x, outputs: {}}}\n"
      "tasks:\n"
      "  a: {agent: g, description: d, group: 1, on_error: {fallback_agent: g}, parallel_with: "
      "a}\n"
      "  b: {command: x, depends_on: a, parallel_with: a}\n"
      "  c: {command: x, parallel_with: [d, b]}\n"
      "  d: {command: x, depends_on: c}\n"
      "workflows:\n  w:\n    steps:\n"
      "      - {stage: s, agents: [h], tasks: [{a: {description: other, agent: h, x-y: 1}}]}\n";

  const Compiled compiled = CompileWorkflow(text, {});

  EXPECT_NE(compiled.plan, nullptr);
  EXPECT_EQ(FormatProblems("f", compiled.problems),
            "f:2:1: warning: key \"task_groups\" is not supported and is ignored [unsupported]\n"
            "f:3:43: warning: key \"outputs\" is not supported and is ignored [unsupported]\n"
            "f:5:33: warning: key \"group\" is not supported and is ignored [unsupported]\n"
            "f:5:70: warning: fallback agent \"g\" of task \"a\" is its own agent [same-agent]\n"
            "f:5:89: warning: task \"a\" cannot run parallel with itself [parallel-with]\n"
            "f:6:49: warning: task \"b\" cannot run parallel with \"a\", on which it depends "
            "[parallel-with]\n"
            "f:7:35: warning: task \"c\" cannot run parallel with \"d\", which depends on it "
            "[parallel-with]\n"
            "f:12:42: warning: task \"a\" has agent \"g\", which stage \"s\" does not list "
            "[stage-agent]\n"
            "f:12:66: warning: \"agent\" of task \"a\" differs from its definition in \"tasks\", "
            "which counts [stage-differs]\n");
}

TEST(Problems, AStageMayRepeatTheDefinitionOfATask) {
  EXPECT_EQ(
      ProblemsOf("name: x\ntasks:\n  a: {command: {executable: x, args: [y, \"1\"]}, priority: "
                 "2}\nworkflows: {w: {steps: [{stage: s, tasks: [{a: {priority: 2, command: "
                 "{args: [\"y\", '1'], executable: x}}}]}]}}\n"),
      "");
}

TEST(Problems, WhatIsNotBuiltYetIsRefusedAndNothingElseIsSaidOfIt) {
  Check({
      {"name: x\nsecrets: {}\ndsl_version: 2.0\nagents: {a: {session: run}}\ntasks:\n"
       "  t: {http: {url: x}}\n  s: {subflow: flow}\n"
       "  q: {command: [\"${task.s.u.output}\", \"${task.s.key}\"], depends_on: [s.u, s]}\n"
       "  l: {command: [\"${n} ${loop.index}\"], loop: {type: repeat, count: no}}\n"
       "  p: {subtasks: {u: {command: [\"${n}\"]}}, loop: {type: for_each}}\n"
       "  n: {command: x, on_complete: {notify: {message: x}}}\n"
       "outputs: {o: {source: {type: file, path: k}}}\n",
       "f:2:1: error: key \"secrets\" is not supported yet [not-yet]\n"
       "f:3:14: error: dsl_version \"2.0\" is not supported yet [not-yet]\n"
       "f:4:14: error: key \"session\" is not supported yet [not-yet]\n"
       "f:6:7: error: key \"http\" is not supported yet [not-yet]\n"
       "f:7:7: error: key \"subflow\" is not supported yet [not-yet]\n"
       "f:9:53: error: loop type \"repeat\" is not supported yet [not-yet]\n"
       "f:10:49: error: \"loop\" with \"subtasks\" is not supported yet [not-yet]\n"
       "f:11:41: error: \"notify\" as a map is not supported yet [not-yet]\n"
       "f:12:30: error: source type \"file\" is not supported yet [not-yet]\n"},
      {"name: x\nlimits: {truncation_strategy: summary, max_context_bytes: 3}\nrequires: {cpus: "
       "1}\ntasks: {a: {command: x}}\n",
       "f:2:31: error: truncation_strategy \"summary\" is not supported yet [not-yet]\n"
       "f:2:40: error: key \"max_context_bytes\" is not supported yet [not-yet]\n"
       "f:3:12: error: key \"cpus\" is not supported yet [not-yet]\n"},
  });
}

TEST(Problems, AtMostAHundredArePrinted) {
  std::string text = "name: x\ntasks: {a: {command: x}}\n";
  for (int i = 0; i < 137; ++i) text += "zzzzzzz" + std::to_string(i) + ": 1\n";

  const std::string printed = ProblemsOf(text);

  EXPECT_EQ(std::count(printed.begin(), printed.end(), '\n'), 101);
  EXPECT_NE(printed.find("\n... and 37 more\n"), std::string::npos);
}

TEST(Problems, MessagesAreBoundedAndCutBetweenCharacters) {
  std::string key;
  for (int i = 0; i < 300; ++i) key += "\xE2\x82\xAC";

  const Compiled compiled =
      CompileWorkflow("name: x\n" + key + ": 1\ntasks: {\"" + key + "\": {comand: x}}\n", {});

  ASSERT_GE(compiled.problems.size(), 2u);
  for (const Problem& problem : compiled.problems) {
    EXPECT_LE(problem.message.size(), 400u);
    EXPECT_NE(problem.message.find("\xE2\x82\xAC..."), std::string::npos) << problem.message;
  }
  EXPECT_EQ(ProblemsOf("name: x\ntasks: {a: {command: x}}\n\"q\\\"\\\\\\t\": 1\n"),
            "f:3:1: error: unknown key \"q\\\"\\\\\\t\" [unknown-key]\n");
}

// Three names, each of which is cut, are still more than a message may hold.
TEST(Problems, AMessageOfManyLongNamesIsCut) {
  const std::string a(120, 'a');
  const Compiled compiled = CompileWorkflow(
      "name: x\nagents: {" + a + "1: {command: x}, " + a + "2: {command: x}}\ntasks: {" + a +
          ": {agent: " + a + "1, description: d}}\nworkflows: {w: {steps: [{stage: " + a +
          ", agents: [" + a + "2], tasks: [" + a + "]}]}}\n",
      {});

  ASSERT_EQ(compiled.problems.size(), 1u);
  EXPECT_EQ(compiled.problems[0].code, "stage-agent");
  EXPECT_EQ(compiled.problems[0].message.size(), 400u);
  EXPECT_EQ(compiled.problems[0].message.substr(397), "...");
}

TEST(DidYouMean, CountsInsertsDeletesReplacementsAndSwaps) {
  EXPECT_EQ(DidYouMean("reveiw", {"review"}), "review");
  EXPECT_EQ(DidYouMean("revew", {"review"}), "review");
  EXPECT_EQ(DidYouMean("reviiew", {"review"}), "review");
  EXPECT_EQ(DidYouMean("xeview", {"review"}), "review");
  EXPECT_EQ(DidYouMean("xexiew", {"review"}), "review");
  EXPECT_EQ(DidYouMean("xexixw", {"review"}), "");
}

// Where only one step is allowed, each kind of step is one.
TEST(DidYouMean, CountsEachStepAsOne) {
  for (const char* word : {"ct", "carts", "cot", "cta", "act"}) {
    EXPECT_EQ(DidYouMean(word, {"cat", "cart"}), word == std::string("carts") ? "cart" : "cat");
  }
}

TEST(DidYouMean, TakesTheNearestAndOfThoseTheFirst) {
  EXPECT_EQ(DidYouMean("builds", {"bald", "builder", "build", "guild"}), "build");
  EXPECT_EQ(DidYouMean("cat", {"bat", "car"}), "bat");
  EXPECT_EQ(DidYouMean("abcdef", {"abcdxy", "abxyef"}), "abcdxy");
}

TEST(DidYouMean, ShortWordsMayDifferInOneLetter) {
  EXPECT_EQ(DidYouMean("a", {"b"}), "b");
  EXPECT_EQ(DidYouMean("ab", {"cd"}), "");
  EXPECT_EQ(DidYouMean("", {"a"}), "");
  EXPECT_EQ(DidYouMean("\xC3\xA4\xC3\xB6", {"\xC3\xA4o"}), "\xC3\xA4o");
}

}  // namespace
}  // namespace troupe
