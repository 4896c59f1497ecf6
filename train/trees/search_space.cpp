#include "train/trees/search_space.h"

#include <algorithm>
#include <cmath>

#include "train/leading_directions.h"
#include "train/parallel_for.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kProjectedRows = 1024;

}  // namespace

MatrixF SearchSpace::outputs(const RowsF& rows, int64_t n_threads) const {
  MatrixF result(rows.rows(), weights.cols());
  parallel_for((rows.rows() + kProjectedRows - 1) / kProjectedRows, n_threads, [&](int64_t block) {
    const int64_t first = block * kProjectedRows;
    const int64_t count = std::min(kProjectedRows, rows.rows() - first);
    const MatrixD centred = rows.middleRows(first, count).cast<double>().rowwise() - mean;
    result.middleRows(first, count) = (centred * weights).cast<float>();
  });
  return result;
}

SearchSpace find_search_space(const RowsF& rows, const MatrixD& b, int64_t n_threads) {
  SearchSpace space{rows.cast<double>().colwise().mean(), {}};
  // Finite floats may sum to more than a float holds: a first bound on the outputs, then their true size.
  const Eigen::RowVectorXd reach = (rows.cast<double>().rowwise() - space.mean).cwiseAbs().colwise().maxCoeff();
  const auto scale_down = [&space](double largest) {
    int exponent = 0;
    std::frexp(largest, &exponent);
    space.weights *= std::ldexp(1.0, -exponent);
  };
  space.weights = b;
  scale_down((reach * b.cwiseAbs()).maxCoeff());
  space.weights = leading_directions(rows, space.mean, space.weights, kMaxSearchOutputs);
  scale_down(space.outputs(rows, n_threads).cwiseAbs().maxCoeff());
  return space;
}

}  // namespace mithral::train_internal
