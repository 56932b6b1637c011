// The subcommands that look at workflow files and run nothing. Each returns the exit code: 0, or 2
// if a file cannot be read or is refused.
#pragma once

#include <string>
#include <vector>

namespace troupe {

// A line per good file on stdout, problems on stderr. With `json` one object per file and line on
// stdout instead: {"file","ok","tasks","edges","agents","problems":[{"line","column","severity",
// "code","message"}]}; line and column are 0 where a problem has no place.
int RunValidate(const std::vector<std::string>& files, bool lenient, bool json);

// The graph of what would run, on stdout. `format`: text, dot or mermaid. `workflow`: its name, or
// "" for the first in the file.
int RunGraph(const std::string& file, const std::string& format, const std::string& workflow);

}  // namespace troupe
