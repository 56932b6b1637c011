// A YAML document as it was written: order kept, keys as text, aliases shared, each node with its
// place.
//
// Nodes are numbers into a few flat arrays, so that a file of a million tasks fits. A node that an
// alias stands for is the anchored node itself; all walks are bounded, as the parser bounds how
// many nodes aliases make.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "workflow/problems.h"
#include "workflow/source.h"

namespace troupe {

using NodeId = std::uint32_t;
inline constexpr NodeId kNoNode = 0xFFFF'FFFF;

enum class NodeKind : std::uint8_t { Null, Bool, Number, String, List, Map };

struct MapEntry {
  std::uint32_t key_first = 0;  // In the tree's characters.
  std::uint32_t key_bytes = 0;
  std::uint32_t key_at = 0;  // Byte offset in the source.
  NodeId value = kNoNode;
};

class Tree {
 public:
  NodeId root() const { return root_; }
  NodeKind Kind(NodeId node) const { return nodes_[node].kind; }
  std::uint32_t At(NodeId node) const { return nodes_[node].at; }
  // Of scalars: without quotes, escapes resolved; a number as it was written.
  std::string_view Text(NodeId node) const {
    return Characters(nodes_[node].first, nodes_[node].count);
  }
  std::span<const NodeId> Items(NodeId list) const {
    return {items_.data() + nodes_[list].first, nodes_[list].count};
  }
  std::span<const MapEntry> Entries(NodeId map) const {
    return {entries_.data() + nodes_[map].first, nodes_[map].count};
  }
  std::string_view Key(const MapEntry& entry) const {
    return Characters(entry.key_first, entry.key_bytes);
  }
  // The value of `key`, kNoNode if there is none. Looks at all keys: for small maps.
  NodeId Find(NodeId map, std::string_view key) const;

  // The same values, whatever the order of keys and the way they were written.
  bool Same(NodeId a, NodeId b) const;

 private:
  friend class TreeBuilder;
  struct Node {
    NodeKind kind = NodeKind::Null;
    std::uint32_t at = 0;
    std::uint32_t first = 0;  // In characters, items or entries.
    std::uint32_t count = 0;
  };
  std::string_view Characters(std::uint32_t first, std::uint32_t count) const {
    return {characters_.data() + first, count};
  }

  NodeId root_ = kNoNode;
  std::vector<Node> nodes_;
  std::vector<NodeId> items_;
  std::vector<MapEntry> entries_;
  std::string characters_;
};

// False if the text is no YAML, or is too large or too deep; the problem was added then. Duplicate
// keys, bad keys and further documents are added too, but do not end it.
bool ParseYaml(const Source& source, Problems& problems, Tree& tree);

}  // namespace troupe
