// How large the parts of a message may be, beyond what a frame can hold.
//
// Pure. The codec bounds what is allocated; this bounds what is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "protocol/messages.h"

namespace troupe {

inline constexpr std::size_t kWorkerNameBytesMax = 64;
inline constexpr std::uint32_t kSlotsMax = 10'000;  // Of one worker.
inline constexpr std::size_t kLabelsMax = 256;
inline constexpr std::size_t kLabelBytesMax = 512;  // A name of the language: 128 code points.
inline constexpr std::size_t kProvidersMax = 64;

inline constexpr std::size_t kSubmitTextBytesMax = 60u << 20;
inline constexpr std::size_t kSubmitNameBytesMax = 4'096;  // Of a file, directory, workflow, key.
inline constexpr std::size_t kInputsMax = 10'000;
inline constexpr std::size_t kInputsBytesMax = 2u << 20;  // Of all together.
inline constexpr std::size_t kTasksNamedMax = 10'000;     // In a retry.

// What is wrong with it, for people; "" if nothing is.
std::string WrongWith(const ToCoordinator& message);

// Cuts the beginning off texts that would not fit into a frame (codec.h) beside the others. A
// result that does not fit beside what the texts leave is dropped: the list of a loop's file may be
// as long as an outcome.
inline constexpr std::size_t kOutputBytesMax = 32u << 20;
inline constexpr std::size_t kErrorOutputBytesMax = 8u << 20;
inline constexpr std::size_t kOutcomeBytesMax = 48u << 20;
void FitIntoFrame(AttemptOutcome& outcome);

}  // namespace troupe
