// Every checker has been seen to fail: the cores with a named defect are caught within so many
// seeds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/mutant.h"
#include "simulation/world.h"

namespace troupe {
namespace {

struct Case {
  const char* name;
  Defect defect;
  std::set<std::string> checkers;  // One of these catches it …
  std::uint64_t seeds;             // … within so many.
};

class Mutants : public testing::TestWithParam<Case> {
 protected:
  void TearDown() override { g_defect = Defect::None; }
};

TEST_P(Mutants, AreCaught) {
  g_defect = GetParam().defect;
  for (std::uint64_t seed = 1; seed <= GetParam().seeds; ++seed) {
    const Report report = World(seed, "all").Run();
    if (!report.violation) continue;
    EXPECT_TRUE(GetParam().checkers.contains(report.violation->checker))
        << "seed " << seed << ": " << report.violation->checker << ": " << report.violation->what;
    std::printf("caught by seed %llu: %s: %s\n", static_cast<unsigned long long>(seed),
                report.violation->checker.c_str(), report.violation->what.c_str());
    return;
  }
  FAIL() << "not caught within " << GetParam().seeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(
    Cores, Mutants,
    testing::Values(
        Case{"FencingRemoved", Defect::FencingRemoved, {"fencing", "rules", "one-outcome"}, 500},
        Case{"OutcomeTakenTwice",
             Defect::OutcomeTakenTwice,
             {"results-stay", "one-outcome", "rules"},
             500},
        Case{"SendBeforeSave", Defect::SendBeforeSave, {"save-then-send"}, 10},
        Case{"LeaseCheckRemoved", Defect::LeaseCheckRemoved, {"fencing"}, 3'000},
        Case{"LossForgotten", Defect::LossForgotten, {"rules"}, 200},
        Case{"HookForgotten", Defect::HookForgotten, {"hooks", "memory", "save-then-send"}, 50},
        Case{"HookRepeated", Defect::HookRepeated, {"hooks", "memory"}, 500},
        Case{"BudgetInMemory", Defect::BudgetInMemory, {"rules", "memory"}, 1'000},
        Case{"GateInMemory", Defect::GateInMemory, {"rules", "memory"}, 500},
        Case{"RetryTooSoon", Defect::RetryTooSoon, {"rules"}, 50},
        Case{"BreakerIgnored", Defect::BreakerIgnored, {"rules"}, 1'000},
        Case{"ProbesForgotten", Defect::ProbesForgotten, {"rules"}, 2'000},
        Case{"DueForgotten", Defect::DueForgotten, {"waits", "ends"}, 50},
        Case{"DependenciesIgnored", Defect::DependenciesIgnored, {"order", "waits"}, 100},
        Case{"NumberReused", Defect::NumberReused, {"attempt-numbers", "rules"}, 500},
        Case{"OutcomeForgotten", Defect::OutcomeForgotten, {"results-kept"}, 50},
        Case{"KeyForgotten", Defect::KeyForgotten, {"accepted"}, 500},
        Case{"StaleHelloTaken", Defect::StaleHelloTaken, {"nothing-twice"}, 3'000},
        Case{"DrainingForgotten", Defect::DrainingForgotten, {"waits"}, 2'000}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace troupe
