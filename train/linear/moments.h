// Sums of products over rows, in double, in an order that does not depend on threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "train/matrix.h"
#include "train/parallel_for.h"

namespace mithral::train_internal {

// (P, Q): the sums over rows of products of columns of `left` (n, P) and of `right` (n, Q).
inline MatrixD products(const MatrixF& left, const MatrixF& right, int64_t n_threads) {
  constexpr int64_t kStrip = 64, kBlockRows = 1024;
  MatrixD sums = MatrixD::Zero(left.cols(), right.cols());
  parallel_for((left.cols() + kStrip - 1) / kStrip, n_threads, [&](int64_t strip) {
    const int64_t first = strip * kStrip, count = std::min(kStrip, left.cols() - first);
    for (int64_t row = 0; row < left.rows(); row += kBlockRows) {
      const int64_t rows = std::min(kBlockRows, left.rows() - row);
      const MatrixD some = left.block(row, first, rows, count).cast<double>();
      sums.middleRows(first, count).noalias() += some.transpose() * right.middleRows(row, rows).cast<double>();
    }
  });
  return sums;
}

inline Eigen::RowVectorXd means(const RowsF& rows) {
  return rows.cast<double>().colwise().sum() / static_cast<double>(rows.rows());
}

inline MatrixF centre(const RowsF& rows) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return (rows.cast<double>().rowwise() - means(rows)).cwiseMax(-kMost).cwiseMin(kMost).cast<float>();
}

inline MatrixF columns_of(const RowsF& rows, const std::vector<int32_t>& columns) {
  MatrixF result(rows.rows(), static_cast<int64_t>(columns.size()));
  for (int64_t s = 0; s < result.cols(); ++s) result.col(s) = rows.col(columns[s]);
  return result;
}

}  // namespace mithral::train_internal
