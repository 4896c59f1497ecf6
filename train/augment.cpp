#include "train/augment.h"

#include <algorithm>
#include <cmath>

#include "train/random.h"

namespace mithral::train_internal {

MatrixF augment_rows(const RowsF& rows, int64_t n_total, uint64_t seed) {
  const int64_t n = rows.rows();
  const Eigen::RowVectorXd mean = rows.cast<double>().colwise().mean();
  const Eigen::RowVectorXf low = rows.colwise().minCoeff();
  const Eigen::RowVectorXf high = rows.colwise().maxCoeff();
  const double unit = kNoiseStrength / std::sqrt(static_cast<double>(kMixedRows));

  MatrixF augmented(std::max(n, n_total), rows.cols());
  augmented.topRows(n) = rows;
  SplitMix64 random(seed);
  for (int64_t i = n; i < augmented.rows(); ++i) {
    Eigen::RowVectorXd row = rows.row(i % n).cast<double>();  // sums of finite floats cannot overflow a double
    for (int k = 0; k < kMixedRows; ++k) {
      const double sign = (random.next() >> 63) != 0 ? unit : -unit;
      row += sign * (rows.row(static_cast<int64_t>(random.below(n))).cast<double>() - mean);
    }
    augmented.row(i) = row.cwiseMax(low.cast<double>()).cwiseMin(high.cast<double>()).cast<float>();
  }
  return augmented;
}

}  // namespace mithral::train_internal
