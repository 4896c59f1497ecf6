// Columns of bytes -> codes by hash trees, without widening them: a block of rows is one vector.
#pragma once

#include "codegen/encode/trees/tree_structure.h"
#include "codegen/model/input_view.h"
#include "codegen/program/code_layout.h"
#include "codegen/program/program.h"

namespace mithral::codegen {

// Whether such an encoder can be made: of 8-bit integers, for trees whose levels have at most 16 nodes.
bool encodes_bytes(const TreeStructure& trees, const CodeLayout& layout, InputType type);

Program lower_trees_bytes(const TreeStructure& trees, const CodeLayout& layout, const Target& target, InputType type);

}  // namespace mithral::codegen
