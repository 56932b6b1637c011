#include "workflow/tree.h"

#include <algorithm>

namespace troupe {

NodeId Tree::Find(NodeId map, std::string_view key) const {
  for (const MapEntry& entry : Entries(map)) {
    if (Key(entry) == key) return entry.value;
  }
  return kNoNode;
}

bool Tree::Same(NodeId a, NodeId b) const {
  if (a == b) return true;
  if (Kind(a) != Kind(b)) return false;
  switch (Kind(a)) {
    case NodeKind::Null:
      return true;
    case NodeKind::Bool:
    case NodeKind::Number:
    case NodeKind::String:
      return Text(a) == Text(b);
    case NodeKind::List: {
      const auto left = Items(a);
      const auto right = Items(b);
      return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                        [&](NodeId x, NodeId y) { return Same(x, y); });
    }
    case NodeKind::Map: {
      if (Entries(a).size() != Entries(b).size()) return false;
      const auto sorted = [&](NodeId map) {
        std::vector<MapEntry> entries(Entries(map).begin(), Entries(map).end());
        std::sort(entries.begin(), entries.end(),
                  [&](const MapEntry& x, const MapEntry& y) { return Key(x) < Key(y); });
        return entries;
      };
      const auto left = sorted(a);
      const auto right = sorted(b);
      return std::equal(left.begin(), left.end(), right.begin(),
                        [&](const MapEntry& x, const MapEntry& y) {
                          return Key(x) == Key(y) && Same(x.value, y.value);
                        });
    }
  }
  return false;
}

}  // namespace troupe
