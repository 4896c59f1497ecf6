// How codes become outputs piece by piece: sizes and orders only, which never change a result.
#pragma once

#include <cstdint>

namespace mithral::codegen {

// Look-ups: a shuffle or byte permutation looks up an output of many rows.
struct ScanSchedule {
  int table_blocks = 1;      // blocks that share one load of a table, a power of two; the rest go one by one
  int tile_outputs = 4;      // that row-major look-ups compute before they write them, a multiple of 4
  int compared_outputs = 1;  // that argmax computes before it compares them
  int selected_outputs = 1;  // that top-k computes before it selects among them
  int linear_outputs = 1;    // whose sums share each load of linear dims, a power of two; 1 but for kFourCodebooks
};

// Accumulation: the table rows that a row's codes select are added up.
struct AccumulateSchedule {
  int tile_outputs = 0;     // of a row that are accumulated at a time, a multiple of a vector's bytes
  int64_t min_outputs = 0;  // row-major rows of so many outputs are accumulated; shorter ones if they fill no block
  int rows = 0;             // between which a tile's tables stay in cache, a multiple of W
  int linear_rows = 1;      // that share each load of weights, a power of two; 1 but where there are no tables

  bool row_fits_tile(int64_t n_outputs) const { return n_outputs <= tile_outputs; }
};

}  // namespace mithral::codegen
