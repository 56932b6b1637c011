// A fixed slice of seeds, and that a seed is a seed.
#include <gtest/gtest.h>

#include "simulation/world.h"

namespace troupe {
namespace {

void RunSeeds(std::uint64_t first, std::uint64_t count, const std::string& faults) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  count /= 10;
#endif
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Report report = World(seed, faults).Run();
    ASSERT_FALSE(report.violation)
        << "seed " << seed << " breaks " << report.violation->checker << ": "
        << report.violation->what << "\nreplay: troupe simulate --seed " << seed << " --faults "
        << faults << " --trace";
  }
}

TEST(Simulation, KeepsItsPromisesUnderAllFaults) { RunSeeds(1'000'000, 4'000, "all"); }
TEST(Simulation, KeepsItsPromisesWithoutFaults) { RunSeeds(2'000'000, 500, "none"); }
TEST(Simulation, KeepsItsPromisesWhenOnlyAgentsFail) { RunSeeds(3'000'000, 500, "agents"); }
TEST(Simulation, KeepsItsPromisesWhenProcessesAreKilled) {
  RunSeeds(4'000'000, 1'000, "crashes,agents");
}
TEST(Simulation, KeepsItsPromisesOnABadNetwork) { RunSeeds(5'000'000, 1'000, "network,agents"); }

TEST(Simulation, ASeedGivesTheSameTraceAgain) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    EXPECT_EQ(World(seed, "all").Run().hash, World(seed, "all").Run().hash) << "seed " << seed;
  }
}

}  // namespace
}  // namespace troupe
