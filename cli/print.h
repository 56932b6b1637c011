// What the program writes to its standard output and its standard error.
//
// Nothing here fails or throws: a reader that has gone and a disk that is full do not end a run.
#pragma once

#include <string_view>

namespace troupe {

void Print(std::string_view text);  // What was asked for: standard output.
void Say(std::string_view text);    // What is said about it: standard error.

// At the end of the program: false if standard output has lost something. Says so, unless it was
// the reader who went.
bool AllPrinted();

}  // namespace troupe
