// What people see: lines, the live block, summaries, plans, explanations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/progress.h"
#include "cli/summary.h"
#include "cli/text.h"
#include "coordinator/explain.h"
#include "tests/coordinator/cluster.h"
#include "tests/coordinator/plans.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Instant kStart = Instant{} + std::chrono::hours(1);

RunEvent EventOf(RunEvent::Kind kind, const std::string& task, Instant at = kStart) {
  RunEvent event;
  event.kind = kind;
  event.at = at;
  event.run = RunId{7};
  event.task = task;
  return event;
}

TEST(Text, WritesDurationsAsPeopleReadThem) {
  EXPECT_EQ(FormatDuration(milliseconds(449)), "0.4s");
  EXPECT_EQ(FormatDuration(seconds(59)), "59.0s");
  EXPECT_EQ(FormatDuration(milliseconds(59'970)), "1m 00s");
  EXPECT_EQ(FormatDuration(seconds(245)), "4m 05s");
  EXPECT_EQ(FormatDuration(seconds(3'720)), "1h 02m");
  EXPECT_EQ(FormatDuration(seconds(-3)), "0.0s");
}

TEST(Text, WritesInstantsWithMilliseconds) {
  EXPECT_EQ(FormatInstant(Instant{} + milliseconds(1'700'000'000'250)), "2023-11-14T22:13:20.250Z");
  EXPECT_EQ(FormatInstant(Instant{}), "");
}

TEST(Text, LetsNoControlCharacterReachATerminal) {
  EXPECT_EQ(Escaped("a\nb\x1b[31m\x7f"), "a\\nb\\x1b[31m\\x7f");
  EXPECT_EQ(Escaped("Łódź"), "Łódź");
}

TEST(Text, CutsToColumnsNotBytes) {
  EXPECT_EQ(CutToWidth("Łódź", 4), "Łódź");
  EXPECT_EQ(CutToWidth("Łódź!", 4), "Łód…");
  EXPECT_EQ(CutToWidth("日本語", 5), "日本…");
  EXPECT_EQ(CutToWidth("abc", 0), "");
  EXPECT_EQ(CutToWidth("\xff\xfe", 1).size(), 3u);
}

TEST(Live, ShowsWhatRunsWaitsAndIsDone) {
  LiveModel model;
  RunEvent started = EventOf(RunEvent::Kind::TaskStarted, "draft");
  started.agent = "writer";
  started.worker = "w2";
  started.attempt = 2;
  model.On(started);
  model.On(EventOf(RunEvent::Kind::TaskStarted, "gone"));
  model.On(EventOf(RunEvent::Kind::TaskCompleted, "gone"));
  model.On(EventOf(RunEvent::Kind::TaskStarted, "fetch"));
  RunEvent retry = EventOf(RunEvent::Kind::TaskRetrying, "fetch");
  retry.failure = FailureClass::AgentError;
  retry.delay = seconds(10);
  retry.retry = 2;
  retry.retries = 3;
  model.On(retry);
  model.Count(7, 3);

  EXPECT_THAT(
      model.Draw(kStart + seconds(6), 80, 24, false),
      ElementsAre("[3/7] 1 running · 1 waiting · 6.0s",
                  "  draft                         6.0s  writer on w2, attempt 2",
                  "  fetch                               retry 2 of 3 in 4.0s: agent_error"));
}

TEST(Live, KeepsToTheSizeOfTheTerminal) {
  LiveModel model;
  for (int i = 0; i < 50; ++i) {
    model.On(
        EventOf(RunEvent::Kind::TaskStarted, "task " + std::string(200, 'x') + std::to_string(i)));
  }
  const std::vector<std::string> lines = model.Draw(kStart, 40, 10, false);
  EXPECT_LE(lines.size(), 8u);
  EXPECT_THAT(lines.back(), HasSubstr("more"));
  for (const std::string& line : lines) EXPECT_LE(WidthOf(line), 40u) << line;
}

TEST(Plain, TellsEventsWithTheirCause) {
  RunEvent failed = EventOf(RunEvent::Kind::TaskFailed, "fetch\n");
  failed.agent = "api";
  failed.attempt = 3;
  failed.failure = FailureClass::Timeout;
  failed.message = "after 5 s";
  EXPECT_EQ(DescribeEvent(failed, false),
            "failed    fetch\\n (api, attempt 3)  timeout: after 5 s");
  EXPECT_EQ(DescribeEvent(EventOf(RunEvent::Kind::TaskStarted, "x"), false), "");
}

TEST(Json, HasTheKeysOfTheContract) {
  RunEvent done = EventOf(RunEvent::Kind::TaskCompleted, "fetch");
  done.attempt = 1;
  done.agent = "api";
  done.worker = "w1";
  done.duration = milliseconds(1'250);
  EXPECT_EQ(ToJson(done),
            R"({"event":"task_completed","at":"1970-01-01T01:00:00.000Z","run":7,"task":"fetch",)"
            R"("attempt":1,"agent":"api","worker":"w1","duration_ms":1250})");
}

// A run on the cluster that fails in a way of its own.
class Failed : public testing::Test {
 protected:
  Failed() {
    const auto bad = maker.Task("bad", {}, kNone, {.on_exhausted = OnExhausted::Continue});
    maker.Task("after", {bad});
    maker.Task("good");
    plan = maker.Share();
    cluster = std::make_unique<Cluster>(plan, 1, 1, 2);
    cluster->outcome_of = [](const AttemptSpec& spec) -> std::optional<FailureClass> {
      if (spec.task == "bad") return FailureClass::Refusal;
      return std::nullopt;
    };
    cluster->Submit();
    EXPECT_TRUE(cluster->RunToEnd());
  }
  std::string Why(std::uint32_t task) {
    const Checkpoint state = cluster->State();
    LiveRun run(state.run, plan);
    Effects nothing;
    WorkerPool pool;
    Random random(0);
    Turn turn{kStart, nothing, pool, random};
    run.Restore(state, {}, true, turn);
    return Explain(run, task, false, kStart);
  }
  PlanMaker maker;
  std::shared_ptr<const Plan> plan;
  std::unique_ptr<Cluster> cluster;
};

TEST_F(Failed, SummaryNamesTheCauseAndTheNextCommand) {
  const std::string text = FormatSummary(*plan, cluster->State(), "my flow.yaml", ".troupe");
  EXPECT_THAT(text, HasSubstr("run 1 failed in"));
  EXPECT_THAT(text, HasSubstr("1 completed, 1 failed, 1 blocked"));
  EXPECT_THAT(text, HasSubstr("FAILED bad: refusal: model (attempt 1)"));
  EXPECT_THAT(text, HasSubstr("troupe why 1 bad\n"));
  EXPECT_THAT(FormatSummary(*plan, cluster->State(), "f", "/state"),
              HasSubstr("troupe why 1 bad --state-dir /state\n"));
}

TEST_F(Failed, WhyFollowsABlockToItsCause) {
  EXPECT_EQ(
      Why(0),
      "\"bad\" failed: it was given up after 1 attempt, the last with refusal: model; refusal "
      "is not retried.");
  EXPECT_EQ(Why(1), "\"after\" is blocked: it needs \"bad\", which failed with refusal: model.");
  EXPECT_EQ(Why(2), "\"good\" completed in attempt 1.");
}

TEST(DryRun, ShowsOrderAndLadder) {
  PlanMaker maker;
  const auto primary = maker.Agent("primary");
  const auto backup = maker.Agent("backup");
  maker.Task("fetch", {}, primary,
             {.retry = 2, .exponential_backoff = true, .fallback_agents = {backup}});
  maker.AddHook(HookList::PreWorkflow, "mkdir -p out", true);
  const std::string text = FormatPlan(*maker.Share());
  EXPECT_THAT(text, HasSubstr("agent primary, 2 retries after 1.0s, 2.0s → agent backup → abort"));
  EXPECT_THAT(text, HasSubstr("pre_workflow       mkdir -p out (must succeed)"));
}

}  // namespace
}  // namespace troupe
