// How what floats are multiplied with and added to lies beside the tables: scales and offsets of sums, steps and zeros
// of linear dims.
//
// For scans, output by output:             | scale 0 | offset 0 | scale 1 | offset 1 | ...
//
// For accumulation, tile by tile, each to whole vectors of bytes:
//
//                                          | scales of tile 0 | its offsets | scales of tile 1 | ...
//
// For quantising, dim by dim, to whole fours of dims (those missing are 0):
//
//                                          | inverse step of dim 0 | its zero | those of dim 1 | ...
#pragma once

#include "codegen/scan/row_tables.h"

namespace mithral::codegen {

inline int64_t n_scale_pairs(const Tables& tables) { return 2 * tables.n_outputs(); }  // floats

// Into zeroed memory of n_scale_pairs(), and of rows.n_scales().
void store_scale_pairs(const Tables& tables, float* to);
void store_scale_tiles(const Tables& tables, const RowTables& rows, float* to);

inline int64_t n_step_pairs(const LinearDims& linear) { return 2 * round_up(linear.size(), CodeLayout::kBytesOfLane); }

// Into zeroed memory of n_step_pairs().
void store_step_pairs(const LinearDims& linear, float* to);

}  // namespace mithral::codegen
