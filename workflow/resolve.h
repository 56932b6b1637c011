// Finds what the names in a document stand for: tasks, agents and stages become indexes. Tasks that
// stages define are added to the document's tasks.
#pragma once

#include "workflow/document.h"

namespace troupe {

void ResolveNames(Reader& reader, Document& document);

// Of a task with these three, each key is taken from the first that has it. Null: there is none.
RecoveryRules MergeRules(const OnErrorDoc* task, const OnErrorDoc* agent, const OnErrorDoc& root);

// The provider that an agent has in the end.
Provider ProviderOf(const AgentDoc& agent, const Document& document);

}  // namespace troupe
