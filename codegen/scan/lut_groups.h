// The overflow proof: which codebooks' table entries may be added in bytes.
#pragma once

#include <vector>

#include "codegen/model/tables.h"

namespace mithral::codegen {

// Codebooks whose entries are added as bytes before they are widened to 16 bits. Proven from the model's own tables: in
// every group and for every output the largest entries sum to at most 255, so no byte sum wraps, and over all groups to
// at most 65535, so no 16-bit sum does.
using LutGroups = std::vector<std::vector<int>>;

// Groups by first-fit decreasing, by largest entry: few of them, every codebook in exactly one.
LutGroups group_codebooks(const EntryRanges& ranges);

// Throws InternalError unless `groups` has the property stated above. Independent of how the groups were found.
void prove_no_overflow(const EntryRanges& ranges, const LutGroups& groups);

}  // namespace mithral::codegen
