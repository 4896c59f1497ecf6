// Columns of bytes -> codes, without widening them: a block of rows is one vector.
#pragma once

#include "codegen/lower.h"

namespace mithral::codegen {

// Whether such an encoder can be made: of 8-bit integers, for trees whose levels have at most 16 nodes.
bool encodes_bytes(const TreeStructure& trees, const CodeLayout& layout, InputType type);

Program lower_encode_bytes(const TreeStructure& trees, const CodeLayout& layout, const Target& target, InputType type);

}  // namespace mithral::codegen
