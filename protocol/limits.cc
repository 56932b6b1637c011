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

std::string WrongWithSubmit(const ClientSubmit& submit) {
  if (submit.text.size() > kSubmitTextBytesMax) {
    return fmt::format("the workflow has {} bytes; over the network the limit is {}",
                       submit.text.size(), kSubmitTextBytesMax);
  }
  for (const std::string* name : {&submit.file, &submit.workflow, &submit.run_dir, &submit.key}) {
    if (name->size() > kSubmitNameBytesMax) {
      return fmt::format("a name or path has more than {} bytes", kSubmitNameBytesMax);
    }
  }
  if (!submit.run_dir.starts_with('/')) return "the run directory must be an absolute path";
  std::size_t bytes = 0;
  for (const std::string& input : submit.inputs) bytes += input.size();
  if (submit.inputs.size() > kInputsMax || bytes > kInputsBytesMax) {
    return fmt::format("the inputs are more than {} or have more than {} bytes", kInputsMax,
                       kInputsBytesMax);
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

std::optional<std::uint64_t> RequestOf(const ToCoordinator& message) {
  return std::visit(
      [](const auto& m) -> std::optional<std::uint64_t> {
        if constexpr (requires { m.request; }) {
          return m.request;
        } else {
          return std::nullopt;
        }
      },
      message);
}

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
  if (const auto* submit = std::get_if<ClientSubmit>(&message)) return WrongWithSubmit(*submit);
  if (const auto* retry = std::get_if<ClientRetry>(&message);
      retry != nullptr && retry->tasks.size() > kTasksNamedMax) {
    return fmt::format("{} tasks are named; the limit is {}", retry->tasks.size(), kTasksNamedMax);
  }
  return "";
}

}  // namespace troupe
