// Rows to learn trees from, prepared once however many ways of learning them are tried.
#pragma once

#include "train/trees/bin_columns.h"
#include "train/trees/output_directions.h"

namespace mithral::train_internal {

inline constexpr int64_t kSampleRows = 2048;  // at least, where there are as many

struct BoostRows {
  // `validation` may have no rows. It and `learned_from` must outlive this.
  BoostRows(const RowsF& learned_from, const RowsF& validation, const MatrixD& b, int64_t n_threads);

  RowsF rows;             // (n, D)
  BinnedColumns columns;  // of all rows
  int64_t stride;
  BinnedColumns sample;  // of every stride-th row, to rank columns by before all rows judge the best
  MatrixF outputs;       // (n, R), in the search space

  RowsF validation;            // (v, D), the first few thousand
  MatrixF validation_outputs;  // (v, R)

 private:
  BoostRows(const RowsF& learned_from, const RowsF& validation, const SearchSpace& space, int64_t n_threads);
};

}  // namespace mithral::train_internal
