// Eigen matrices of normal values.
#pragma once

#include <cstdint>
#include <random>

namespace mithral::testing {

template <typename Matrix>
Matrix random_matrix(int64_t rows, int64_t cols, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Matrix matrix(rows, cols);
  for (auto& value : matrix.reshaped()) value = normal(random);
  return matrix;
}

}  // namespace mithral::testing
