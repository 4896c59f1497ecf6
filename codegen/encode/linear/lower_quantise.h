// Columns -> quantised linear dims (model/linear_dims.h): routine kQuantise, of any input type.
#pragma once

#include "codegen/model/input_view.h"
#include "codegen/program/code_layout.h"
#include "codegen/program/program.h"

namespace mithral::codegen {

// There is one linear dim at least.
Program lower_quantise(const CodeLayout& layout, const Target& target, InputType type);

}  // namespace mithral::codegen
