// `troupe keygen`: a key pair in two files, and the line that admits it.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/commands_fleet.h"
#include "cli/host_name.h"
#include "cli/print.h"
#include "cli/state.h"
#include "cli/text.h"
#include "protocol/access.h"
#include "protocol/key_files.h"

namespace troupe {

int MakeKey(const KeygenOptions& options) {
  const std::string name = options.name.empty() ? HostName() : options.name;
  // The line must be one that the coordinator can read.
  Role role = Role::Worker;
  for (const Role r : {Role::Operator, Role::Viewer}) {
    if (Name(r) == options.role) role = r;
  }
  if (!AccessList::Parse(AccessLine(role, name, std::string(40, '0')))) {
    return Refuse(fmt::format("\"{}\" cannot be a {}'s name: {}", Escaped(name), Name(role),
                              role == Role::Worker
                                  ? "1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit"
                                  : "it must be one word"));
  }
  const Result<std::string> key = WriteNewKeyFiles(options.file, name);
  if (!key) return Refuse(key.error().message);
  Say(
      fmt::format("{0} holds the secret key, {0}.pub the public one.\n"
                  "For the coordinator's file of authorised keys:\n",
                  options.file));
  Print(fmt::format("{}\n", AccessLine(role, name, *key)));
  return kExitOk;
}

}  // namespace troupe
