// CURVE keys on disk, each in a file of its own: NAME (secret, mode 0600) and NAME.pub.
//
// A file holds one key in Z85; lines that begin with "# " are comments. Any one thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/zmq_endpoint.h"

namespace troupe {

// Makes a key pair and writes both files. A file that is there already is not touched: Invalid.
// `name` goes into the comments. Returns the public key.
Result<std::string> WriteNewKeyFiles(const std::filesystem::path& file, std::string_view name);

// Refuses (Invalid) a file that others than its owner can read or write, or that is not ours; the
// message says what to do.
Result<KeyPair> ReadSecretKeyFile(const std::filesystem::path& file);
Result<std::string> ReadPublicKeyFile(const std::filesystem::path& file);

}  // namespace troupe
