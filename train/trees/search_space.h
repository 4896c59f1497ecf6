// The outputs that trees are grown for: all of them, or the few directions that hold most of their variance.
#pragma once

#include "train/matrix.h"

namespace mithral::train_internal {

inline constexpr int64_t kMaxSearchOutputs = 32;

// A linear map x -> (x - mean) weights to R numbers, which stand in for the M outputs.
struct SearchSpace {
  Eigen::RowVectorXd mean;  // (D)
  MatrixD weights;  // (D, R), divided by a power of two so that no output of the rows it was found for exceeds 1

  MatrixF outputs(const RowsF& rows, int64_t n_threads) const;  // (n, R)
};

// The outputs themselves where M <= kMaxSearchOutputs, else their leading principal directions
// (leading_directions.h).
SearchSpace find_search_space(const RowsF& rows, const MatrixD& b, int64_t n_threads);

}  // namespace mithral::train_internal
