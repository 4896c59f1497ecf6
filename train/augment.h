// Made-up rows between and around the given ones.
//
// The outputs of any row are known exactly (they are a product with B), so more rows to learn from cost nothing but
// time. With few samples this keeps trees from fitting what is accidental in them: the smoothed bootstrap (Efron,
// "Bootstrap methods", 1979), with noise of the data's own covariance.
#pragma once

#include "train/matrix.h"

namespace mithral::train_internal {

inline constexpr double kNoiseStrength = 0.3;  // in standard deviations of the data
inline constexpr int kMixedRows = 8;

// (n_total, D): the rows, then rows made of one of them (each in turn) plus kNoiseStrength times the scaled sum of
// kMixedRows others about the mean with random signs; no value leaves the range of its column.
MatrixF augment_rows(const RowsF& rows, int64_t n_total, uint64_t seed);

}  // namespace mithral::train_internal
