// Rows to learn trees from, prepared once however many ways of learning them are tried.
#pragma once

#include "train/trees/bin_columns.h"
#include "train/trees/search_space.h"

namespace mithral::train_internal {

inline constexpr int64_t kSampleRows = 2048;  // the least size of a sample of more rows

struct PreparedRows {
  // `validation` may have no rows. It and `learned_from` must outlive this.
  PreparedRows(const RowsF& learned_from, const RowsF& validation, const MatrixD& b, int64_t n_threads);

  RowsF rows;             // (n, D)
  BinnedColumns columns;  // of all rows
  int64_t stride;
  BinnedColumns sample;  // of every stride-th row, to rank columns by before all rows judge the best
  MatrixF outputs;       // (n, R), in the search space

  RowsF validation;            // (v, D), the first few thousand
  MatrixF validation_outputs;  // (v, R)

 private:
  PreparedRows(const RowsF& learned_from, const RowsF& validation, const SearchSpace& space, int64_t n_threads);
};

}  // namespace mithral::train_internal
