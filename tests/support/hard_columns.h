// Columns that are hard to split.
#pragma once

#include <limits>
#include <random>

#include "train/matrix.h"

namespace mithral::testing {

// Column 0 continuous, 1 with ties, 2 constant, 3 neighbouring floats, 4 huge, 5 denormal.
inline train_internal::MatrixF hard_columns(int n, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> level(0, 3);
  train_internal::MatrixF rows(n, 6);
  for (int i = 0; i < n; ++i) {
    rows(i, 0) = normal(random);
    rows(i, 1) = static_cast<float>(level(random));
    rows(i, 2) = 7;
    rows(i, 3) = 1 + static_cast<float>(level(random)) * std::numeric_limits<float>::epsilon();
    rows(i, 4) = normal(random) > 0 ? 3e38f : -3e38f + 1e32f * static_cast<float>(level(random));
    rows(i, 5) = static_cast<float>(level(random)) * std::numeric_limits<float>::denorm_min();
  }
  return rows;
}

}  // namespace mithral::testing
