// Factors and summands of floats, and how they lie beside the tables: scales and offsets of sums, steps and zeros of
// linear dims.
//
// For look-ups, output by output:           | scale 0 | offset 0 | scale 1 | offset 1 | ...
//
// For accumulation, tile by tile, each as many as a vector has bytes or a multiple (RowTables::padded_outputs):
//
//                                          | scales of tile 0 | its offsets | scales of tile 1 | ...
//
// For quantising, dim by dim, to whole fours of dims (those missing are 0):
//
//                                          | inverse step of dim 0 | its zero | those of dim 1 | ...
#pragma once

#include <cstdint>

#include "codegen/model/linear_dims.h"
#include "codegen/model/multiples.h"
#include "codegen/model/tables.h"
#include "codegen/scan/row_tables.h"

namespace mithral::codegen {

// Floats of all outputs' pairs, and of those of all linear dims.
inline int64_t scale_pair_floats(const Tables& tables) { return 2 * tables.n_outputs(); }
inline int64_t step_pair_floats(const LinearDims& linear) {
  return 2 * round_up(linear.size(), CodeLayout::kBytesOfLane);
}

// Into zeroed memory of scale_pair_floats(), rows.scale_floats() and step_pair_floats().
void store_scale_pairs(const Tables& tables, float* to);
void store_scale_tiles(const Tables& tables, const RowTables& rows, float* to);
void store_step_pairs(const LinearDims& linear, float* to);

}  // namespace mithral::codegen
