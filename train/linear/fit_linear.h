// Weights of linear dims: the regression of the outputs on quantised columns, alone or beside tables.
#pragma once

#include <vector>

#include "train/linear/quantise_dims.h"
#include "train/linear/select_dims.h"
#include "train/ridge.h"
#include "train/samples.h"

namespace mithral::train_internal {

// Latents of rows x: outputs of a model that are codes, and of what linear map, (D, r), but for its errors and an
// offset.
struct LearnedLatents {
  std::shared_ptr<const Model> model;
  MatrixD directions;
};

// Linear dims before their weights are quantised. A row's outputs are those of the tables, and (q - mean) * weights.
struct RealLinear {
  DimSteps steps;               // of S dims, latents included here
  Eigen::RowVectorXd mean;      // (S), of the quantised values
  Eigen::RowVectorXd variance;  // (S)
  MatrixD weights;              // (S, M)

  bool empty() const { return size() == 0; }
  int64_t size() const { return weights.rows(); }
};

struct LinearProblem {
  const Samples& samples;
  const MatrixD& b;  // (D, M)
  int64_t n_dims;    // S at most
  SelectBy select_by;
  int64_t n_threads;
  const LearnedLatents* latents = nullptr;  // beside which dims are chosen, if there are some
};

// What the regression knows of rows: sums of products of quantised dims with each other and with all columns, of which
// the outputs are made.
class LinearRegression {
 public:
  LinearRegression(const DimSteps& steps, const RowsF& rows, int64_t n_threads);

  // The weights with the least penalised error of x B less what tables give, of the same rows: their entries by codes.
  MatrixD solve(const MatrixD& b, double ridge) const;
  MatrixD solve(const MatrixD& b, double ridge, const RealTables& tables, const Codes& codes) const;

  // The dims with such weights.
  RealLinear with_weights(MatrixD weights) const;

 private:
  MatrixD solve_for(MatrixD moments_of_outputs, double ridge) const;

  DimSteps steps_;
  MatrixF quantised_;        // (n, S), centred
  Eigen::RowVectorXd mean_;  // (S)
  MatrixD gram_;             // (S, S)
  MatrixD with_columns_;     // (S, D)
};

// Dims, chosen without the validation rows, and the penalty that does best on these.
struct ChosenDims {
  std::vector<int32_t> dims;
  Constants constants = Constants::kLeftOut;
  double ridge = 0;
  std::shared_ptr<const Model> latents = nullptr;
};
ChosenDims choose_dims(const LinearProblem& problem);

// The linear dims, their steps and weights fitted to these rows and their outputs x B.
RealLinear fit_linear(const ChosenDims& chosen, const RowsF& rows, const MatrixD& b, int64_t n_threads);

// B without what linear dims, of columns alone, say of the outputs: what is left for trees is x times it, but for
// rounding.
MatrixD without_linear(const MatrixD& b, const RealLinear& linear);

// (n, M): what linear dims, if any, leave of the outputs x B of rows; both centred, x on `mean`, (D).
MatrixD outputs_left(const RealLinear& linear, const RowsF& rows, const Eigen::RowVectorXd& mean, const MatrixD& b);

}  // namespace mithral::train_internal
