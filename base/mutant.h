// Named defects, for tests of the tests: each is compiled only into the library of mutants that
// tests/simulation builds, and must be caught by the simulation's checkers. In the product Mutant()
// is false at compile time, and nothing of it is left.
#pragma once

namespace troupe {

enum class Defect {
  None,
  FencingRemoved,     // An outcome of any attempt is taken for the current one's.
  OutcomeTakenTwice,  // … also when the task has settled.
  SendBeforeSave,
  LeaseCheckRemoved,  // Workers go on with what is no longer theirs.
  LossForgotten,      // A lost worker is not counted.
  HookForgotten,      // Hook records are not saved.
  HookRepeated,       // A restart does not know how far a list of hooks came.
  BudgetInMemory,     // The used retries are not saved.
  GateInMemory,       // That an agent is shut is not saved.
  RetryTooSoon,
  BreakerIgnored,
  ProbesForgotten,      // Half open, any number of attempts is let through.
  DueForgotten,         // Nobody wakes for a retry.
  DependenciesIgnored,  // What needs a failed task runs.
  NumberReused,         // An attempt that never began gives its number back.
  OutcomeForgotten,     // A worker forgets an outcome when it has sent it.
  KeyForgotten,         // After a restart the same key is another run.
  StaleHelloTaken,
  DrainingForgotten,  // `why` does not know of draining workers.
};

#ifdef TROUPE_MUTANTS
inline Defect g_defect = Defect::None;
inline bool Mutant(Defect defect) { return g_defect == defect; }
#else
inline constexpr bool Mutant(Defect) { return false; }
#endif

}  // namespace troupe
