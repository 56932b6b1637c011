// What a worker is ordered to do, of what a workflow says.
#include "coordinator/make_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/plans.h"

namespace troupe {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

// No text here refers to anything.
class NoValues final : public ValueSource {
 public:
  std::optional<Value> Look(const Ref&) const override { return std::nullopt; }
};

// The first task of the plan, by this agent.
AttemptSpec SpecOf(const PlanMaker& maker, std::uint32_t agent, const TaskRecord& record = {}) {
  const std::shared_ptr<const Plan> plan = maker.Share();
  RunRecord run;
  run.run_dir = "/run";
  const TextOwner owner{.task = &plan->tasks[0], .id = plan->tasks[0].id};
  Result<AttemptSpec> spec =
      MakeTaskSpec(*plan, run, owner, agent, record, {RunId{1}, Subject::Task, 0, 1}, NoValues());
  EXPECT_TRUE(spec.has_value());
  return spec.has_value() ? *std::move(spec) : AttemptSpec();
}

TEST(TaskSpec, HasTheAgentsDirectoryVariablesAndPrompt) {
  PlanMaker maker;
  const auto agent = maker.Agent("a");
  maker.Task("t", {}, agent);
  Agent& a = maker.plan().agents[agent];
  a.provider = Provider::Command;
  a.model = "small";
  a.command = {Literal("ask"), Literal("{{prompt}}")};
  a.prompt = PromptMode::Arg;
  a.result = ResultMode::JsonLast;
  a.cwd = Literal("work");
  a.create_cwd = true;
  a.env = {{"A", Literal("1")}};
  a.pass_env = {"HOME"};
  a.system_prompt = Literal("Be kind.");

  const AttemptSpec spec = SpecOf(maker, agent);

  EXPECT_EQ(spec.kind, RunnerKind::AgentCommand);
  EXPECT_EQ(spec.task, "t");
  EXPECT_EQ(spec.agent, "a");
  EXPECT_EQ(spec.model, "small");
  EXPECT_THAT(spec.argv, ElementsAre("ask", "{{prompt}}"));
  EXPECT_EQ(spec.prompt_mode, PromptMode::Arg);
  EXPECT_EQ(spec.result_mode, ResultMode::JsonLast);
  EXPECT_EQ(spec.run_dir, "/run");
  EXPECT_EQ(spec.working_dir, "work");
  EXPECT_TRUE(spec.create_working_dir);
  EXPECT_THAT(spec.env, ElementsAre(std::pair<std::string, std::string>("A", "1")));
  EXPECT_THAT(spec.pass_env, ElementsAre("HOME"));
  EXPECT_EQ(spec.prompt, "Be kind.\n\ndo t");
}

TEST(TaskSpec, GivesClaudeItsOptionsAndThePromptAlone) {
  PlanMaker maker;
  const auto agent = maker.Agent("a");
  maker.Task("t", {}, agent);
  maker.plan().disallowed_tools = {"Bash"};
  Agent& a = maker.plan().agents[agent];
  a.provider = Provider::Claude;
  a.system_prompt = Literal("Be kind.");
  a.permission_mode = "plan";
  a.tools = {"Read"};
  a.allowed_directories = {Literal("/data")};
  a.max_turns = 7;

  const AttemptSpec spec = SpecOf(maker, agent);

  EXPECT_EQ(spec.kind, RunnerKind::Claude);
  EXPECT_EQ(spec.prompt, "do t");
  const ClaudeOptions expected{.system_prompt = "Be kind.",
                               .permission_mode = "plan",
                               .tools = {"Read"},
                               .disallowed_tools = {"Bash"},
                               .allowed_directories = {"/data"},
                               .max_turns = 7};
  EXPECT_EQ(spec.claude, expected);
}

TEST(TaskSpec, HasTheTasksOwnWork) {
  PlanMaker maker;
  maker.Task("t");
  PlannedTask& task = maker.plan().tasks[0];
  task.kind = TaskKind::Script;
  task.extra.Change().output = Literal("out.txt");
  task.extra.Change().inputs_json = "{\"k\":1}";
  task.settings = std::make_shared<const Settings>(
      Settings{.timeout = seconds(3), .silence = seconds(2), .max_stdout_bytes = 5});
  OwnWork work;
  work.argv = {Literal("python3")};
  work.script_content = Literal("print(1)");
  work.working_dir = Literal("src");
  work.create_working_dir = true;
  work.env = {{"V", Literal("1")}};
  work.capture_stdout = false;
  work.capture_stderr = true;
  task.work = std::make_shared<const OwnWork>(work);

  const AttemptSpec spec = SpecOf(maker, kNone);

  EXPECT_EQ(spec.kind, RunnerKind::Script);
  EXPECT_THAT(spec.argv, ElementsAre("python3"));
  EXPECT_EQ(spec.script_content, "print(1)");
  EXPECT_EQ(spec.working_dir, "src");
  EXPECT_TRUE(spec.create_working_dir);
  EXPECT_THAT(spec.env, ElementsAre(std::pair<std::string, std::string>("V", "1")));
  EXPECT_FALSE(spec.capture_stdout);
  EXPECT_TRUE(spec.capture_stderr);
  EXPECT_EQ(spec.output_path, "out.txt");
  EXPECT_EQ(spec.inputs_json, "{\"k\":1}");
  EXPECT_EQ(spec.timeout, seconds(3));
  EXPECT_EQ(spec.silence, seconds(2));
  EXPECT_EQ(spec.limits.stdout_bytes, 5u);
}

TEST(MockSpec, TheFirstAttemptsOfATaskWithTheAgentFail) {
  PlanMaker maker;
  const auto agent = maker.Agent(
      "a", {.fail_times = 2, .failure = FailureClass::RateLimited, .retry_after = seconds(5)});
  maker.Task("t", {}, agent);
  // Seven attempts were with another agent, so many with this one.
  const auto with = [&](std::uint32_t before) {
    TaskRecord record;
    record.attempts = 7 + before;
    record.step = 1;
    record.attempts_by_step = {7, before};
    return SpecOf(maker, agent, record).mock;
  };

  EXPECT_EQ(SpecOf(maker, agent).mock.fail, FailureClass::RateLimited);
  EXPECT_EQ(with(0).fail, FailureClass::RateLimited);
  EXPECT_EQ(with(0).retry_after, seconds(5));
  EXPECT_EQ(with(1).fail, FailureClass::RateLimited);
  EXPECT_EQ(with(2).fail, std::nullopt);
  maker.plan().agents[agent].mock.fail_times = kNone;
  EXPECT_EQ(with(1'000'000).fail, FailureClass::RateLimited);
}

TEST(MockSpec, SaysWhatASuccessGives) {
  PlanMaker maker;
  const auto agent =
      maker.Agent("a", {.sleep = seconds(3), .output = "done", .result_json = "{\"n\":1}"});
  maker.Task("t", {}, agent);

  const AttemptSpec spec = SpecOf(maker, agent);
  maker.plan().agents[agent].mock.echo = true;
  const AttemptSpec echo = SpecOf(maker, agent);

  EXPECT_EQ(spec.kind, RunnerKind::Mock);
  EXPECT_EQ(spec.mock.fail, std::nullopt);
  EXPECT_EQ(spec.mock.sleep, seconds(3));
  EXPECT_EQ(spec.mock.output, "done");
  EXPECT_EQ(spec.mock.result_json, "{\"n\":1}");
  EXPECT_EQ(echo.mock.output, "do t");
}

}  // namespace
}  // namespace troupe
