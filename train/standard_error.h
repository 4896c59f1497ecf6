// How far chance may move a mean.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

namespace mithral::train_internal {

inline double standard_error_of_mean(const Eigen::ArrayXd& values) {
  const auto n = static_cast<double>(values.size());
  const double variance = (values - values.mean()).square().sum() / std::max(1.0, n - 1);
  return std::sqrt(variance / n);
}

}  // namespace mithral::train_internal
