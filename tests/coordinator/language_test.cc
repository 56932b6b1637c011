// Rules of docs/language.md that show only in a run: whole texts, compiled, on a cluster without
// faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/story.h"
#include "tests/workflow/compiling.h"

namespace troupe {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

// A plan whose tasks are numbered as TaskOf() finds them.
class Language : public testing::Test {
 protected:
  Story& Of(const std::string& text, std::map<std::string, std::vector<FailureClass>> script = {},
            std::uint32_t slots = 8) {
    plan_ = PlanOf("name: x\n" + text);
    story_ = std::make_unique<Story>(plan_, std::move(script), 1, slots);
    return *story_;
  }
  TaskState StateOf(const std::string& id) const { return story_->StateOf(TaskOf(*plan_, id)); }
  TaskRecord Record(const std::string& id) const {
    return story_->cluster.Task(TaskOf(*plan_, id));
  }
  std::vector<std::string> Words(const std::string& task, int nth = 1) const {
    return story_->SpecOf(task, nth).argv;
  }

  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<Story> story_;
};

TEST_F(Language, ReferencesAreFilledInWhenATaskStarts) {
  Story& story =
      Of("inputs: {user: {type: object}, n: {type: number}, none: {}}\ntasks:\n"
         "  a: {command: x}\n  skipped: {command: x, condition: {type: never}}\n"
         "  bad: {command: x, on_error: continue}\n"
         "  t:\n    inputs: {k: [\"${n}\", 2]}\n    depends_on: [a, skipped]\n"
         "    condition: {type: task_status, task: bad, status: failed}\n"
         "    on_error: {retry: 1, retry_delay_secs: 0}\n"
         "    command: [\"${user.name}\", \"${workflow.n}\", \"<${none}>\", \"${k[1]}\", "
         "\"${task.k}\",\n"
         "      \"${task.id}\", \"${task.attempt}\", \"${run.id}\", \"${task.a.output}\",\n"
         "      \"${task.a.result.m[0]}\", \"${task.a.result}\", \"${task.a.status}\",\n"
         "      \"<${task.a.error}>\", \"${task.bad.error}\", \"<${task.skipped.output}>\",\n"
         "      \"<${task.skipped.result.x.y}>\", \"${task.skipped.status}\"]\n",
         {{"bad", kAlways}, {"t", {FailureClass::AgentError}}});
  story.cluster.inputs_json = R"({"user":{"name":"Ada"},"n":1.5,"none":null})";
  story.Gives("a", "said ${n}\n\n", R"({"m":[{"b":1}]})");

  EXPECT_EQ(story.Run(), RunState::Failed);

  EXPECT_THAT(Words("t"), ElementsAre("Ada", "1.5", "<>", "2", R"(["1.5",2])", "t", "1", "1",
                                      "said ${n}", R"({"b":1})", R"({"m":[{"b":1}]})", "completed",
                                      "<>", "agent_error: model", "<>", "<>", "skipped"));
  EXPECT_EQ(Words("t", 2).at(6), "2");
  EXPECT_EQ(story.SpecOf("t").inputs_json, R"({"k":["1.5",2]})");
}

TEST_F(Language, APartOfAResultThatIsNotThereEndsATaskBeforeItStarts) {
  Story& story =
      Of("tasks:\n  a: {command: x}\n"
         "  t: {command: [\"${task.a.result.x}\"], depends_on: a, on_error: {retry: 3}}\n");
  story.Gives("a", "", "{}");

  EXPECT_EQ(story.Run(), RunState::Failed);

  EXPECT_EQ(Record("t").failure, FailureClass::Unresolved);
  EXPECT_EQ(Record("t").attempts, 0u);
}

TEST_F(Language, TheOutputOfAParentIsThoseOfItsChildren) {
  Story& story =
      Of("tasks:\n  p:\n    subtasks:\n      a: {command: x}\n      b: {command: x}\n"
         "      q: {subtasks: {c: {command: x}, d: {command: x}}}\n"
         "  t: {command: [\"${task.p.output}\", \"${task.p.result}\"], depends_on: p}\n");
  story.Gives("p.a", "one\n");
  story.Gives("p.q.c", "two", "{\"n\":1}");
  story.Gives("p.q.d", "three");

  EXPECT_EQ(story.Run(), RunState::Succeeded);

  EXPECT_THAT(Words("t"), ElementsAre("one\n\ntwo\n\nthree", ""));
}

TEST_F(Language, AParentIsBlockedRatherThanCancelled) {
  Story& story = Of(
      "tasks:\n  bad: {command: x}\n  slow: {command: x}\n  p:\n    subtasks:\n"
      "      waits: {command: x, depends_on: slow}\n      needs: {command: x, depends_on: bad}\n",
      {{"bad", kAlways}});
  story.Takes("bad", seconds(1));
  story.Takes("slow", seconds(9));

  EXPECT_EQ(story.Run(), RunState::Failed);

  EXPECT_EQ(StateOf("p.waits"), TaskState::Cancelled);
  EXPECT_EQ(StateOf("p.needs"), TaskState::Blocked);
  EXPECT_EQ(StateOf("p"), TaskState::Blocked);
}

TEST_F(Language, TheOutputOfALoopIsAListOfResults) {
  Story& story = Of(
      "tasks:\n  l:\n    command: [\"${n}\"]\n    on_error: skip\n"
      "    loop: {type: for_each, iterator: n, parallel: true, collection: {source: inline, items: "
      "[1, 2, 3, 4]}}\n"
      "  t: {command: [\"${task.l.output}\", \"${task.l.result[3].k}\"], depends_on: l}\n",
      {{"l[2]", kAlways}});
  story.Gives("l[0]", "text \"one\"\n");
  story.Gives("l[1]", "printed", "[2]");
  story.Gives("l[3]", "printed", "{\"k\":4}");

  EXPECT_EQ(story.Run(), RunState::Succeeded);

  EXPECT_THAT(Words("t"), ElementsAre(R"(["text \"one\"",[2],null,{"k":4}])", "4"));
}

TEST_F(Language, ARangeGivesItsNumbers) {
  const auto numbers = [&](const std::string& range) {
    Story& story =
        Of("tasks:\n  l: {command: [\"${n}\", \"${loop.index}\"], loop: {type: for_each, "
           "iterator: n, collection: {source: range, " +
           range + "}}}\n");
    EXPECT_EQ(story.Run(), RunState::Succeeded);
    std::string all;
    for (const AttemptSpec& spec : story.specs)
      all += spec.argv.at(1) + ":" + spec.argv.at(0) + " ";
    return all;
  };

  EXPECT_EQ(numbers("start: 2, end: 5"), "0:2 1:3 2:4 ");
  EXPECT_EQ(numbers("start: 0, end: 5, step: 3"), "0:0 1:3 ");
  EXPECT_EQ(numbers("start: 0, end: 6, step: 3"), "0:0 1:3 ");
  EXPECT_EQ(numbers("start: 3, end: -1, step: -2"), "0:3 1:1 ");
  EXPECT_EQ(numbers("start: 3, end: 9, step: -2"), "");
}

constexpr const char* kFileLoop =
    "agents: {g: {command: cat}}\ntasks:\n"
    "  l:\n    command: [\"${n}\"]\n    description: d\n"
    "    on_error: {retry: 1, retry_delay_secs: 0, fallback_agent: g}\n"
    "    on_complete: {notify: \"read ${task.result}\"}\n"
    "    loop: {type: for_each, iterator: n, collection: {source: file, path: items.csv, format: "
    "csv}}\n";

TEST_F(Language, TheFileOfACollectionIsReadByAnAttemptUnderTheRulesOfTheLoop) {
  Story& story = Of(kFileLoop, {{"l", {FailureClass::Transient}}});
  story.Gives("l", "", R"(["a","b"])");

  EXPECT_EQ(story.Run(), RunState::Succeeded);

  EXPECT_THAT(story.started, ElementsAre("l", "l", "l[0]", "l[1]"));
  EXPECT_EQ(story.specs[1].kind, RunnerKind::Collection);
  EXPECT_EQ(story.specs[1].script_file, "items.csv");
  EXPECT_EQ(story.specs[1].collection_format, CollectionFormat::Csv);
  EXPECT_THAT(Words("l[1]"), ElementsAre("b"));
}

TEST_F(Language, TheFileOfACollectionIsReadWithoutFallback) {
  Story& story = Of(kFileLoop, {{"l", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);

  EXPECT_EQ(Record("l").attempts, 2u);
  for (const AttemptSpec& spec : story.specs) EXPECT_EQ(spec.kind, RunnerKind::Collection);
}

// What belongs to the loop task happens once.
TEST_F(Language, OnCompleteOfALoopSpeaksForAllOfIt) {
  Story& story =
      Of("tasks:\n  a: {command: x, on_complete: {notify: \"a said ${task.output}\"}}\n"
         "  l: {command: x, on_complete: {notify: \"all: ${task.result}\"}, loop: {type: for_each, "
         "iterator: n, collection: {source: inline, items: [1, 2]}}}\n"
         "  p: {on_complete: {notify: \"p: ${task.output}\"}, subtasks: {u: {command: x}}}\n");
  story.Gives("a", "hello");
  story.Gives("l[0]", "", "1");
  story.Gives("l[1]", "", "2");
  story.Gives("p.u", "up");

  EXPECT_EQ(story.Run(), RunState::Succeeded);

  EXPECT_EQ(Record("a").extra->notice, "a said hello");
  EXPECT_EQ(Record("l").extra->notice, "all: [1,2]");
  EXPECT_EQ(Record("p").extra->notice, "p: up");
  std::vector<std::string> told;
  for (const RunEvent& event : story.cluster.told()) {
    if (event.kind == RunEvent::Kind::TaskCompleted && !event.message.empty()) {
      told.push_back(event.task + ": " + event.message);
    }
  }
  EXPECT_THAT(told, UnorderedElementsAre("a: a said hello", "l: all: [1,2]", "p: p: up"));
}

TEST_F(Language, ConditionsAskForEachStateOfATask) {
  // `gate` ends while `slow` runs and `later` waits for that.
  const auto ran = [&](const std::string& task, const std::string& status) {
    Story& story =
        Of("tasks:\n  good: {command: x}\n  bad: {command: x, on_error: continue}\n"
           "  skipped: {command: x, condition: {type: never}}\n  gate: {command: x}\n"
           "  slow: {command: x}\n  later: {command: x, depends_on: slow}\n"
           "  t: {command: x, depends_on: gate, condition: {type: task_status, task: " +
               task + ", status: " + status + "}}\n",
           {{"bad", kAlways}});
    story.Takes("gate", seconds(5));
    story.Takes("slow", seconds(50));
    story.Run();
    return StateOf("t") == TaskState::Completed;
  };
  const std::map<std::string, std::string> wanted = {{"good", "completed"},
                                                     {"bad", "failed"},
                                                     {"skipped", "skipped"},
                                                     {"later", "pending"},
                                                     {"slow", "running"}};
  for (const auto& [task, right] : wanted) {
    // For completed, failed and skipped it would wait until the task has settled.
    const bool settles = right != "pending" && right != "running";
    for (const char* status : {"completed", "failed", "skipped", "pending", "running"}) {
      const bool asks_end = std::string(status) != "pending" && std::string(status) != "running";
      if (asks_end != settles) continue;
      EXPECT_EQ(ran(task, status), status == right) << task << " " << status;
    }
  }
}

TEST_F(Language, ConditionsReadTheStateWhichBeginsAsTheInputs) {
  Story& story =
      Of("inputs: {env: {}}\ntasks:\n  a: {command: x, set: {made: null}}\n"
         "  equal: {command: x, depends_on: a, condition: {type: state_equals, key: env, value: "
         "prod}}\n"
         "  other: {command: x, depends_on: a, condition: {type: state_equals, key: env, value: "
         "test}}\n"
         "  exists: {command: x, depends_on: a, condition: {type: state_exists, key: made}}\n"
         "  absent: {command: x, depends_on: a, condition: {type: state_exists, key: nope}}\n"
         "  always: {command: x, condition: {type: always}}\n");
  story.cluster.inputs_json = R"({"env":"prod"})";

  EXPECT_EQ(story.Run(), RunState::Succeeded);

  EXPECT_EQ(StateOf("equal"), TaskState::Completed);
  EXPECT_EQ(StateOf("other"), TaskState::Skipped);
  EXPECT_EQ(StateOf("exists"), TaskState::Completed);
  EXPECT_EQ(StateOf("absent"), TaskState::Skipped);
  EXPECT_EQ(StateOf("always"), TaskState::Completed);
}

TEST_F(Language, TheLastTaskToCompleteWritesAndOutputsAreReadAtTheEnd) {
  Story& story =
      Of("tasks:\n"
         "  a: {command: x, set: {kept: \"${task.result.n}\", n: \"${task.result.n}\", text: \"n = "
         "${task.result.n}\", rows: "
         "[\"${task.output}\", 1]}}\n"
         "  b: {command: x, depends_on: a, set: {n: 2}}\n"
         "outputs:\n  best: {source: {type: state, key: n}}\n  rows: {source: {type: state, key: "
         "rows}}\n  none: {source: {type: state, key: nope}}\n"
         "  said: {source: {type: task_output, task: a}}\n");
  story.Gives("a", "hello\n", R"({"n":1.5})");

  EXPECT_EQ(story.Run(), RunState::Succeeded);

  EXPECT_EQ(story.cluster.State().run.state_json,
            R"({"kept":1.5,"n":2,"rows":["hello",1],"text":"n = 1.5"})");
  EXPECT_EQ(story.cluster.State().run.outputs_json,
            R"({"best":2,"rows":["hello",1],"none":null,"said":"hello"})");
}

TEST_F(Language, ARunThatFailsHasNoOutputs) {
  Story& story =
      Of("tasks: {a: {command: x}, b: {command: x}}\n"
         "outputs: {said: {source: {type: task_output, task: a}}}\n",
         {{"b", kAlways}});

  EXPECT_EQ(story.Run(), RunState::Failed);

  EXPECT_EQ(story.cluster.State().run.outputs_json, "");
}

TEST_F(Language, WorkThatCannotBeDoneFailsWhenItsTurnComesAndAFallbackAgentMayDoIt) {
  Story& story =
      Of("agents: {g: {command: cat}}\ntasks:\n  a: {command: x}\n"
         "  helped: {mcp_tool: {}, description: d, depends_on: a, on_error: {fallback_agent: g}}\n"
         "  alone: {uses: other, depends_on: a, on_error: continue}\n");

  EXPECT_EQ(story.Run(), RunState::Failed);

  EXPECT_EQ(StateOf("helped"), TaskState::Completed);
  EXPECT_EQ(story.SpecOf("helped").agent, "g");
  EXPECT_EQ(Record("alone").failure, FailureClass::InvalidRequest);
  EXPECT_THAT(story.started, ElementsAre("a", "helped"));
}

TEST_F(Language, ATaskWaitsForAllThatItDependsOn) {
  Story& story =
      Of("tasks: {a: {command: x}, b: {command: x}, t: {command: x, depends_on: [a, b]}}\n");
  story.Takes("a", seconds(1));
  story.Takes("b", seconds(9));

  EXPECT_EQ(story.Run(), RunState::Succeeded);

  EXPECT_GE(Record("t").first_started, Record("b").ended);
}

// `b` has the only slot while `a` is ready again: three seconds, and not eight.
TEST_F(Language, TheWaitForAWorkerIsCountedAnewForEachAttempt) {
  Story& story =
      Of("tasks:\n  a: {command: x, queue_timeout_secs: 5, on_error: {retry: 1, retry_delay_secs: "
         "1}}\n"
         "  b: {command: x}\n",
         {{"a", {FailureClass::AgentError}}}, 1);
  story.Takes("a", seconds(4));
  story.Takes("b", seconds(4));

  EXPECT_EQ(story.Run(), RunState::Succeeded);

  EXPECT_THAT(story.started, ElementsAre("a", "b", "a"));
}

}  // namespace
}  // namespace troupe
