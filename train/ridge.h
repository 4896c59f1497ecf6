// One joint ridge regression of the outputs on all leaves (MADDNESS, section 4.2), done for the outputs themselves.
//
// The regressors are the C*K indicators "row i is in leaf k of codebook c", centred; the outputs are Y = A B, centred.
// As Y is linear in A, sums of outputs over a leaf are sums of A's rows over it, times B: Y is never formed for the
// rows learned from, so many outputs cost little time and memory.
#pragma once

#include <vector>

#include "train/matrix.h"
#include "train/progress.h"

namespace mithral::train_internal {

// Up to this many regressors the normal equations are formed and factored; beyond, they are solved by conjugate
// gradients that only ever multiply by the codes: memory grows with the rows instead of with the regressors' square.
inline constexpr int64_t kMaxFactored = 1024;

// What the regression needs to know of a set of rows, added block by block.
struct LeafSums {
  LeafSums(int64_t codebooks, int64_t leaves, int64_t features);

  void add(const Codes& codes, const RowsF& rows, int64_t n_threads);
  bool is_factored() const { return counts.size() <= kMaxFactored; }

  int64_t n_codebooks;
  int64_t n_leaves;  // K
  int64_t n_rows = 0;
  Eigen::VectorXd counts;    // (C*K): the rows in a leaf
  MatrixD rows;              // (C*K, D): the sum of A's rows in a leaf
  Eigen::RowVectorXd total;  // (D): the sum of all rows
  Eigen::MatrixXd pairs;     // (C*K, C*K), lower triangle: how many rows are in both of two leaves; if factored
  std::vector<Codes> codes;  // the blocks' codes; if not factored
};
LeafSums sum_leaves(const Codes& codes, int64_t n_leaves, const RowsF& rows, int64_t n_threads);

// What a row's leaves say about its outputs: y = mean + the sum of one entry per codebook.
struct LeafOutputs {
  Eigen::RowVectorXd mean;  // (M)
  MatrixD entries;          // (C*K, M), leaf k of codebook c in row c*K + k; each codebook's mean over the rows is 0
  int64_t n_leaves;         // K
};

// How close iterations come, in lengths of the residual; systems that are factored come closer.
inline constexpr double kSolved = 1e-6;
inline constexpr double kComparable = 1e-3;  // enough to tell good penalties from bad ones

// A leaf that no row reaches gets the neutral entry 0: the average of its codebook.
LeafOutputs solve(const LeafSums& sums, const MatrixD& b, double lambda, int64_t n_threads = 1,
                  double tolerance = kSolved);

// The summed squared error of the outputs over rows.
double squared_error(const LeafOutputs& outputs, const Codes& codes, const MatrixD& exact);

// The penalties tried: whole decades from the start towards the smaller error, then half a decade to either side.
// The largest would halve the effect of a leaf of a hundred million rows, so any overfitting can be undone.
inline constexpr double kFirstLambda = 1.0;
inline constexpr int kDecadesDown = 3;
inline constexpr int kDecadesUp = 8;

// The penalty with the least error on the validation rows; kFirstLambda when there are none.
struct ChosenLambda {
  double lambda = kFirstLambda;
  double error = 0;  // on the validation rows, summed and squared, of (a sketch of) the outputs
};
ChosenLambda choose_lambda(const LeafSums& sums, const MatrixD& b, const Codes& validation_codes,
                           const RowsF& validation_rows, int64_t n_threads, Progress& progress);

}  // namespace mithral::train_internal
