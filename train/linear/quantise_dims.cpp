#include "train/linear/quantise_dims.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "codegen/model/reference.h"

namespace mithral::train_internal {
namespace {

constexpr double kLargest = LinearDims::kMaxQuantised;

// Shares of the rows that may be cut off at either end.
constexpr double kTails[] = {0, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02};

struct Range {
  double low = 0, high = 0;
};

// The summed squared distance of the first `count` sorted values to the one behind them.
double cut_off(const std::vector<float>& sorted, int64_t count) {
  double error = 0;
  for (int64_t i = 0; i < count; ++i) error += std::pow(double{sorted[count]} - sorted[i], 2);
  return error;
}

// How far beyond values of which each is seen once new ones are to be expected, as a share of their range.
double margin(double n_rows) { return 0.9 / std::sqrt(n_rows); }

// Rounding to a step errs by a twelfth of its square on average. Ends that several rows share are bounds; beyond others
// new rows may go.
Range choose_range(std::vector<float> values) {
  const auto n = static_cast<double>(values.size());
  std::sort(values.begin(), values.end());
  const std::vector<float> falling(values.rbegin(), values.rend());
  Range best;
  double least = std::numeric_limits<double>::infinity();
  for (const double tail_low : kTails) {
    const auto below = static_cast<int64_t>(tail_low * n);
    const double error_low = cut_off(values, below);
    for (const double tail_high : kTails) {
      const auto above = static_cast<int64_t>(tail_high * n);
      const Range range = {values[below], falling[above]};
      const double step = (range.high - range.low) / kLargest;
      const double error = error_low + cut_off(falling, above) + n * step * step / 12;
      if (error < least && range.high > range.low) least = error, best = range;
    }
  }
  const double beyond = margin(n) * (best.high - best.low);
  if (std::count(values.begin(), values.end(), static_cast<float>(best.low)) == 1) best.low -= beyond;
  if (std::count(values.begin(), values.end(), static_cast<float>(best.high)) == 1) best.high += beyond;
  return best;
}

}  // namespace

DimSteps choose_steps(const RowsF& rows, const std::vector<int32_t>& dims, Constants constants) {
  DimSteps steps;
  bool all_constant = true;
  for (const int32_t dim : dims) {
    std::vector<float> values(rows.rows());
    for (int64_t i = 0; i < rows.rows(); ++i) values[i] = rows(i, dim);
    const Range range = choose_range(std::move(values));
    constexpr double kMost = std::numeric_limits<float>::max();
    double inverse_step = kLargest / (range.high - range.low), zero = -range.low * inverse_step;
    const bool varies = range.high > range.low && inverse_step <= kMost && std::abs(zero) <= kMost;
    if (!varies && constants == Constants::kLeftOut) continue;
    if (!varies) inverse_step = zero = 0;
    all_constant = all_constant && !varies;
    steps.dims.push_back(dim);
    steps.inverse_step.push_back(static_cast<float>(inverse_step));
    steps.zero.push_back(static_cast<float>(zero));
  }
  return all_constant ? DimSteps{} : steps;
}

MatrixF quantise_rows(const DimSteps& steps, const RowsF& rows) {
  MatrixF result(rows.rows(), steps.size());
  const int64_t n_dims = std::ssize(steps.dims);
  for (int64_t i = 0; i < rows.rows(); ++i) {
    for (int64_t s = 0; s < n_dims; ++s) {
      result(i, s) = quantise(rows(i, steps.dims[s]), steps.inverse_step[s], steps.zero[s]);
    }
  }
  if (!steps.latents) return result;
  const MatrixF latents = outputs_of(*steps.latents, rows);
  result.rightCols(latents.cols()) = latents.unaryExpr([](float z) { return static_cast<float>(quantise(z, 1, 0)); });
  return result;
}

MatrixF outputs_of(const Model& model, const RowsF& rows) {
  MatrixF outputs(rows.rows(), model.n_outputs());
  reference(model, {rows.data(), rows.rows(), rows.cols(), rows.outerStride(), 1},
            row_major(outputs.data(), outputs.rows(), outputs.cols()));
  return outputs;
}

}  // namespace mithral::train_internal
