// Every checker has been seen to fail: the cores with a named defect are caught within so many seeds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/mutant.h"
#include "simulation/world.h"

namespace troupe {
namespace {

struct Case {
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
        Case{Defect::FencingRemoved, {"fencing", "rules", "one-outcome"}, 500},
        Case{Defect::OutcomeTakenTwice, {"results-stay", "one-outcome", "rules"}, 500},
        Case{Defect::SendBeforeSave, {"save-then-send"}, 10},
        Case{Defect::LeaseCheckRemoved, {"fencing"}, 3'000},
        Case{Defect::LossForgotten, {"rules"}, 200},
        Case{Defect::HookForgotten, {"hooks", "memory", "save-then-send"}, 50},
        Case{Defect::HookRepeated, {"hooks", "memory"}, 500},
        Case{Defect::BudgetInMemory, {"rules", "memory"}, 1'000},
        Case{Defect::StepInMemory, {"rules", "memory"}, 1'000},
        Case{Defect::RetryTooSoon, {"rules"}, 50},
        Case{Defect::BreakerIgnored, {"rules"}, 1'000},
        Case{Defect::ProbesForgotten, {"rules"}, 2'000},
        Case{Defect::DueForgotten, {"waits", "ends"}, 50},
        Case{Defect::DependenciesIgnored, {"order", "waits"}, 100},
        Case{Defect::NumberReused, {"attempt-numbers", "rules"}, 500},
        Case{Defect::OutcomeForgotten, {"results-kept"}, 50},
        Case{Defect::KeyForgotten, {"accepted"}, 500},
        Case{Defect::StaleHelloTaken, {"nothing-twice"}, 3'000},
        Case{Defect::DrainingForgotten, {"waits"}, 2'000}),
    [](const testing::TestParamInfo<Case>& info) {
      return "Defect" + std::to_string(static_cast<int>(info.param.defect));
    });

}  // namespace
}  // namespace troupe
