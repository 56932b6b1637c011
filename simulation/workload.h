// Workflows made from dice: YAML texts that the real compiler accepts.
#pragma once

#include <string>

#include "simulation/dice.h"

namespace troupe {

// Shapes, stages, subtasks, loops, hooks, conditions, every recovery policy and class, budgets and
// breakers; mostly small. All its times are short, so that a run ends within hours.
std::string DrawWorkflow(Dice& dice);

}  // namespace troupe
