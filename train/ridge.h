// One joint ridge regression of the outputs on all codes (MADDNESS, section 4.2), done for the outputs themselves.
//
// The regressors are the C*K indicators "the row's code in codebook c is k", centred; the outputs are Y = A B, centred.
// Each stands for one entry of the tables, and the rows whose code it is are that entry's rows. As Y is linear in A,
// the sum of outputs over an entry's rows is the sum of these rows, times B: Y is never formed for the rows learned
// from, so many outputs cost little time and memory.
#pragma once

#include <vector>

#include "train/codes.h"
#include "train/matrix.h"
#include "train/progress.h"

namespace mithral::train_internal {

// The most regressors whose normal equations are formed and factored; those of more are solved by conjugate gradients
// that only ever multiply by the codes: memory grows with the rows instead of with the regressors' square.
inline constexpr int64_t kMaxFactored = 1024;

// B, or where it has many columns, random mixes of them, for choices that need not see every output: outputs are linear
// in B, so mixing its columns mixes them.
MatrixD sketch_outputs(const MatrixD& b);

// What the regression needs to know of a set of rows, added block by block.
struct EntrySums {
  EntrySums(int64_t codebooks, int64_t entries, int64_t features);

  void add(const CodedRows& block, int64_t n_threads);
  bool is_factored() const { return counts.size() <= kMaxFactored; }

  int64_t n_codebooks;
  int64_t n_entries;  // K
  int64_t n_rows = 0;
  Eigen::VectorXd counts;    // (C*K): the number of an entry's rows
  MatrixD rows;              // (C*K, D): the sum of an entry's rows
  Eigen::RowVectorXd total;  // (D): the sum of all rows
  Eigen::MatrixXd pairs;     // (C*K, C*K), lower triangle: how many rows two entries share; if factored
  std::vector<Codes> codes;  // the blocks' codes; if not factored
};
EntrySums sum_by_entry(const CodedRows& rows, int64_t n_entries, int64_t n_threads);

// Tables before they are quantised. A row's outputs are the mean and one entry per codebook, added up.
struct RealTables {
  Eigen::RowVectorXd mean;  // (M)
  MatrixD entries;          // (C*K, M), entry k of codebook c in row c*K + k; each codebook's mean over the rows is 0
  int64_t n_entries;        // K
};

// How close iterations come, in lengths of the residual; systems that are factored come closer.
inline constexpr double kSolved = 1e-6;
inline constexpr double kComparable = 1e-3;  // enough to tell good penalties from bad ones

// The tables with the least penalised error. An entry without rows is 0, which is neutral: its codebook's average.
RealTables solve(const EntrySums& sums, const MatrixD& b, double lambda, int64_t n_threads = 1,
                 double tolerance = kSolved);

// The squared error of the outputs of each row, and its sum.
Eigen::VectorXd squared_errors(const RealTables& tables, const Codes& codes, const MatrixD& exact);
double squared_error(const RealTables& tables, const Codes& codes, const MatrixD& exact);

// The penalties tried: whole decades from the start towards the smaller error, then half a decade to either side.
// The largest would halve an entry of a hundred million rows, so any overfitting can be undone.
inline constexpr double kFirstLambda = 1.0;
inline constexpr int kDecadesDown = 3;
inline constexpr int kDecadesUp = 8;

// The penalty with the least error on the validation rows; kFirstLambda when there are none.
struct ChosenLambda {
  double lambda = kFirstLambda;
  double error = 0;  // squared, summed over the validation rows and (a sketch of) the outputs
};
ChosenLambda choose_lambda(const EntrySums& sums, const MatrixD& b, const CodedRows& validation, int64_t n_threads,
                           Progress& progress);

}  // namespace mithral::train_internal
