#include "train/ridge.h"

#include <Eigen/Cholesky>

#include "codegen/error.h"
#include "train/parallel_for.h"
#include "train/random.h"

namespace mithral::train_internal {
namespace {

// Outputs that the choice of lambda looks at.
constexpr int64_t kSketchOutputs = 64;

// How many rows are in leaf k of codebook `a` and leaf k' of codebook `b`: (K, K). Counting makes the Gram matrix exact
// and costs one increment per row instead of K^2 products.
Eigen::MatrixXd count_pairs(const Codes& codes, int64_t a, int64_t b, int64_t n_leaves) {
  Eigen::Matrix<int64_t, Eigen::Dynamic, Eigen::Dynamic> counts;
  counts.setZero(n_leaves, n_leaves);
  const uint8_t* codes_a = codes.col(a).data();
  const uint8_t* codes_b = codes.col(b).data();
  for (int64_t i = 0; i < codes.rows(); ++i) ++counts(codes_a[i], codes_b[i]);
  return counts.cast<double>();
}

// With many outputs, lambda is chosen on random mixes of them. Outputs are linear in B, so mixing its columns is all it
// takes.
MatrixD sketch_outputs(const MatrixD& b) {
  if (b.cols() <= kSketchOutputs) return b;
  return b * random_signs(b.cols(), kSketchOutputs);
}

}  // namespace

LeafSums sum_leaves(const Codes& codes, int64_t n_leaves, const RowsF& rows, int64_t n_threads) {
  const int64_t size = codes.cols() * n_leaves;
  LeafSums sums{Eigen::MatrixXd::Zero(size, size), MatrixD::Zero(size, rows.cols()),
                rows.cast<double>().colwise().sum(), rows.rows(), n_leaves};
  parallel_for(codes.cols(), n_threads, [&](int64_t c) {
    for (int64_t other = 0; other <= c; ++other) {
      sums.pairs.block(c * n_leaves, other * n_leaves, n_leaves, n_leaves) = count_pairs(codes, c, other, n_leaves);
    }
    for (int64_t i = 0; i < rows.rows(); ++i) sums.rows.row(c * n_leaves + codes(i, c)) += rows.row(i).cast<double>();
  });
  return sums;
}

LeafOutputs solve(const LeafSums& sums, const MatrixD& b, double lambda) {
  const Eigen::VectorXd counts = sums.pairs.diagonal();
  const Eigen::VectorXd share = counts / static_cast<double>(sums.n_rows);
  const Eigen::RowVectorXd mean = sums.total / static_cast<double>(sums.n_rows);

  Eigen::MatrixXd gram = sums.pairs;
  gram.selfadjointView<Eigen::Lower>().rankUpdate(counts, -1.0 / static_cast<double>(sums.n_rows));
  gram.diagonal().array() += lambda;
  const Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>> factor(gram);  // in place
  ensure(factor.info() == Eigen::Success, "the ridge system is not positive definite");

  LeafOutputs outputs{mean * b, (sums.rows - counts * mean) * b, sums.n_leaves};
  factor.solveInPlace(outputs.entries);
  for (int64_t first = 0; first < outputs.entries.rows(); first += sums.n_leaves) {
    auto entries = outputs.entries.middleRows(first, sums.n_leaves);
    entries.rowwise() -= (share.segment(first, sums.n_leaves).transpose() * entries).eval();
  }
  for (int64_t leaf = 0; leaf < share.size(); ++leaf) {
    if (share[leaf] == 0) outputs.entries.row(leaf).setZero();
  }
  return outputs;
}

double squared_error(const LeafOutputs& outputs, const Codes& codes, const MatrixD& exact) {
  double error = 0;
  Eigen::RowVectorXd left(exact.cols());
  for (int64_t i = 0; i < exact.rows(); ++i) {
    left = exact.row(i) - outputs.mean;
    for (int64_t c = 0; c < codes.cols(); ++c) left -= outputs.entries.row(c * outputs.n_leaves + codes(i, c));
    error += left.squaredNorm();
  }
  return error;
}

double choose_lambda(const LeafSums& sums, const MatrixD& b, const Codes& validation_codes,
                     const RowsF& validation_rows, Progress& progress) {
  if (validation_rows.rows() == 0) return kFirstLambda;
  const MatrixD sketch = sketch_outputs(b);
  const MatrixD exact = validation_rows.cast<double>() * sketch;

  const auto error_of = [&](double lambda) {
    const double error = squared_error(solve(sums, sketch, lambda), validation_codes, exact);
    progress.step();
    return error;
  };
  double best = kFirstLambda;
  double least = error_of(best);
  const auto walk = [&](double factor, int max_steps) {
    for (int i = 0; i < max_steps; ++i) {
      const double error = error_of(best * factor);
      if (error >= least) return i > 0;
      least = error;
      best *= factor;
    }
    return max_steps > 0;
  };
  if (!walk(10.0, kDecadesUp)) walk(0.1, kDecadesDown);
  const double half_decade = 3.1622776601683795;
  if (!walk(half_decade, 1)) walk(1 / half_decade, 1);
  return best;
}

}  // namespace mithral::train_internal
