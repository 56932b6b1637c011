// The names of things: a swapped pair does not compile.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace troupe {

template <class Tag, class Number>
struct Id {
  Number value{};
  auto operator<=>(const Id&) const = default;
};

// One execution of a workflow: 1, 2, 3 … within a state directory. 0 is no run.
using RunId = Id<struct RunTag, std::uint64_t>;

// A task's place in the table of its run. Stable for the life of the run.
using TaskId = Id<struct TaskTag, std::uint32_t>;

// What an attempt is an attempt at: a task (index is its TaskId), or one execution of a hook
// (index counts the hook executions of the run, from 0).
enum class Subject : std::uint8_t { Task, Hook };

// One try. `number` counts from 1 within the subject; it is committed before the attempt is
// dispatched and never used again (P4).
struct AttemptId {
  RunId run{};
  Subject subject = Subject::Task;
  std::uint32_t index = 0;
  std::uint32_t number = 0;
  auto operator<=>(const AttemptId&) const = default;
};

// "17-t3-2": run 17, task 3, attempt 2; "17-h0-1" for a hook. Safe as a file name.
std::string ToString(const AttemptId& id);

}  // namespace troupe
