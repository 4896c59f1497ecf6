#include "train/evaluate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "codegen/model/reference.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kEvaluatedRows = 256;  // bounds the memory for outputs when there are thousands

}  // namespace

double normalised_error(double squared_error, double variance, double squares) {
  constexpr double kRounding = std::numeric_limits<float>::epsilon();
  if (squared_error == 0) return 0;
  if (variance > kRounding * kRounding * squares) return squared_error / variance;
  return squared_error / (squared_error + squares);
}

Report evaluate(const Model& model, const RowsF& rows, const MatrixD& b, std::span<const float> bias) {
  const auto n = static_cast<double>(rows.rows());
  Eigen::RowVectorXd shift = Eigen::RowVectorXd::Zero(b.cols());
  for (size_t m = 0; m < bias.size(); ++m) shift[m] = bias[m];
  const Eigen::RowVectorXd mean = rows.cast<double>().colwise().mean() * b + shift;

  double error = 0;
  double variance = 0;
  double squares = 0;
  int64_t agreeing = 0;
  for (int64_t first = 0; first < rows.rows(); first += kEvaluatedRows) {
    const int64_t count = std::min(kEvaluatedRows, rows.rows() - first);
    const RowsF block = rows.middleRows(first, count);
    const MatrixD exact = (block.cast<double>() * b).rowwise() + shift;
    MatrixF approximate(count, b.cols());
    reference(model, {block.data(), count, block.cols(), block.outerStride(), 1},
              row_major(approximate.data(), count, b.cols()));

    error += (approximate.cast<double>() - exact).squaredNorm();
    variance += (exact.rowwise() - mean).squaredNorm();
    squares += exact.squaredNorm();
    for (int64_t i = 0; i < count; ++i) agreeing += argmax(exact.row(i)) == argmax(approximate.row(i));
  }
  const double nmse = normalised_error(error, variance, squares);
  return {{"nmse", nmse}, {"r2", 1 - nmse}, {"argmax_agreement", static_cast<double>(agreeing) / n}, {"n_holdout", n}};
}

}  // namespace mithral::train_internal
