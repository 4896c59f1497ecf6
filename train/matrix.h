// Dense owning matrices of the trainer. Row-major: one row's values are contiguous.
#pragma once

#include <Eigen/Core>
#include <cstdint>

namespace mithral::train_internal {

template <typename T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

using MatrixF = RowMajor<float>;
using MatrixD = RowMajor<double>;
using RowsF = Eigen::Ref<const MatrixF, 0, Eigen::OuterStride<>>;  // borrowed rows, or a range of their columns

int64_t argmax(const auto& values) {  // the first of the largest
  int64_t index = 0;
  values.maxCoeff(&index);
  return index;
}

}  // namespace mithral::train_internal
