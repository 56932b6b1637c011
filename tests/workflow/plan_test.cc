// What a file's keys become in a plan.
#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Plan, TheSmallestOne) {
  const auto plan = PlanOf("name: hello\ntasks:\n  greet: {command: \"echo ${hello}\"}\n");

  EXPECT_EQ(plan->name, "hello");
  EXPECT_EQ(plan->version, "1.0.0");
  EXPECT_EQ(plan->workflow, "");
  ASSERT_EQ(plan->tasks.size(), 1u);
  const PlannedTask& task = plan->tasks[0];
  EXPECT_EQ(task.kind, TaskKind::Command);
  EXPECT_EQ(task.agent, kNone);
  EXPECT_TRUE(task.work->shell);
  EXPECT_EQ(task.work->argv, (std::vector<Template>{Literal("echo ${hello}")}));
  EXPECT_TRUE(task.extra->output.empty());
  EXPECT_EQ(task.extra->inputs_json, "{}");
  EXPECT_EQ(*task.rules, RecoveryRules{});
}

TEST(Plan, RootKeys) {
  const auto plan = PlanOf(
      "name: x\nversion: 1.10\nmax_parallel: 7\nrecovery: {worker_losses_max: 5, "
      "rate_limit_wait_max_secs: 1.5}\ntools: {disallowed: [Bash, WebFetch]}\nagents: {a: {tools: "
      "[Read, Bash]}, b: {}}\ntasks: {t: {command: x}}\n");

  EXPECT_EQ(plan->version, "1.10");
  EXPECT_EQ(plan->max_parallel, 7u);
  EXPECT_EQ(plan->worker_losses_max, 5u);
  EXPECT_EQ(plan->rate_limit_wait_max, milliseconds(1500));
  EXPECT_EQ(plan->disallowed_tools, (std::vector<std::string>{"Bash", "WebFetch"}));
  EXPECT_EQ(plan->agents[0].tools, std::vector<std::string>{"Read"});
  EXPECT_TRUE(plan->agents[1].tools.empty());
}

TEST(Plan, RetryBudgetAndCircuitBreakers) {
  const auto plan = PlanOf(
      "name: x\nrecovery: {retry_budget: 0, circuit_breaker: {failures: 2}}\n"
      "agents: {a: {command: x, circuit_breaker: {window_secs: 0.5, cooldown_secs: 7}}, b: "
      "{command: x}}\ntasks: {t: {command: x}}\n");

  EXPECT_EQ(plan->retry_budget, 0u);
  EXPECT_EQ(plan->agents[0].breaker->failures, 5u);
  EXPECT_EQ(plan->agents[0].breaker->window, milliseconds(500));
  EXPECT_EQ(plan->agents[0].breaker->cooldown, seconds(7));
  EXPECT_EQ(plan->agents[1].breaker->failures, 2u);
  EXPECT_EQ(plan->agents[1].breaker->window, seconds(60));
  EXPECT_EQ(ProblemsOf("name: x\nlimits: {max_stdout_bytes: 16777217}\ntasks: {t: {command: x}}\n"),
            "f:2:28: error: \"max_stdout_bytes\" must be between 0 and 16777216, not 16777217 "
            "[out-of-range]\n");
  const auto none = PlanOf("name: x\nagents: {a: {command: x}}\ntasks: {t: {command: x}}\n");
  EXPECT_EQ(none->retry_budget, kNone);
  EXPECT_FALSE(none->agents[0].breaker);
  EXPECT_EQ(ProblemsOf("name: x\nrecovery: {retry_budget: -1, circuit_breaker: {failures: 0, "
                       "window_secs: 0, cooldown_secs: 0}}\ntasks: {t: {command: x}}\n"),
            "f:2:26: error: \"retry_budget\" must be between 0 and 1000000000, not -1 "
            "[out-of-range]\n"
            "f:2:58: error: \"failures\" must be between 1 and 1000000, not 0 [out-of-range]\n"
            "f:2:74: error: \"window_secs\" must be above 0, not 0 [out-of-range]\n"
            "f:2:92: error: \"cooldown_secs\" must be above 0, not 0 [out-of-range]\n");
}

TEST(Plan, CommandsAndScripts) {
  const auto plan = PlanOf(
      "name: x\ncwd: root\ncreate_cwd: true\ninputs: {v: {}}\ntasks:\n"
      "  list: {command: [ls, -l, \"${v}\", 3]}\n"
      "  map: {command: {args: [all], executable: make, working_dir: src, env: {V: 1}, "
      "timeout_secs: 600, capture_stdout: false, capture_stderr: true}}\n"
      "  py: {script: {language: python, content: \"print('${v} ${HOME}')\"}}\n"
      "  js: {script: {language: javascript, file: \"${v}.js\"}}\n");

  const OwnWork& list = *plan->tasks[0].work;
  EXPECT_FALSE(list.shell);
  ASSERT_EQ(list.argv.size(), 4u);
  EXPECT_EQ(Written(list.argv[2]), "<v>");
  EXPECT_EQ(Written(list.argv[3]), "3");
  EXPECT_EQ(Written(*list.working_dir), "root");
  EXPECT_TRUE(list.create_working_dir);
  const OwnWork& map = *plan->tasks[1].work;
  EXPECT_EQ(Written(map.argv[0]), "make");
  EXPECT_EQ(Written(map.argv[1]), "all");
  EXPECT_EQ(Written(*map.working_dir), "src");
  EXPECT_EQ(map.env, (EnvTemplates{{"V", Literal("1")}}));
  EXPECT_FALSE(map.capture_stdout);
  EXPECT_TRUE(map.capture_stderr);
  EXPECT_EQ(plan->tasks[1].settings->timeout, seconds(600));
  const OwnWork& python = *plan->tasks[2].work;
  EXPECT_EQ(plan->tasks[2].kind, TaskKind::Script);
  EXPECT_EQ(Written(python.argv[0]), "python3");
  EXPECT_EQ(Written(python.script_content), "print('<v> ${HOME}')");
  EXPECT_TRUE(python.script_file.empty());
  const OwnWork& script = *plan->tasks[3].work;
  EXPECT_EQ(Written(script.argv[0]), "node");
  EXPECT_EQ(Written(script.script_file), "<v>.js");
  EXPECT_TRUE(script.script_content.empty());
}

TEST(Plan, AgentsTakeDefaultsFromTheRoot) {
  const auto plan = PlanOf(
      "name: x\nprovider: mock\nmodel: big\ncwd: w\ncreate_cwd: true\ntools: {allowed: [Read]}\n"
      "agents:\n"
      "  plain: {}\n"
      "  shell: {command: cat, model: small, cwd: v, create_cwd: false, tools: [], pass_env: HOME, "
      "prompt: file, result: json_last, env: {A: \"${run.id}\"}, max_concurrent: 3}\n"
      "  list: {command: [ask, \"{{prompt}}\", \"{{ prompt }}\"], prompt: arg}\n"
      "  claude: {provider: claude, system_prompt: be kind, max_turns: 5, permissions: {mode: "
      "plan, "
      "allowed_directories: [a, \"${run.id}\"]}}\n"
      "  mock: {mock: {fail_times: always, class: rate_limited, retry_after_secs: 0.5, sleep_secs: "
      "1, echo: true, result: {a: [1, null]}}}\n"
      "tasks: {t: {command: x}}\n");

  const Agent& plain = plan->agents[0];
  EXPECT_EQ(plain.provider, Provider::Mock);
  EXPECT_EQ(plain.model, "big");
  EXPECT_EQ(plain.tools, std::vector<std::string>{"Read"});
  EXPECT_EQ(Written(*plain.cwd), "w");
  EXPECT_TRUE(plain.create_cwd);
  EXPECT_EQ(plain.mock.output, "ok");
  EXPECT_EQ(plain.permission_mode, "default");
  const Agent& shell = plan->agents[1];
  EXPECT_EQ(shell.provider, Provider::Command);
  EXPECT_TRUE(shell.shell);
  EXPECT_EQ(shell.model, "small");
  EXPECT_EQ(Written(*shell.cwd), "v");
  EXPECT_FALSE(shell.create_cwd);
  EXPECT_TRUE(shell.tools.empty());
  EXPECT_EQ(shell.pass_env, std::vector<std::string>{"HOME"});
  EXPECT_EQ(shell.prompt, PromptMode::File);
  EXPECT_EQ(shell.result, ResultMode::JsonLast);
  EXPECT_EQ(Written(shell.env[0].second), "<run.id>");
  EXPECT_EQ(shell.max_concurrent, 3u);
  const Agent& list = plan->agents[2];
  EXPECT_FALSE(list.shell);
  EXPECT_EQ(list.command[1], Literal("{{prompt}}"));
  EXPECT_EQ(list.command[2], Literal("{{prompt}}"));
  const Agent& claude = plan->agents[3];
  EXPECT_EQ(claude.provider, Provider::Claude);
  EXPECT_EQ(Written(claude.system_prompt), "be kind");
  EXPECT_EQ(claude.max_turns, 5u);
  EXPECT_EQ(claude.permission_mode, "plan");
  EXPECT_EQ(Written(claude.allowed_directories[1]), "<run.id>");
  const Agent& mock = plan->agents[4];
  EXPECT_EQ(mock.mock.fail_times, kNone);
  EXPECT_EQ(mock.mock.failure, FailureClass::RateLimited);
  EXPECT_EQ(mock.mock.retry_after, milliseconds(500));
  EXPECT_EQ(mock.mock.sleep, seconds(1));
  EXPECT_TRUE(mock.mock.echo);
  EXPECT_EQ(mock.mock.result_json, "{\"a\":[1,null]}");
}

TEST(Plan, TheExecutableStandsBeforeItsArgumentsInWhateverOrderTheyAreWritten) {
  for (const char* command :
       {"executable: make, args: [-k, all]", "args: [-k, all], executable: make"}) {
    const auto plan = PlanOf(std::string("name: x\ntasks: {t: {command: {") + command + "}}}\n");
    std::string words;
    for (const Template& word : plan->tasks[0].work->argv) words += Written(word) + " ";
    EXPECT_EQ(words, "make -k all ");
  }
}

TEST(Plan, AScriptHasTheKeysOfACommandAndALanguage) {
  const auto work = [](const std::string& keys) {
    const auto plan = PlanOf("name: x\ntasks: {t: {script: {content: x, " + keys + "}}}\n");
    EXPECT_EQ(plan->tasks[0].settings != nullptr, keys.find("timeout_secs") != std::string::npos);
    return *plan->tasks[0].work;
  };

  const OwnWork all = work(
      "language: sh, working_dir: src, env: {V: 1}, timeout_secs: 600, capture_stdout: false, "
      "capture_stderr: true");
  EXPECT_EQ(Written(*all.working_dir), "src");
  EXPECT_EQ(all.env, (EnvTemplates{{"V", Literal("1")}}));
  EXPECT_FALSE(all.capture_stdout);
  EXPECT_TRUE(all.capture_stderr);
  const OwnWork none = work("language: sh");
  EXPECT_FALSE(none.working_dir);
  EXPECT_TRUE(none.capture_stdout);
  EXPECT_FALSE(none.capture_stderr);
  const std::vector<std::pair<std::string, std::string>> languages = {
      {"python", "python3"}, {"javascript", "node"}, {"bash", "bash"},
      {"sh", "sh"},          {"ruby", "ruby"},       {"perl", "perl"}};
  for (const auto& [language, interpreter] : languages) {
    EXPECT_EQ(Written(work("language: " + language).argv.at(0)), interpreter);
  }
}

TEST(Plan, APermissionModeIsDefaultUnlessItIsSaid) {
  const auto plan = PlanOf(
      "name: x\nagents: {a: {permissions: {allowed_directories: d}}}\ntasks: {t: {command: x}}\n");

  EXPECT_EQ(plan->agents[0].permission_mode, "default");
  EXPECT_EQ(Written(plan->agents[0].allowed_directories.at(0)), "d");
}

TEST(Plan, AMockSaysWhatItIsTold) {
  const auto plan = PlanOf(
      "name: x\nagents: {a: {mock: {fail_times: 3, output: text, echo: false}}}\n"
      "tasks: {t: {command: x}}\n");

  EXPECT_EQ(plan->agents[0].mock.fail_times, 3u);
  EXPECT_EQ(plan->agents[0].mock.failure, FailureClass::AgentError);
  EXPECT_EQ(plan->agents[0].mock.output, "text");
  EXPECT_FALSE(plan->agents[0].mock.echo);
  EXPECT_EQ(plan->agents[0].mock.result_json, "");
}

TEST(Plan, TheProviderOfAnAgentFollowsFromWhatItHas) {
  using enum Provider;
  const auto of = [](const std::string& root, const std::string& agent) {
    return PlanOf("name: x\n" + root + "agents: {a: {" + agent + "}}\ntasks: {t: {command: x}}\n")
        ->agents.at(0)
        .provider;
  };
  for (const char* root : {"", "provider: claude\n", "provider: mock\n"}) {
    EXPECT_EQ(of(root, "command: x"), Command) << root;
    EXPECT_EQ(of(root, "mock: {}"), Mock) << root;
    EXPECT_EQ(of(root, "provider: claude, mock: {}"), Claude) << root;
  }
  EXPECT_EQ(of("", ""), Claude);
  EXPECT_EQ(of("provider: mock\n", ""), Mock);
}

TEST(Plan, EachKeyOfOnErrorComesFromTheFirstThatHasIt) {
  const auto plan = PlanOf(
      "name: x\non_error: {retry: 1, jitter: 0.5, on_exhausted: continue, fallback_agent: b}\n"
      "agents:\n  a: {command: x, on_error: {retry: 2, retry_on: [timeout, crashed]}}\n"
      "  b: {command: x}\n"
      "tasks:\n"
      "  own: {agent: a, description: d, on_error: {retry: 3, fallback_agent: [], retry_on: []}}\n"
      "  agents: {agent: a, description: d, on_error: skip}\n"
      "  root: {command: x, description: d}\n"
      "  same: {command: x, description: d}\n");

  const RecoveryRules& own = *plan->tasks[0].rules;
  EXPECT_EQ(own.retry, 3u);
  EXPECT_EQ(own.jitter, 0.5);
  EXPECT_TRUE(own.fallback_agents.empty());
  EXPECT_EQ(own.retry_on, 0u);
  EXPECT_EQ(own.on_exhausted, OnExhausted::Continue);
  const RecoveryRules& agents = *plan->tasks[1].rules;
  EXPECT_EQ(agents.retry, 2u);
  EXPECT_EQ(agents.fallback_agents, std::vector<std::uint32_t>{1});
  EXPECT_EQ(agents.retry_on, (1u << static_cast<unsigned>(FailureClass::Timeout)) |
                                 (1u << static_cast<unsigned>(FailureClass::Crashed)));
  EXPECT_EQ(agents.on_exhausted, OnExhausted::Skip);
  EXPECT_EQ(plan->tasks[2].rules->retry, 1u);
  EXPECT_EQ(plan->tasks[2].rules, plan->tasks[3].rules);
}

TEST(Plan, AllKeysOfOnError) {
  const auto plan = PlanOf(
      "name: x\nagents: {b: {command: x}, c: {command: x}}\ntasks:\n  t:\n    command: x\n    "
      "description: d\n    on_error: {retry: 4, retry_delay_secs: 2, exponential_backoff: true, "
      "max_retry_delay_secs: 10, jitter: 1, retry_on: timeout, no_retry_on: [spawn_failed], "
      "fallback_agent: [c, b], fallback_retry: 2, on_exhausted: abort, prefer_other_worker: "
      "false}\n");

  RecoveryRules expected;
  expected.retry = 4;
  expected.retry_delay = seconds(2);
  expected.exponential_backoff = true;
  expected.max_retry_delay = seconds(10);
  expected.jitter = 1;
  expected.retry_on = 1u << static_cast<unsigned>(FailureClass::Timeout);
  expected.no_retry_on = 1u << static_cast<unsigned>(FailureClass::SpawnFailed);
  expected.fallback_agents = {1, 0};
  expected.fallback_retry = 2;
  expected.prefer_other_worker = false;
  EXPECT_EQ(*plan->tasks[0].rules, expected);
}

TEST(Plan, TheCapOfDelaysIsAtLeastTheDelay) {
  const auto plan =
      PlanOf("name: x\ntasks: {t: {command: x, on_error: {retry_delay_secs: 100}}}\n");

  EXPECT_EQ(plan->tasks[0].rules->max_retry_delay, seconds(100));
}

// A file may have a million of them.
TEST(Plan, APlainTaskIsSmallAndSharesWhatIsEqual) {
  EXPECT_LE(sizeof(PlannedTask), 168u);
  const auto plan = PlanOf(
      "name: x\ntasks:\n  plain: {command: x}\n  a: {command: x, timeout_secs: 5}\n"
      "  b: {command: y, timeout_secs: 5}\n  c: {command: x, timeout_secs: 5, silence_secs: 1}\n");

  EXPECT_FALSE(plan->tasks[0].extra);
  EXPECT_EQ(plan->tasks[0].settings, nullptr);
  EXPECT_EQ(plan->tasks[1].settings, plan->tasks[2].settings);
  EXPECT_NE(plan->tasks[1].settings, plan->tasks[3].settings);
}

TEST(Plan, SettingsComeFromTaskThenAgentThenRootKeyByKey) {
  const auto plan = PlanOf(
      "name: x\ntimeout_secs: 10\nqueue_timeout_secs: 11\nrequires: {labels: [root]}\n"
      "limits: {max_stdout_bytes: 1, max_stderr_bytes: 2, truncation_strategy: head}\n"
      "agents:\n  a: {provider: claude, timeout_secs: 20, limits: {max_stdout_bytes: 3}}\n"
      "  b: {command: x, requires: {labels: []}}\n"
      "tasks:\n"
      "  t: {agent: a, description: d, timeout_secs: 0.5, on_error: {fallback_agent: b}}\n"
      "  u: {command: x, silence_secs: 4, requires: {labels: gpu}}\n");

  const EffectiveSettings own = SettingsFor(*plan, plan->tasks[0], 0);
  EXPECT_EQ(own.timeout, milliseconds(500));
  EXPECT_EQ(own.silence, seconds(1800));
  EXPECT_EQ(own.queue_timeout, seconds(11));
  EXPECT_EQ(own.limits.stdout_bytes, 3u);
  EXPECT_EQ(own.limits.stderr_bytes, 2u);
  EXPECT_EQ(own.limits.combined_bytes, 1'572'864u);
  EXPECT_EQ(own.limits.truncation, Truncation::Head);
  EXPECT_EQ(own.labels, std::vector<std::string>{"root"});
  const EffectiveSettings fallback = SettingsFor(*plan, plan->tasks[0], 1);
  EXPECT_EQ(fallback.limits.stdout_bytes, 1u);
  EXPECT_EQ(fallback.silence, Duration{});
  EXPECT_TRUE(fallback.labels.empty());
  const EffectiveSettings command = SettingsFor(*plan, plan->tasks[1], kNone);
  EXPECT_EQ(command.timeout, seconds(10));
  EXPECT_EQ(command.silence, seconds(4));
  EXPECT_EQ(command.labels, std::vector<std::string>{"gpu"});
}

// Every key may stand in each of the places, and counts in that of the first that has it.
TEST(Plan, EverySettingMayStandAtTheRootAtAnAgentAndAtATask) {
  const auto all = [](int n) {
    const std::string value = std::to_string(n);
    return "timeout_secs: " + value + ", silence_secs: " + value +
           ", queue_timeout_secs: " + value + ", requires: {labels: [l" + value +
           "]}, limits: {max_stdout_bytes: " + value + ", max_stderr_bytes: " + value +
           ", max_combined_bytes: " + value +
           ", truncation_strategy: " + (n == 1 ? "head" : "both") + "}";
  };
  const auto settings = [](const std::string& root, const std::string& agent,
                           const std::string& task) {
    const auto plan = PlanOf("{name: x" + root + ", agents: {a: {command: x" + agent +
                             "}}, tasks: {t: {agent: a, description: d" + task + "}}}");
    return SettingsFor(*plan, plan->tasks[0], 0);
  };
  const auto expect = [](const EffectiveSettings& found, int n) {
    EXPECT_EQ(found.timeout, seconds(n));
    EXPECT_EQ(found.silence, seconds(n));
    EXPECT_EQ(found.queue_timeout, seconds(n));
    EXPECT_EQ(found.labels, std::vector<std::string>{"l" + std::to_string(n)});
    const auto bytes = static_cast<std::uint64_t>(n);
    EXPECT_EQ(found.limits,
              (OutputLimits{bytes, bytes, bytes, n == 1 ? Truncation::Head : Truncation::Both}));
  };
  const std::string first = ", " + all(1);
  const std::string second = ", " + all(2);

  expect(settings(first, "", ""), 1);
  expect(settings("", first, ""), 1);
  expect(settings("", "", first), 1);
  expect(settings(second, first, ""), 1);
  expect(settings("", second, first), 1);
}

TEST(Plan, WithoutSettingsTheDefaultsHold) {
  const auto plan = PlanOf("name: x\ntasks: {t: {command: x}}\n");

  const EffectiveSettings settings = SettingsFor(*plan, plan->tasks[0], kNone);

  EXPECT_EQ(settings.timeout, seconds(86'400));
  EXPECT_EQ(settings.silence, Duration{});
  EXPECT_EQ(settings.queue_timeout, Duration{});
  EXPECT_EQ(settings.limits, OutputLimits{});
  EXPECT_TRUE(settings.labels.empty());
}

TEST(Plan, HooksOfTheRootComeBeforeThoseOfTheChosenWorkflow) {
  const auto plan = PlanOf(
      "name: x\ninputs: {i: {}}\ntasks: {t: {command: x}}\n"
      "workflows:\n  w: {hooks: {pre_workflow: [second], on_error: wail}}\n  v: {hooks: "
      "{pre_workflow: [never]}}\n"
      "hooks:\n  pre_workflow: [\"first ${i}\", {command: y, async: true}]\n"
      "  post_workflow: [{command: z, description: Tidy, timeout_secs: 3, on_failure: fail, env: "
      "{A: \"${i}\"}, runs_on: [disk]}]\n");

  const auto& pre = plan->hooks[static_cast<int>(HookList::PreWorkflow)];
  ASSERT_EQ(pre.size(), 3u);
  EXPECT_EQ(pre[0].command, "first ${i}");
  EXPECT_TRUE(pre[0].fail);
  EXPECT_EQ(pre[0].timeout, seconds(300));
  EXPECT_TRUE(pre[1].async);
  EXPECT_FALSE(pre[1].fail);
  EXPECT_EQ(pre[2].command, "second");
  const auto& post = plan->hooks[static_cast<int>(HookList::PostWorkflow)];
  ASSERT_EQ(post.size(), 1u);
  EXPECT_TRUE(post[0].fail);
  EXPECT_EQ(post[0].description, "Tidy");
  EXPECT_EQ(post[0].timeout, seconds(3));
  EXPECT_EQ(Written(post[0].env[0].second), "<i>");
  EXPECT_EQ(post[0].runs_on, std::vector<std::string>{"disk"});
  EXPECT_EQ(plan->hooks[static_cast<int>(HookList::OnError)].size(), 1u);
  EXPECT_FALSE(plan->hooks[static_cast<int>(HookList::OnError)][0].fail);
}

TEST(Plan, TasksWhoseOutputIsUsedAreMarked) {
  const auto plan = PlanOf(
      "name: x\ntasks:\n  a: {command: x}\n  b: {command: x}\n  c: {command: x}\n"
      "  d: {command: [\"${task.a.output}\", \"${task.b.status}\"], depends_on: [a, b, c]}\n"
      "outputs: {o: {source: {type: task_output, task: d}, description: best}}\n");

  EXPECT_TRUE(plan->tasks[0].referenced);
  EXPECT_FALSE(plan->tasks[1].referenced);
  EXPECT_FALSE(plan->tasks[2].referenced);
  EXPECT_TRUE(plan->tasks[3].referenced);
  ASSERT_EQ(plan->outputs.size(), 1u);
  EXPECT_EQ(plan->outputs[0].name, "o");
  EXPECT_EQ(plan->outputs[0].task, 3u);
}

std::uint64_t FingerprintOf(const std::string& text, const char* id) {
  const auto plan = PlanOf(text);
  return plan->tasks[TaskOf(*plan, id)].fingerprint;
}

TEST(Fingerprint, ChangesWithWhatATaskDoesAndNotWithWhatStandsAroundIt) {
  const std::string agents = "name: x\nagents: {a: {command: one}}\n";
  const std::string task = "  t: {agent: a, description: \"do ${task.b.output}\", depends_on: b}\n";
  const std::uint64_t base = FingerprintOf(agents + "tasks:\n  b: {command: x}\n" + task, "t");

  EXPECT_EQ(FingerprintOf(agents + "tasks:\n  a: {command: y}\n  b: {command: z}\n" + task, "t"),
            base);
  EXPECT_EQ(FingerprintOf(agents +
                              "on_error: {retry: 3}\ntimeout_secs: 5\ntasks:\n  b: {command: "
                              "x}\n" +
                              task,
                          "t"),
            base);
  EXPECT_NE(FingerprintOf(
                "name: x\nagents: {a: {command: two}}\ntasks:\n  b: {command: x}\n" + task, "t"),
            base);
  EXPECT_NE(
      FingerprintOf(agents + "tasks:\n  b: {command: x}\n  t: {agent: a, description: \"do it "
                             "${task.b.output}\", depends_on: b}\n",
                    "t"),
      base);
}

TEST(Fingerprint, HoldsConditionsLoopsAndWhatATaskWrites) {
  const auto of = [](const std::string& more) {
    return FingerprintOf(
        "name: x\ntasks:\n  a: {command: x}\n  b: {command: x}\n  t: {command: y" + more + "}\n",
        "t");
  };
  const std::string asked = ", condition: {type: task_status, status: failed, task: ";
  const std::string each = ", loop: {type: for_each, iterator: n, collection: {source: ";
  const std::vector<std::string> variants = {
      "",
      asked + "a}",
      asked + "b}",
      ", condition: {type: state_equals, key: k, value: 1}",
      ", condition: {type: state_equals, key: k, value: 2}",
      ", condition: {not: {type: state_equals, key: k, value: 2}}",
      each + "inline, items: [1]}}",
      each + "inline, items: [2]}}",
      each + "range, start: 0, end: 1}}",
      each + "range, start: 0, end: 2}}",
      each + "file, path: x, format: csv}}",
      each + "file, path: x, format: lines}}",
      ", set: {k: 1}",
      ", set: {k: \"1\"}",
      ", set: {l: 1}",
      ", on_complete: {notify: done}",
  };

  std::set<std::uint64_t> distinct;
  for (const std::string& variant : variants) distinct.insert(of(variant));

  EXPECT_EQ(distinct.size(), variants.size());
}

TEST(Fingerprint, NamesWhatAConditionAsksAbout) {
  const auto of = [](const std::string& before) {
    return FingerprintOf("name: x\ntasks:\n" + before +
                             "  b: {command: x}\n  t: {command: y, condition: {type: task_status, "
                             "task: b, status: failed}}\n",
                         "t");
  };

  EXPECT_EQ(of(""), of("  a: {command: x}\n"));
}

TEST(Fingerprint, IsTheSameWithMoreIterationsAtATime) {
  const auto of = [](const std::string& parallel) {
    return FingerprintOf(
        "name: x\ntasks: {t: {command: x, loop: {type: for_each, iterator: n, collection: {source: "
        "inline, items: [1]}" +
            parallel + "}}}\n",
        "t");
  };

  EXPECT_EQ(of(""), of(", parallel: true, max_parallel: 3"));
}

}  // namespace
}  // namespace troupe
