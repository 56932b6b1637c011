// Finds what the names in a document stand for: tasks, agents and stages become indexes. Tasks that
// stages define are added to the document's tasks.
#pragma once

#include "workflow/document.h"

namespace troupe {

void ResolveNames(Reader& reader, Document& document);

// The rules that hold for a task, the nearest first: its own, those of its parents from inside out,
// its agent's, the root's.
using OnErrorChain = std::vector<const OnErrorDoc*>;
OnErrorChain OnErrorOf(const TaskDoc& task, const Document& document);
// Each key is taken from the first that has it.
RecoveryRules MergeRules(const OnErrorChain& chain, bool asked_for_failed);

// The provider that an agent has in the end.
Provider ProviderOf(const AgentDoc& agent, const Document& document);

}  // namespace troupe
