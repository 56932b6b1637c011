#include "worker/attendant/claude_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;

const Json kResult = {{"type", "result"},
                      {"subtype", "success"},
                      {"is_error", false},
                      {"result", "done \u20AC"},
                      {"session_id", "s-1"},
                      {"terminal_reason", "completed"},
                      {"api_error_status", nullptr},
                      {"total_cost_usd", 0.25},
                      {"usage", {{"input_tokens", 100}, {"output_tokens", 7}}},
                      {"permission_denials", Json::array()}};

Ending Exit(int code, int signal = 0, std::string_view last_error = "") {
  Ending ending;
  ending.process = {code, signal};
  ending.last_error_line = last_error;
  ending.now = Instant(std::chrono::seconds(1'795'000'000));
  return ending;
}

Verdict Conclude(const std::string& bytes, const Ending& ending = Exit(0)) {
  ClaudeProtocol protocol;
  std::vector<AgentEvent> events;
  protocol.Read(bytes, events);
  return protocol.Conclude(ending);
}

std::string Line(const Json& json) { return json.dump() + "\n"; }

std::string ResultWith(const Json& over) {
  Json json = kResult;
  json.update(over);
  return Line(json);
}

std::string Transcript() {
  return Line({{"type", "system"}, {"subtype", "init"}, {"session_id", "s-1"}}) +
         Line(
             {{"type", "assistant"},
              {"message", {{"content", {{{"type", "text"}, {"text", "ich h\u00F6re \u20AC"}}}}}}}) +
         "Warning: not JSON\n" + Line({{"type", "later"}, {"x", {1, 2}}}) + Line(kResult);
}

TEST(ClaudeProtocol, ReadsTheResult) {
  const Verdict verdict = Conclude(Transcript());

  EXPECT_EQ(verdict.failure, std::nullopt);
  EXPECT_EQ(verdict.message, "");
  EXPECT_EQ(verdict.text, "done \u20AC");
  EXPECT_EQ(verdict.session, "s-1");
  EXPECT_EQ(verdict.usage, (Usage{100, 7, 0.25}));
}

TEST(ClaudeProtocol, BelievesTheResultAndNotTheExit) {
  EXPECT_EQ(Conclude(Transcript(), Exit(1)).failure, std::nullopt);
  EXPECT_EQ(Conclude(Transcript(), Exit(-1, 9)).failure, std::nullopt);
  EXPECT_EQ(Conclude(ResultWith({{"is_error", true}}), Exit(0)).failure, FailureClass::Transient);
}

TEST(ClaudeProtocol, HasAClassForEachSubtype) {
  using enum FailureClass;
  const auto of = [](const char* subtype) {
    return Conclude(ResultWith({{"subtype", subtype}, {"errors", {"one", "two"}}, {"result", ""}}));
  };

  EXPECT_EQ(of("error_max_turns").failure, MaxTurns);
  EXPECT_EQ(of("error_max_budget_usd").failure, Budget);
  EXPECT_EQ(of("error_max_structured_output_retries").failure, SchemaFailed);
  EXPECT_EQ(of("error_during_execution").failure, AgentError);
  EXPECT_EQ(of("error_of_the_future").failure, AgentError);
  EXPECT_EQ(of("success_of_the_future").failure, std::nullopt);
  EXPECT_EQ(of("error_max_turns").message, "one; two");
}

TEST(ClaudeProtocol, HasAClassForEachStatus) {
  using enum FailureClass;
  const auto of = [](const Json& status, const char* reason = "api_error") {
    return Conclude(ResultWith({{"is_error", true},
                                {"api_error_status", status},
                                {"terminal_reason", reason},
                                {"result", "API Error"}}))
        .failure;
  };

  EXPECT_EQ(of(429), RateLimited);
  EXPECT_EQ(of(503), Overloaded);
  EXPECT_EQ(of(529), Overloaded);
  EXPECT_EQ(of(401), Auth);
  EXPECT_EQ(of(403), Auth);
  EXPECT_EQ(of(402), Billing);
  EXPECT_EQ(of(400, "prompt_too_long"), ContextOverflow);
  EXPECT_EQ(of(400), InvalidRequest);
  EXPECT_EQ(of(404), InvalidRequest);
  EXPECT_EQ(of(413), InvalidRequest);
  EXPECT_EQ(of(422), InvalidRequest);
  EXPECT_EQ(of(408), Transient);
  EXPECT_EQ(of(409), Transient);
  EXPECT_EQ(of(500), Transient);
  EXPECT_EQ(of(nullptr), Transient);
  EXPECT_EQ(of("429"), Transient) << "not a number";
  EXPECT_EQ(of(1e300), Transient);
}

TEST(ClaudeProtocol, TakesTheMessageFromTheResult) {
  EXPECT_EQ(Conclude(ResultWith({{"is_error", true}, {"result", "API Error: 500"}})).message,
            "API Error: 500");
}

TEST(ClaudeProtocol, CrashedWithoutAResult) {
  EXPECT_EQ(Conclude("").failure, FailureClass::Crashed);
  EXPECT_EQ(Conclude("", Exit(-1, 9)).failure, FailureClass::Crashed);
  EXPECT_EQ(Conclude("", Exit(1, 0, "unknown option")).failure, FailureClass::AgentError);
  EXPECT_EQ(Conclude("", Exit(143)).failure, FailureClass::AgentError);
  EXPECT_THAT(Conclude("", Exit(1, 0, "unknown option")).message,
              HasSubstr("exit status 1: unknown option"));
}

TEST(ClaudeProtocol, IsTheSameForEveryOrderOfKeysAndPieces) {
  const Verdict expected = Conclude(Transcript());
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::pair<std::string, Json>> members;
    for (const auto& [key, value] : kResult.items()) members.emplace_back(key, value);
    std::shuffle(members.begin(), members.end(), random);
    Json shuffled = Json::object();
    for (const auto& [key, value] : members) shuffled[key] = value;
    shuffled["unknown"] = {{"type", "x"}};
    const std::string bytes = Line(shuffled);
    ClaudeProtocol protocol;
    std::vector<AgentEvent> events;
    for (std::size_t at = 0, n = 0; at < bytes.size(); at += n) {
      n = 1 + random() % 9;
      protocol.Read(std::string_view(bytes).substr(at, n), events);
    }
    const Verdict verdict = protocol.Conclude(Exit(0));

    EXPECT_EQ(verdict.text, expected.text);
    EXPECT_EQ(verdict.usage, expected.usage);
    EXPECT_EQ(verdict.failure, std::nullopt);
  }
}

TEST(ClaudeProtocol, SurvivesATranscriptThatEndsAnywhere) {
  const std::string transcript = Transcript();
  const std::size_t whole = transcript.size() - 1;  // The last newline may be missing.
  for (std::size_t size = 0; size < transcript.size(); ++size) {
    const Verdict verdict = Conclude(transcript.substr(0, size));

    EXPECT_EQ(verdict.failure.has_value(), size < whole) << size;
    if (size < whole) {
      EXPECT_EQ(verdict.failure, FailureClass::Crashed);
    }
  }
}

TEST(ClaudeProtocol, SurvivesFieldsOfAnyType) {
  const std::vector<Json> values = {
      nullptr, true, 1, -1.5, 1e300, "x", Json::array({1, "a"}), Json::object({{"tool_name", 1}})};
  for (const auto& [key, ignored] : kResult.items()) {
    if (key == "type") continue;
    for (const Json& value : values) Conclude(ResultWith({{key, value}}));
  }
  for (const Json& value : values) {
    Conclude(Line({{"type", value}}) + Line(value) +
             Line({{"type", "assistant"}, {"message", value}}) +
             Line({{"type", "rate_limit_event"}, {"rate_limit_info", value}}) +
             ResultWith({{"modelUsage", value}, {"errors", value}, {"is_error", true}}) +
             ResultWith({{"modelUsage", {{"m", value}}}, {"permission_denials", {value}}}));
  }
}

TEST(ClaudeProtocol, DropsALineThatIsTooLong) {
  const std::string huge = "{\"type\":\"x\",\"y\":\"" + std::string(kLineBytesMax, 'y') + "\"}\n";

  EXPECT_EQ(Conclude(huge + Line(kResult)).failure, std::nullopt);
}

TEST(ClaudeProtocol, LetsTheLastResultCount) {
  EXPECT_EQ(Conclude(ResultWith({{"is_error", true}}) + Line(kResult)).failure, std::nullopt);
}

TEST(ClaudeProtocol, WaitsUntilTheUsageWindowOpens) {
  const std::string rejected =
      Line({{"type", "rate_limit_event"},
            {"rate_limit_info", {{"status", "rejected"}, {"resetsAt", 1'795'000'600}}}});
  const std::string limited = ResultWith({{"is_error", true}, {"api_error_status", 429}});
  const std::string allowed =
      Line({{"type", "rate_limit_event"},
            {"rate_limit_info", {{"status", "allowed_warning"}, {"resetsAt", 1'795'000'600}}}});

  EXPECT_EQ(Conclude(rejected + limited).retry_after, std::chrono::seconds(600));
  EXPECT_EQ(Conclude(allowed + limited).retry_after, Duration::zero());
  EXPECT_EQ(Conclude(limited).retry_after, Duration::zero());
  EXPECT_EQ(Conclude(rejected + Line(kResult)).retry_after, Duration::zero());
}

TEST(ClaudeProtocol, RecordsDeniedToolsOnce) {
  const std::string denied =
      Line({{"type", "system"}, {"subtype", "permission_denied"}, {"tool_name", "Write"}});
  const std::string result =
      ResultWith({{"permission_denials", {{{"tool_name", "Bash"}}, {{"tool_name", "Bash"}}}}});

  const Verdict verdict = Conclude(denied + result);

  EXPECT_EQ(verdict.failure, std::nullopt);
  EXPECT_THAT(verdict.denied_tools, ElementsAre("Bash", "Write"));
}

TEST(ClaudeProtocol, TakesTheStructuredOutput) {
  EXPECT_EQ(Conclude(ResultWith({{"structured_output", {{"a", "x"}}}})).result_json,
            "{\"a\":\"x\"}");
  EXPECT_EQ(Conclude(Line(kResult)).result_json, "");
}

TEST(ClaudeProtocol, CountsAllModelsAndCachedTokens) {
  const Json models = {{"big", {{"inputTokens", 10}, {"outputTokens", 2}}},
                       {"small",
                        {{"inputTokens", 1},
                         {"outputTokens", 3},
                         {"cacheReadInputTokens", 100},
                         {"cacheCreationInputTokens", 1000}}}};

  EXPECT_EQ(Conclude(ResultWith({{"modelUsage", models}})).usage, (Usage{1111, 5, 0.25}));
}

TEST(ClaudeProtocol, TellsWhatHappens) {
  ClaudeProtocol protocol;
  std::vector<AgentEvent> events;
  protocol.Read(Line({{"type", "assistant"},
                      {"message",
                       {{"content",
                         {{{"type", "text"}, {"text", "I look"}},
                          {{"type", "tool_use"}, {"name", "Bash"}}}}}}}) +
                    Line({{"type", "system"},
                          {"subtype", "api_retry"},
                          {"attempt", 1},
                          {"max_retries", 2},
                          {"retry_delay_ms", 1043},
                          {"error_status", 429},
                          {"error", "rate_limit"}}),
                events);

  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0], (AgentEvent{"text", "I look", {}}));
  EXPECT_EQ(events[1], (AgentEvent{"tool", "Bash", {}}));
  EXPECT_EQ(events[2].type, "retry");
  EXPECT_THAT(events[2].text, HasSubstr("429"));
  EXPECT_FALSE(protocol.Finished());
  protocol.Read(Line(kResult), events);
  EXPECT_TRUE(protocol.Finished());
}

TEST(ClaudeArguments, SaysOnlyWhatIsSet) {
  AttemptSpec spec;
  spec.token = "uuid";

  EXPECT_THAT(ClaudeArguments(spec, "claude"),
              ElementsAre("claude", "-p", "--output-format", "stream-json", "--verbose",
                          "--session-id", "uuid", "--permission-mode", "default"));
}

TEST(ClaudeArguments, SaysAllThatIsSet) {
  AttemptSpec spec;
  spec.token = "uuid";
  spec.model = "m";
  spec.claude = {.system_prompt = "be brief",
                 .permission_mode = "plan",
                 .tools = {"Read", "Bash(git:*)", "Bash(ls:*)"},
                 .disallowed_tools = {"Write"},
                 .allowed_directories = {"/a", "/b"},
                 .max_turns = 7};

  const std::vector<std::string> argv = ClaudeArguments(spec, "/opt/claude");

  EXPECT_THAT(std::vector<std::string>(argv.begin() + 7, argv.end()),
              ElementsAre("--permission-mode", "plan", "--model", "m", "--append-system-prompt",
                          "be brief", "--tools", "Read,Bash", "--allowedTools", "Read",
                          "Bash(git:*)", "Bash(ls:*)", "--disallowedTools", "Write", "--add-dir",
                          "/a", "--add-dir", "/b", "--max-turns", "7"));
}

}  // namespace
}  // namespace troupe
