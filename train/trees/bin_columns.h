// Columns cut into at most 256 bins, so that a split search looks at bins instead of values.
#pragma once

#include <vector>

#include "train/matrix.h"

namespace mithral::train_internal {

inline constexpr int kMaxBins = 256;       // per column with few distinct values, one per value
inline constexpr int kQuantileBins = 128;  // per other column

struct BinnedColumns {
  // Row i of column j lies in a bin above b exactly when rows(i, j) > cuts[j][b], compared as float32.
  Eigen::Matrix<uint8_t, Eigen::Dynamic, Eigen::Dynamic> bins;  // (n, D), one column contiguous
  std::vector<std::vector<float>> cuts;                         // [D], ascending, at most kMaxBins - 1 each
  std::vector<uint8_t> has_a_bin_per_value;                     // [D]; else some bins merge values

  int64_t n_rows() const { return bins.rows(); }
  int n_bins(int32_t column) const { return static_cast<int>(cuts[column].size()) + 1; }
};

// One bin per value where a column has at most kMaxBins distinct values (the search is then exact), else kQuantileBins
// of nearly equal row counts in which a value that fills a whole bin gets one to itself (zeros after a ReLU do). A
// few thousand of many rows say where those are.
BinnedColumns bin_columns(const RowsF& rows, int64_t n_threads);

// Rows 0, stride, 2 * stride, ... with the same cuts.
BinnedColumns every_nth_row(const BinnedColumns& columns, int64_t stride);

}  // namespace mithral::train_internal
