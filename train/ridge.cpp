#include "train/ridge.h"

#include <Eigen/Cholesky>
#include <algorithm>

#include "codegen/model/error.h"
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

// Right-hand sides -> solutions, in place.
void solve_by_factoring(const LeafSums& sums, double lambda, MatrixD& entries) {
  Eigen::MatrixXd gram = sums.pairs;
  gram.selfadjointView<Eigen::Lower>().rankUpdate(sums.counts, -1.0 / static_cast<double>(sums.n_rows));
  gram.diagonal().array() += lambda;
  const Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>> factor(gram);  // in place
  ensure(factor.info() == Eigen::Success, "the ridge system is not positive definite");
  factor.solveInPlace(entries);
}

// The regressors' Gram matrix times (C*K, M) entries: every row sums the entries of its leaves, every leaf the sums of
// its rows.
MatrixD multiply_gram(const LeafSums& sums, const MatrixD& entries, int64_t n_threads) {
  const Eigen::RowVectorXd mean = sums.counts.transpose() * entries / static_cast<double>(sums.n_rows);
  MatrixD product = -sums.counts * mean;
  for (const Codes& codes : sums.codes) {
    MatrixD row_sums(codes.rows(), entries.cols());
    constexpr int64_t kBlockRows = 1024;
    parallel_for((codes.rows() + kBlockRows - 1) / kBlockRows, n_threads, [&](int64_t block) {
      for (int64_t i = block * kBlockRows; i < std::min((block + 1) * kBlockRows, codes.rows()); ++i) {
        row_sums.row(i).setZero();
        for (int64_t c = 0; c < codes.cols(); ++c) row_sums.row(i) += entries.row(c * sums.n_leaves + codes(i, c));
      }
    });
    parallel_for(codes.cols(), n_threads, [&](int64_t c) {
      for (int64_t i = 0; i < codes.rows(); ++i) product.row(c * sums.n_leaves + codes(i, c)) += row_sums.row(i);
    });
  }
  return product;
}

// Conjugate gradients with the diagonal as preconditioner (Golub & Van Loan, "Matrix Computations", section 11.5), all
// outputs side by side; a few of them at a time, which bounds the memory.
void solve_by_conjugate_gradients(const LeafSums& sums, double lambda, double tolerance, int64_t n_threads,
                                  MatrixD& entries) {
  constexpr int64_t kOutputs = 32;
  constexpr int kMaxIterations = 100;
  const Eigen::VectorXd diagonal = (sums.counts.array() + lambda).max(1e-30).inverse();
  for (int64_t first = 0; first < entries.cols(); first += kOutputs) {
    auto target = entries.middleCols(first, std::min(kOutputs, entries.cols() - first));
    MatrixD residual = target;
    MatrixD solution = MatrixD::Zero(residual.rows(), residual.cols());
    MatrixD scaled = diagonal.asDiagonal() * residual;
    MatrixD direction = scaled;
    const double start = residual.squaredNorm();
    double reach = residual.cwiseProduct(scaled).sum();
    for (int i = 0; i < kMaxIterations && residual.squaredNorm() > tolerance * tolerance * start; ++i) {
      const MatrixD image = multiply_gram(sums, direction, n_threads) + lambda * direction;
      const double step = reach / direction.cwiseProduct(image).sum();
      solution += step * direction;
      residual -= step * image;
      scaled = diagonal.asDiagonal() * residual;
      const double next = residual.cwiseProduct(scaled).sum();
      direction = scaled + next / reach * direction;
      reach = next;
    }
    target = solution;
  }
}

}  // namespace

LeafSums::LeafSums(int64_t codebooks, int64_t leaves, int64_t features)
    : n_codebooks(codebooks),
      n_leaves(leaves),
      counts(Eigen::VectorXd::Zero(codebooks * leaves)),
      rows(MatrixD::Zero(counts.size(), features)),
      total(Eigen::RowVectorXd::Zero(features)) {
  if (is_factored()) pairs.setZero(counts.size(), counts.size());
}

void LeafSums::add(const Codes& codes_of_rows, const RowsF& block, int64_t n_threads) {
  parallel_for(n_codebooks, n_threads, [&](int64_t c) {
    const int64_t first = c * n_leaves;
    for (int64_t other = 0; is_factored() && other <= c; ++other) {
      pairs.block(first, other * n_leaves, n_leaves, n_leaves) += count_pairs(codes_of_rows, c, other, n_leaves);
    }
    for (int64_t i = 0; i < block.rows(); ++i) {
      const int64_t leaf = first + codes_of_rows(i, c);
      ++counts[leaf];
      rows.row(leaf) += block.row(i).cast<double>();
    }
  });
  total += block.cast<double>().colwise().sum();
  n_rows += block.rows();
  if (!is_factored()) codes.push_back(codes_of_rows);
}

LeafSums sum_leaves(const Codes& codes, int64_t n_leaves, const RowsF& rows, int64_t n_threads) {
  LeafSums sums(codes.cols(), n_leaves, rows.cols());
  sums.add(codes, rows, n_threads);
  return sums;
}

LeafOutputs solve(const LeafSums& sums, const MatrixD& b, double lambda, int64_t n_threads, double tolerance) {
  const Eigen::VectorXd share = sums.counts / static_cast<double>(sums.n_rows);
  const Eigen::RowVectorXd mean = sums.total / static_cast<double>(sums.n_rows);
  LeafOutputs outputs{mean * b, (sums.rows - sums.counts * mean) * b, sums.n_leaves};
  if (sums.is_factored()) {
    solve_by_factoring(sums, lambda, outputs.entries);
  } else {
    solve_by_conjugate_gradients(sums, lambda, tolerance, n_threads, outputs.entries);
  }
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

ChosenLambda choose_lambda(const LeafSums& sums, const MatrixD& b, const Codes& validation_codes,
                           const RowsF& validation_rows, int64_t n_threads, Progress& progress) {
  if (validation_rows.rows() == 0) return {};
  const MatrixD sketch = sketch_outputs(b);
  const MatrixD exact = validation_rows.cast<double>() * sketch;

  const auto error_of = [&](double lambda) {
    const double error = squared_error(solve(sums, sketch, lambda, n_threads, kComparable), validation_codes, exact);
    progress.poll();
    return error;
  };
  ChosenLambda best{kFirstLambda, error_of(kFirstLambda)};
  const auto walk = [&](double factor, int max_steps) {
    for (int i = 0; i < max_steps; ++i) {
      const double error = error_of(best.lambda * factor);
      if (error >= best.error) return i > 0;
      best = {best.lambda * factor, error};
    }
    return max_steps > 0;
  };
  if (!walk(10.0, kDecadesUp)) walk(0.1, kDecadesDown);
  const double half_decade = 3.1622776601683795;
  if (!walk(half_decade, 1)) walk(1 / half_decade, 1);
  return best;
}

}  // namespace mithral::train_internal
