// Whether tasks that are referred to come before the tasks that refer to them.
//
// Most references go to a task nearby, which a small search finds. The others are answered for many
// targets at once, by passing sets of bits along the graph.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "workflow/order.h"

namespace troupe {
namespace {

constexpr std::size_t kNearbyMax = 64;
constexpr std::size_t kWords = 4;  // Of 64 targets.
using Bits = std::array<std::uint64_t, kWords>;

using Use = References::Use;

class Upstream {
 public:
  explicit Upstream(const Order& order) : order_(order) {}

  // True if `use` is known to be right; looks at a few edges only.
  bool IsNearby(const Use& use);
  // Which of `uses` are wrong.
  std::vector<Use> FindWrong(std::vector<Use> uses);

 private:
  void CheckBatch(const std::vector<Use>& uses, std::size_t begin, std::size_t end,
                  std::vector<Use>& wrong);

  const Order& order_;
  std::vector<std::uint32_t> sorted_;    // Nodes, each after what it needs.
  std::vector<std::uint32_t> position_;  // Of each node in sorted_.
  std::vector<Bits> reached_;            // By position.
};

bool Upstream::IsNearby(const Use& use) {
  std::vector<std::uint32_t> seen = {use.task};
  for (std::size_t next = 0; next < seen.size(); ++next) {
    for (const Order::Edge& edge : order_.Needs(seen[next])) {
      if (edge.needs == use.target) return true;
      if (seen.size() >= kNearbyMax) return false;
      if (std::find(seen.begin(), seen.end(), edge.needs) == seen.end()) {
        seen.push_back(edge.needs);
      }
    }
  }
  return false;
}

std::vector<Use> Upstream::FindWrong(std::vector<Use> uses) {
  std::vector<Use> wrong;
  if (uses.empty()) return wrong;
  sorted_ = FindComponents(order_).order;
  position_.resize(sorted_.size());
  for (std::uint32_t i = 0; i < sorted_.size(); ++i) position_[sorted_[i]] = i;
  std::sort(uses.begin(), uses.end(),
            [&](const Use& a, const Use& b) { return position_[a.target] < position_[b.target]; });
  reached_.resize(sorted_.size());
  for (std::size_t begin = 0; begin < uses.size();) {
    std::size_t targets = 1;
    std::size_t end = begin + 1;
    while (end < uses.size()) {
      targets += uses[end].target != uses[end - 1].target;
      if (targets > 64 * kWords) break;
      ++end;
    }
    CheckBatch(uses, begin, end, wrong);
    begin = end;
  }
  return wrong;
}

// Only nodes between the first target and the last user can matter.
void Upstream::CheckBatch(const std::vector<Use>& uses, std::size_t begin, std::size_t end,
                          std::vector<Use>& wrong) {
  const std::uint32_t from = position_[uses[begin].target];
  std::uint32_t to = from;
  for (std::size_t i = begin; i < end; ++i) to = std::max(to, position_[uses[i].task]);
  std::fill(reached_.begin() + from, reached_.begin() + to + 1, Bits{});
  std::vector<std::size_t> bit(end - begin, 0);
  for (std::size_t i = begin; i < end; ++i) {
    if (i > begin) bit[i - begin] = bit[i - begin - 1] + (uses[i].target != uses[i - 1].target);
    const std::size_t b = bit[i - begin];
    if (position_[uses[i].target] <= to) {
      reached_[position_[uses[i].target]][b / 64] |= std::uint64_t{1} << (b % 64);
    }
  }
  for (std::uint32_t i = from; i <= to; ++i) {
    Bits& bits = reached_[i];
    for (const Order::Edge& edge : order_.Needs(sorted_[i])) {
      const std::uint32_t need = position_[edge.needs];
      if (need < from) continue;
      for (std::size_t word = 0; word < kWords; ++word) bits[word] |= reached_[need][word];
    }
  }
  for (std::size_t i = begin; i < end; ++i) {
    const std::size_t b = bit[i - begin];
    const bool itself = uses[i].task == uses[i].target;
    const Bits& bits = reached_[position_[uses[i].task]];
    if (position_[uses[i].task] >= from && !itself && ((bits[b / 64] >> (b % 64)) & 1) == 1) {
      continue;
    }
    wrong.push_back(uses[i]);
  }
}

std::string_view Used(Ref::Kind kind) {
  if (kind == Ref::Kind::TaskResult) return "result";
  if (kind == Ref::Kind::TaskState) return "status";
  if (kind == Ref::Kind::TaskError) return "error";
  return "output";
}

}  // namespace

void CheckUpstream(const Order& order, const Document& document, const std::vector<Use>& uses,
                   std::vector<bool>& checked, Problems& problems) {
  Upstream upstream(order);
  std::vector<Use> far;
  for (const Use& use : uses) {
    if (!order.Runs(use.task) || checked[use.task]) continue;
    if (!upstream.IsNearby(use)) far.push_back(use);
  }
  for (std::uint32_t i = 0; i < order.tasks(); ++i) {
    if (order.Runs(i)) checked[i] = true;
  }
  for (const Use& use : upstream.FindWrong(std::move(far))) {
    const std::string task = Quote(document.tasks[use.task].id);
    problems.Error(use.at, "not-upstream",
                   use.task == use.target
                       ? fmt::format("task {} uses its own {}", task, Used(use.kind))
                       : fmt::format("task {} uses the {} of {} but does not depend on it", task,
                                     Used(use.kind), Quote(document.tasks[use.target].id)));
  }
}

}  // namespace troupe
