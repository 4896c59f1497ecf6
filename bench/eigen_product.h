// The exact product by Eigen, compiled for AVX2 and FMA: what a C++ user would write instead.
#pragma once

#include <cstdint>

namespace mithral::bench {

// y (n x m) = x (n x d) * b (d x m); all three column-major or row-major.
void eigen_product_cols(const float* x, const float* b, float* y, int64_t n, int64_t d, int64_t m);
void eigen_product_rows(const float* x, const float* b, float* y, int64_t n, int64_t d, int64_t m);

}  // namespace mithral::bench
