// Compiled with -mavx2 -mfma, so it is linked into programs that use Eigen nowhere else: a linker keeps one copy of an
// inline function, whatever flags it was compiled with.
#include "bench/eigen_product.h"

#include <Eigen/Core>

namespace mithral::bench {
namespace {

template <int kOrder>
using Matrix = Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, kOrder>>;
template <int kOrder>
using ConstMatrix = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, kOrder>>;

template <int kOrder>
void product(const float* x, const float* b, float* y, int64_t n, int64_t d, int64_t m) {
  Matrix<kOrder>(y, n, m).noalias() = ConstMatrix<kOrder>(x, n, d) * ConstMatrix<kOrder>(b, d, m);
}

}  // namespace

void eigen_product_cols(const float* x, const float* b, float* y, int64_t n, int64_t d, int64_t m) {
  product<Eigen::ColMajor>(x, b, y, n, d, m);
}

void eigen_product_rows(const float* x, const float* b, float* y, int64_t n, int64_t d, int64_t m) {
  product<Eigen::RowMajor>(x, b, y, n, d, m);
}

}  // namespace mithral::bench
