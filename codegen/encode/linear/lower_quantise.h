// Columns -> quantised linear dims (model/linear_dims.h): routines kQuantise and kQuantiseRows, of any input type.
#pragma once

#include "codegen/model/input_view.h"
#include "codegen/model/linear_dims.h"
#include "codegen/program/code_layout.h"
#include "codegen/program/program.h"

namespace mithral::codegen {

// There is one linear dim at least. `prefetch_rows`: how many rows ahead to prefetch; 0: none.
Program lower_quantise(const CodeLayout& layout, const Target& target, InputType type);
Program lower_quantise_rows(const CodeLayout& layout, int prefetch_rows, const Target& target, InputType type);

// How many vectors of W dims, from the first dim on, are of adjacent columns: those that kQuantiseRows can read from
// rows as they lie.
int64_t count_row_vectors(const LinearDims& linear, int64_t lanes);

}  // namespace mithral::codegen
