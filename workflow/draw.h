// The parts of DrawGraph().
#pragma once

#include <string>

#include "workflow/plan.h"

namespace troupe {

// As a list for a terminal.
std::string DrawText(const Plan& plan);

enum class BoxFormat : std::uint8_t { Dot, Mermaid };
std::string DrawBoxes(const Plan& plan, BoxFormat format);

// "3 tasks"
std::string Counted(std::size_t count, const char* what);
// Who does a task: `agent fast, then careful`, `command, for each n of 3`.
std::string RunnerWords(const Plan& plan, const PlannedTask& task);
// "for each n of 3, 2 at a time"
std::string LoopWords(const Loop& loop);
// `build failed or env = "prod"`, cut if it is long.
std::string ConditionWords(const Plan& plan, const Condition& condition);

}  // namespace troupe
