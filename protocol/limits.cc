#include "protocol/limits.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/access.h"

namespace troupe {
namespace {

std::string WrongWithHello(const Hello& hello) {
  if (!IsWorkerName(hello.worker)) {
    return "the name of a worker must be 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or "
           "a digit";
  }
  if (hello.slots > kSlotsMax) {
    return fmt::format("worker {} offers {} slots; the limit is {}", hello.worker, hello.slots,
                       kSlotsMax);
  }
  const auto too_long = [](const std::string& text) { return text.size() > kLabelBytesMax; };
  if (hello.labels.size() > kLabelsMax || hello.providers.size() > kProvidersMax ||
      std::any_of(hello.labels.begin(), hello.labels.end(), too_long) ||
      std::any_of(hello.providers.begin(), hello.providers.end(), too_long)) {
    return fmt::format("worker {} has more than {} labels or {} providers, or very long ones",
                       hello.worker, kLabelsMax, kProvidersMax);
  }
  return "";
}

// Keeps the end of the text, from the beginning of a character on.
void KeepEnd(std::string& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return;
  std::size_t cut = text.size() - bytes_max + 100;  // Room for the note.
  while (cut < text.size() && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) ++cut;
  text.replace(0, cut, fmt::format("[... {} bytes left out ...]", cut));
}

}  // namespace

void FitIntoFrame(AttemptOutcome& outcome) {
  KeepEnd(outcome.output, kOutputBytesMax);
  KeepEnd(outcome.error_output, kErrorOutputBytesMax);
  const std::size_t bytes_max =
      kOutcomeBytesMax - outcome.output.size() - outcome.error_output.size();
  if (outcome.result_json.size() <= bytes_max) return;
  outcome.result_json.clear();
  if (!outcome.failure) outcome.failure = FailureClass::SchemaFailed;
  outcome.message = fmt::format("the result has more than {} bytes", bytes_max);
}

std::string WrongWith(const ToCoordinator& message) {
  if (const auto* hello = std::get_if<Hello>(&message)) return WrongWithHello(*hello);
  return "";
}

}  // namespace troupe
