// Scales and offsets of sums, and how they lie beside the tables.
//
// For look-ups, output by output:           | scale 0 | offset 0 | scale 1 | offset 1 | ...
//
// For accumulation, tile by tile, each as many as a vector has bytes or a multiple (RowTables::padded_outputs):
//
//                                          | scales of tile 0 | its offsets | scales of tile 1 | ...
#pragma once

#include <cstdint>

#include "codegen/model/tables.h"
#include "codegen/scan/row_tables.h"

namespace mithral::codegen {

// Floats of all outputs' pairs.
inline int64_t scale_pair_floats(const Tables& tables) { return 2 * tables.n_outputs(); }

// Into zeroed memory of scale_pair_floats() and rows.scale_floats().
void store_scale_pairs(const Tables& tables, float* to);
void store_scale_tiles(const Tables& tables, const RowTables& rows, float* to);

}  // namespace mithral::codegen
