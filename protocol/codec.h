// Message ↔ bytes: a msgpack array [version, type, field, field …] per message.
//
// Decoding checks every size before anything is allocated and refuses what it does not know.
// Fields are only ever appended: a decoder takes missing ones at the end as their defaults and
// ignores extra ones.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/messages.h"

namespace troupe {

// A frame holds at most this; who has more to say says it in several messages. One attempt (spec or
// outcome) always fits.
inline constexpr std::size_t kFrameBytesMax = 64u << 20;

std::string Encode(const ToCoordinator& message);
std::string Encode(const FromCoordinator& message);
Result<ToCoordinator> DecodeToCoordinator(std::string_view frame);
Result<FromCoordinator> DecodeFromCoordinator(std::string_view frame);

}  // namespace troupe
