// The keys of all maps whose keys are fixed, by the name of the map: for what must agree with them.
#pragma once

#include <string_view>
#include <vector>

#include "workflow/reader.h"

namespace troupe {

struct TabledKey {
  std::string_view name = "";
  Support support = Support::Now;
  bool required = false;
};
struct KeyTable {
  std::string_view map = "";  // "task"; "collection_file" where the keys depend on a type.
  std::vector<TabledKey> keys = {};
};

std::vector<KeyTable> AllKeyTables();

// Parts of it, of the files that hold the tables.
void AddAgentTables(std::vector<KeyTable>& tables);
void AddConditionTables(std::vector<KeyTable>& tables);
void AddDocumentTables(std::vector<KeyTable>& tables);
void AddLoopTables(std::vector<KeyTable>& tables);
void AddSharedTables(std::vector<KeyTable>& tables);
void AddTaskTables(std::vector<KeyTable>& tables);

template <class Out, std::size_t N>
void AddTable(std::string_view map, const Key<Out> (&keys)[N], std::vector<KeyTable>& tables) {
  KeyTable table{.map = map};
  for (const Key<Out>& key : keys) {
    table.keys.push_back({key.name, key.support, key.required != nullptr});
  }
  tables.push_back(std::move(table));
}

}  // namespace troupe
