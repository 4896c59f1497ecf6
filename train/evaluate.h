// The figures of a finished, quantised model on some rows: for its report, on rows that took no part in its training.
#pragma once

#include <span>

#include "codegen/model/model.h"
#include "train/matrix.h"

namespace mithral::train_internal {

// Keys "nmse", "r2", "argmax_agreement" and "n_holdout" (train.h).
Report evaluate(const Model& model, const RowsF& rows, const MatrixD& b, std::span<const float> bias);

// Squared error over variance. Where the variance is no more than float32 rounding of the values themselves, their
// squares take its place: 0 for an exact result, never above 1.
double normalised_error(double squared_error, double variance, double squares);

}  // namespace mithral::train_internal
