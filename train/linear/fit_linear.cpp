#include "train/linear/fit_linear.h"

#include <Eigen/Cholesky>
#include <limits>
#include <utility>

#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "train/linear/moments.h"

namespace mithral::train_internal {
namespace {

// Penalties that are tried, as shares of a quantised dim's average variance times the rows.
constexpr double kLinearRidges[] = {1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1};

// (C*K, S): the sums of a dim over the rows of an entry.
MatrixD sums_by_entry(const MatrixF& dims, const Codes& codes, int64_t n_entries) {
  MatrixD sums = MatrixD::Zero(codes.cols() * n_entries, dims.cols());
  for (int64_t c = 0; c < codes.cols(); ++c) {
    for (int64_t i = 0; i < codes.rows(); ++i) sums.row(c * n_entries + codes(i, c)) += dims.row(i).cast<double>();
  }
  return sums;
}

}  // namespace

LinearRegression::LinearRegression(const DimSteps& steps, const RowsF& rows, int64_t n_threads)
    : steps_(steps), quantised_(quantise_rows(steps, rows)), mean_(means(quantised_)) {
  quantised_ = centre(quantised_);
  gram_ = products(quantised_, quantised_, n_threads);
  with_columns_ = products(quantised_, centre(rows), n_threads);
}

MatrixD LinearRegression::solve(const MatrixD& b, double ridge) const { return solve_for(with_columns_ * b, ridge); }

MatrixD LinearRegression::solve(const MatrixD& b, double ridge, const RealTables& tables, const Codes& codes) const {
  const MatrixD by_entry = sums_by_entry(quantised_, codes, tables.n_entries);
  return solve_for(with_columns_ * b - by_entry.transpose() * tables.entries, ridge);
}

RealLinear LinearRegression::with_weights(MatrixD weights) const {
  const auto n = static_cast<double>(quantised_.rows());
  return {steps_, mean_, gram_.diagonal().transpose() / n, std::move(weights)};
}

MatrixD LinearRegression::solve_for(MatrixD moments_of_outputs, double ridge) const {
  Eigen::MatrixXd gram = gram_;
  const double variance = gram_.diagonal().mean();
  if (!(variance > 0)) return MatrixD::Zero(moments_of_outputs.rows(), moments_of_outputs.cols());
  gram.diagonal().array() += ridge * variance;
  const Eigen::LLT<Eigen::MatrixXd> factor(gram);
  ensure(factor.info() == Eigen::Success, "moments of linear dims are not positive definite");
  factor.solveInPlace(moments_of_outputs);
  return moments_of_outputs;
}

namespace {

// Dims for what latents leave, in whole fours.
std::vector<int32_t> select_beside(const LearnedLatents& latents, const RowsF& rows, const LinearProblem& problem) {
  if (problem.n_dims == 0) return {};
  const LinearRegression regression({.dims = {}, .inverse_step = {}, .zero = {}, .latents = latents.model}, rows,
                                    problem.n_threads);
  const MatrixD left = problem.b - latents.directions * regression.solve(problem.b, kLinearRidges[1]);
  std::vector<int32_t> dims =
      select_dims(rows, left, round_up(problem.n_dims, LinearDims::kFour), problem.select_by, problem.n_threads);
  dims.resize(round_down(std::ssize(dims), LinearDims::kFour));
  return dims;
}

DimSteps steps_of(const ChosenDims& chosen, const RowsF& rows) {
  DimSteps steps = choose_steps(rows, chosen.dims, chosen.constants);
  steps.latents = chosen.latents;
  return steps;
}

}  // namespace

ChosenDims choose_dims(const LinearProblem& problem) {
  const RowsF fit = problem.samples.fit(), validation = problem.samples.validation();
  ChosenDims chosen{.dims = {},
                    .constants = problem.select_by == SelectBy::kLine ? Constants::kKept : Constants::kLeftOut,
                    .ridge = kLinearRidges[1]};
  if (problem.latents != nullptr) {
    chosen.dims = select_beside(*problem.latents, fit, problem);
    chosen.constants = Constants::kKept;
    chosen.latents = problem.latents->model;
  } else {
    chosen.dims = select_dims(fit, problem.b, problem.n_dims, problem.select_by, problem.n_threads);
  }
  const DimSteps steps = steps_of(chosen, fit);
  if (validation.rows() == 0 || steps.size() == 0) return chosen;
  const MatrixD sketch = sketch_outputs(problem.b);
  const LinearRegression tried(steps, fit, problem.n_threads);
  double least = std::numeric_limits<double>::infinity();
  for (const double ridge : kLinearRidges) {
    const RealLinear linear = tried.with_weights(tried.solve(sketch, ridge));
    const double error = outputs_left(linear, validation, means(fit), sketch).squaredNorm();
    if (error < least) least = error, chosen.ridge = ridge;
  }
  return chosen;
}

RealLinear fit_linear(const ChosenDims& chosen, const RowsF& rows, const MatrixD& b, int64_t n_threads) {
  const DimSteps steps = steps_of(chosen, rows);
  if (steps.size() == 0) return {};
  const LinearRegression regression(steps, rows, n_threads);
  return regression.with_weights(regression.solve(b, chosen.ridge));
}

MatrixD without_linear(const MatrixD& b, const RealLinear& linear) {
  MatrixD left = b;
  for (int64_t s = 0; s < std::ssize(linear.steps.dims); ++s) {
    left.row(linear.steps.dims[s]) -= double{linear.steps.inverse_step[s]} * linear.weights.row(s);
  }
  return left;
}

MatrixD outputs_left(const RealLinear& linear, const RowsF& rows, const Eigen::RowVectorXd& mean, const MatrixD& b) {
  MatrixD left = (rows.cast<double>().rowwise() - mean) * b;
  if (linear.empty()) return left;
  const MatrixD quantised = quantise_rows(linear.steps, rows).cast<double>();
  left -= (quantised.rowwise() - linear.mean) * linear.weights;
  return left;
}

}  // namespace mithral::train_internal
