#include "workflow/task_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace troupe {
namespace {

// FNV-1a, a byte at a time.
constexpr std::uint64_t kHashStart = 0xCBF29CE484222325u;
std::uint64_t HashOn(std::uint64_t hash, char c) {
  return (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
}
std::uint64_t HashOf(std::string_view text) {
  std::uint64_t hash = kHashStart;
  for (char c : text) hash = HashOn(hash, c);
  return hash;
}

}  // namespace

std::uint32_t TaskNames::Find(std::string_view name, std::uint32_t from) const {
  if (from != kNone) {
    for (std::uint32_t p = document_.tasks[from].parent; p != kNone;
         p = document_.tasks[p].parent) {
      const auto it = document_.subtask_index.find({p, name});
      if (it != document_.subtask_index.end()) return it->second;
    }
  }
  // The full id of a top-level task is its name.
  const auto it = document_.task_index.find(name);
  return it == document_.task_index.end() ? kNone : it->second;
}

std::uint32_t TaskNames::Require(const Named& name, std::uint32_t from,
                                 const std::string& message) {
  const std::uint32_t found = Find(name.name, from);
  if (found != kNone || document_.refused_tasks || IsRefused(name.name)) return found;
  problems_.Error(name.at, "unknown-task",
                  fmt::format("{} {}, which does not exist{}", message, Quote(name.name),
                              Suggest(name.name, from)));
  return kNone;
}

bool TaskNames::IsRefused(std::string_view name) const {
  for (std::size_t end = std::min<std::size_t>(name.size(), 513); end > 0; --end) {
    if (end < name.size() && name[end] != '.') continue;
    const auto it = document_.task_index.find(name.substr(0, end));
    if (it != document_.task_index.end() && document_.tasks[it->second].refused_subtasks) {
      return true;
    }
  }
  return false;
}

std::string TaskNames::Suggest(std::string_view name, std::uint32_t from) {
  const std::string meant = Meant(name, from);
  return meant.empty() ? "" : fmt::format("; did you mean {}?", Quote(meant));
}

std::string TaskNames::Meant(std::string_view name, std::uint32_t from) {
  return problems_.MaySuggest() ? problems_.Nearest(name, Candidates(from)) : "";
}

// The names that are seen from a task, the nearest first, then all full ids.
const std::vector<std::string_view>& TaskNames::Candidates(std::uint32_t from) {
  const std::uint32_t parent = from == kNone ? kNone : document_.tasks[from].parent;
  if (!candidates_.empty() && candidates_for_ == parent) return candidates_;
  candidates_.clear();
  candidates_for_ = parent;
  for (std::uint32_t p = parent; p != kNone; p = document_.tasks[p].parent) {
    for (std::uint32_t child = p + 1; child < document_.tasks[p].end;
         child = document_.tasks[child].end) {
      candidates_.push_back(document_.tasks[child].name);
    }
  }
  for (const TaskDoc& task : document_.tasks) candidates_.push_back(task.id);
  return candidates_;
}

std::vector<std::size_t> TaskNames::PrefixesIn(std::string_view text) {
  if (hashes_.empty()) {
    hashes_.reserve(document_.tasks.size());
    for (const TaskDoc& task : document_.tasks) {
      hashes_.push_back(HashOf(task.id));
      if (task.parent != kNone) hashes_.push_back(HashOf(task.name));
    }
    std::sort(hashes_.begin(), hashes_.end());
  }
  std::vector<std::size_t> ends;
  std::uint64_t hash = kHashStart;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.' && std::binary_search(hashes_.begin(), hashes_.end(), hash)) {
      ends.push_back(i);
    }
    hash = HashOn(hash, text[i]);
  }
  return ends;
}

}  // namespace troupe
