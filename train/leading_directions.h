// The few linear maps of rows that hold most of the outputs' variance.
#pragma once

#include "train/matrix.h"

namespace mithral::train_internal {

// (D, count), or fewer columns where outputs have no more directions: B times the leading principal directions of the
// outputs x B of rows about `mean` (D), which are orthonormal; B itself where it has no more columns. They are found on
// a sample of the rows by randomised subspace iteration (Halko, Martinsson & Tropp, "Finding structure with
// randomness", SIAM Review 2011).
MatrixD leading_directions(const RowsF& rows, const Eigen::RowVectorXd& mean, const MatrixD& b, int64_t count);

}  // namespace mithral::train_internal
