// What may be a name (docs/language.md, "Names").
#pragma once

#include <string>
#include <string_view>

namespace troupe {

// Each returns what is wrong, to be put behind `task name "x" `; "" if nothing is.
std::string WrongWithName(std::string_view name);      // Tasks, agents, stages, labels ...
std::string WrongWithIdent(std::string_view name);     // Inputs, outputs.
std::string WrongWithVariable(std::string_view name);  // Environment variables.

// In any script.
bool IsLetterOrDigit(char32_t c);
bool IsMark(char32_t c);
// May stand within a name, a space included.
bool IsNameCharacter(char32_t c);

}  // namespace troupe
