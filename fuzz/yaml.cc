// A workflow file: whatever stands in it, problems or a plan, and what is a plan can be explained.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "workflow/compile.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const troupe::Compiled compiled = troupe::CompileWorkflow(text, {});
  const troupe::Compiled checked = troupe::CompileWorkflow(text, {.check_only = true});
  CHECK(compiled.ok == (compiled.plan != nullptr));
  CHECK(compiled.ok == checked.ok);
  CHECK(compiled.problems.size() == checked.problems.size());
  (void)troupe::FormatProblems("fuzz.yaml", compiled.problems);
  if (compiled.plan != nullptr) (void)troupe::BindInputs(*compiled.plan, {"a=b"});
  return 0;
}
