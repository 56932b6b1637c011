#include "workflow/key_tables.h"

namespace troupe {

std::vector<KeyTable> AllKeyTables() {
  std::vector<KeyTable> tables;
  AddDocumentTables(tables);
  AddAgentTables(tables);
  AddTaskTables(tables);
  AddConditionTables(tables);
  AddLoopTables(tables);
  AddSharedTables(tables);
  return tables;
}

}  // namespace troupe
