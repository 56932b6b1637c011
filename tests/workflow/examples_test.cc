// Workflows of the kind that people write.
#include "tests/workflow/examples.h"

#include <gtest/gtest.h>

#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

TEST(Examples, ADatabaseMigrationCompiles) {
  const Compiled compiled = CompileWorkflow(kMigration, {});

  ASSERT_NE(compiled.plan, nullptr) << FormatProblems("f", compiled.problems);
  EXPECT_TRUE(compiled.problems.empty());
  EXPECT_EQ(compiled.tasks, 1u);
  EXPECT_EQ(compiled.edges, 0u);
  EXPECT_EQ(compiled.agents, 1u);
  const Plan& plan = *compiled.plan;
  EXPECT_EQ(plan.workflow, "migrate");
  EXPECT_EQ(plan.agents[0].mock.fail_times, 2u);
  EXPECT_EQ(plan.tasks[0].rules->retry, 2u);
  EXPECT_EQ(plan.tasks[0].rules->retry_delay, std::chrono::milliseconds(100));
  EXPECT_EQ(Written(plan.tasks[0].extra->output), "out/migrations.log");
  EXPECT_EQ(plan.hooks[static_cast<int>(HookList::PreWorkflow)].size(), 1u);
  EXPECT_EQ(plan.hooks[static_cast<int>(HookList::OnError)].size(), 2u);
}

TEST(Examples, ADataSyncCompiles) {
  const Compiled compiled = CompileWorkflow(kDataSync, {});

  ASSERT_NE(compiled.plan, nullptr) << FormatProblems("f", compiled.problems);
  EXPECT_TRUE(compiled.problems.empty());
  EXPECT_EQ(compiled.tasks, 2u);
  EXPECT_EQ(compiled.edges, 1u);
  EXPECT_EQ(compiled.agents, 3u);
  const Plan& plan = *compiled.plan;
  EXPECT_EQ(plan.tasks[0].rules->fallback_agents, std::vector<std::uint32_t>{1});
  EXPECT_EQ(Written(plan.tasks[1].description),
            "Write data to database: <task.fetch_user_data.output>");
  EXPECT_TRUE(plan.tasks[0].referenced);
}

TEST(Examples, TheOthersCompileWithoutProblems) {
  for (const char* text : {kTraining, kFanOut, kStages, kLadder}) {
    EXPECT_EQ(ProblemsOf(text), "");
    PlanOf(text);
  }
}

}  // namespace
}  // namespace troupe
