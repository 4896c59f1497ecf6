// Columns -> codes by hash trees: routine kEncode, of any input type.
#pragma once

#include "codegen/encode/trees/tree_structure.h"
#include "codegen/model/input_view.h"
#include "codegen/program/code_layout.h"
#include "codegen/program/program.h"

namespace mithral::codegen {

Program lower_trees(const TreeStructure& trees, const CodeLayout& layout, const Target& target, InputType type);

}  // namespace mithral::codegen
