// Compiles workflow texts for tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "workflow/compile.h"

namespace troupe {

// What is printed for `text`, as file "f".
inline std::string ProblemsOf(std::string_view text, const CompileOptions& options = {}) {
  return FormatProblems("f", CompileWorkflow(text, options).problems);
}

// The plan of a text that must have one.
inline std::shared_ptr<const Plan> PlanOf(std::string_view text,
                                          const CompileOptions& options = {}) {
  Compiled compiled = CompileWorkflow(text, options);
  EXPECT_NE(compiled.plan, nullptr) << text << FormatProblems("f", compiled.problems);
  if (compiled.plan == nullptr) return std::make_shared<Plan>();
  return compiled.plan;
}

inline std::uint32_t TaskOf(const Plan& plan, std::string_view id) {
  for (std::uint32_t i = 0; i < plan.tasks.size(); ++i) {
    if (plan.tasks[i].id == id) return i;
  }
  ADD_FAILURE() << "no task " << id;
  return 0;
}

// What a task needs: "a b [x]", with the needs of gates in brackets, by id, behind the name of the
// gate's stage or parent.
inline std::string NeedsOf(const Plan& plan, const std::vector<Dependency>& needs) {
  std::string text;
  for (const Dependency& need : needs) {
    if (!text.empty()) text += ' ';
    if (need.on == Dependency::On::Task) {
      text += plan.tasks[need.index].id;
      continue;
    }
    const Gate& gate = plan.gates[need.index];
    if (gate.stage != kNone) text += plan.stages[gate.stage].name;
    if (gate.parent != kNone) text += plan.tasks[gate.parent].id;
    text += "[" + NeedsOf(plan, gate.needs) + "]";
  }
  return text;
}
inline std::string NeedsOf(const Plan& plan, std::string_view id) {
  return NeedsOf(plan, plan.tasks[TaskOf(plan, id)].needs);
}

// The ids of tasks, with spaces between.
inline std::string IdsOf(const Plan& plan, const std::vector<std::uint32_t>& tasks) {
  std::string ids;
  for (std::uint32_t task : tasks) ids += (ids.empty() ? "" : " ") + plan.tasks[task].id;
  return ids;
}
inline std::string IdsOf(const Plan& plan) {
  std::vector<std::uint32_t> all;
  for (std::uint32_t i = 0; i < plan.tasks.size(); ++i) all.push_back(i);
  return IdsOf(plan, all);
}

// A template as it was written, references as <written>.
inline std::string Written(const Template& text) {
  std::string written;
  for (const auto& piece : text) {
    if (const auto* literal = std::get_if<std::string>(&piece)) {
      written += *literal;
    } else {
      written += "<" + std::get<Ref>(piece).words->written + ">";
    }
  }
  return written;
}

}  // namespace troupe
