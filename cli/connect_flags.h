// The flags by which a command says which coordinator it means, and how to speak to it.
#pragma once

#include <string>

namespace troupe {

// What was not given is empty.
struct ConnectFlags {
  std::string endpoint = "";
  std::string key_file = "";
  std::string server_key_file = "";
  bool insecure = false;
};

}  // namespace troupe
