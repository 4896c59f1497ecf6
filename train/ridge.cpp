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

// (K, K): how many rows have code k in codebook `a` and code k' in codebook `b`. Counting makes the Gram matrix exact
// and costs one increment per row instead of K^2 products.
Eigen::MatrixXd count_pairs(const Codes& codes, int64_t a, int64_t b, int64_t n_entries) {
  Eigen::Matrix<int64_t, Eigen::Dynamic, Eigen::Dynamic> counts;
  counts.setZero(n_entries, n_entries);
  const uint8_t* codes_a = codes.col(a).data();
  const uint8_t* codes_b = codes.col(b).data();
  for (int64_t i = 0; i < codes.rows(); ++i) ++counts(codes_a[i], codes_b[i]);
  return counts.cast<double>();
}

// Right-hand sides -> solutions, in place.
void solve_by_factoring(const EntrySums& sums, double lambda, MatrixD& entries) {
  Eigen::MatrixXd gram = sums.pairs;
  gram.selfadjointView<Eigen::Lower>().rankUpdate(sums.counts, -1.0 / static_cast<double>(sums.n_rows));
  gram.diagonal().array() += lambda;
  const Eigen::LLT<Eigen::Ref<Eigen::MatrixXd>> factor(gram);  // in place
  ensure(factor.info() == Eigen::Success, "the ridge system is not positive definite");
  factor.solveInPlace(entries);
}

// The regressors' Gram matrix times (C*K, M) entries: every row sums the entries that it selects,
// every entry the sums of its rows.
MatrixD multiply_gram(const EntrySums& sums, const MatrixD& entries, int64_t n_threads) {
  const Eigen::RowVectorXd mean = sums.counts.transpose() * entries / static_cast<double>(sums.n_rows);
  MatrixD product = -sums.counts * mean;
  for (const Codes& codes : sums.codes) {
    MatrixD row_sums(codes.rows(), entries.cols());
    constexpr int64_t kBlockRows = 1024;
    parallel_for((codes.rows() + kBlockRows - 1) / kBlockRows, n_threads, [&](int64_t block) {
      for (int64_t i = block * kBlockRows; i < std::min((block + 1) * kBlockRows, codes.rows()); ++i) {
        row_sums.row(i).setZero();
        for (int64_t c = 0; c < codes.cols(); ++c) row_sums.row(i) += entries.row(c * sums.n_entries + codes(i, c));
      }
    });
    parallel_for(codes.cols(), n_threads, [&](int64_t c) {
      for (int64_t i = 0; i < codes.rows(); ++i) product.row(c * sums.n_entries + codes(i, c)) += row_sums.row(i);
    });
  }
  return product;
}

// Conjugate gradients with the diagonal as preconditioner (Golub & Van Loan, "Matrix Computations", section 11.5), all
// outputs side by side; a few of them at a time, which bounds the memory.
void solve_by_conjugate_gradients(const EntrySums& sums, double lambda, double tolerance, int64_t n_threads,
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

MatrixD sketch_outputs(const MatrixD& b) {
  if (b.cols() <= kSketchOutputs) return b;
  return b * random_signs(b.cols(), kSketchOutputs);
}

EntrySums::EntrySums(int64_t codebooks, int64_t entries, int64_t features)
    : n_codebooks(codebooks),
      n_entries(entries),
      counts(Eigen::VectorXd::Zero(codebooks * entries)),
      rows(MatrixD::Zero(counts.size(), features)),
      total(Eigen::RowVectorXd::Zero(features)) {
  if (is_factored()) pairs.setZero(counts.size(), counts.size());
}

void EntrySums::add(const CodedRows& block, int64_t n_threads) {
  parallel_for(n_codebooks, n_threads, [&](int64_t c) {
    const int64_t first = c * n_entries;
    for (int64_t other = 0; is_factored() && other <= c; ++other) {
      pairs.block(first, other * n_entries, n_entries, n_entries) += count_pairs(block.codes, c, other, n_entries);
    }
    for (int64_t i = 0; i < block.rows.rows(); ++i) {
      const int64_t entry = first + block.codes(i, c);
      ++counts[entry];
      rows.row(entry) += block.rows.row(i).cast<double>();
    }
  });
  total += block.rows.cast<double>().colwise().sum();
  n_rows += block.rows.rows();
  if (!is_factored()) codes.push_back(block.codes);
}

EntrySums sum_by_entry(const CodedRows& rows, int64_t n_entries, int64_t n_threads) {
  EntrySums sums(rows.codes.cols(), n_entries, rows.rows.cols());
  sums.add(rows, n_threads);
  return sums;
}

RealTables solve(const EntrySums& sums, const MatrixD& b, double lambda, int64_t n_threads, double tolerance) {
  const Eigen::VectorXd share = sums.counts / static_cast<double>(sums.n_rows);
  const Eigen::RowVectorXd mean = sums.total / static_cast<double>(sums.n_rows);
  RealTables tables{mean * b, (sums.rows - sums.counts * mean) * b, sums.n_entries};
  if (sums.is_factored()) {
    solve_by_factoring(sums, lambda, tables.entries);
  } else {
    solve_by_conjugate_gradients(sums, lambda, tolerance, n_threads, tables.entries);
  }
  for (int64_t first = 0; first < tables.entries.rows(); first += sums.n_entries) {
    auto entries = tables.entries.middleRows(first, sums.n_entries);
    entries.rowwise() -= (share.segment(first, sums.n_entries).transpose() * entries).eval();
  }
  for (int64_t entry = 0; entry < share.size(); ++entry) {
    if (share[entry] == 0) tables.entries.row(entry).setZero();
  }
  return tables;
}

Eigen::VectorXd squared_errors(const RealTables& tables, const Codes& codes, const MatrixD& exact) {
  Eigen::VectorXd errors(exact.rows());
  Eigen::RowVectorXd left(exact.cols());
  for (int64_t i = 0; i < exact.rows(); ++i) {
    left = exact.row(i) - tables.mean;
    for (int64_t c = 0; c < codes.cols(); ++c) left -= tables.entries.row(c * tables.n_entries + codes(i, c));
    errors[i] = left.squaredNorm();
  }
  return errors;
}

double squared_error(const RealTables& tables, const Codes& codes, const MatrixD& exact) {
  return squared_errors(tables, codes, exact).sum();
}

ChosenLambda choose_lambda(const EntrySums& sums, const MatrixD& b, const CodedRows& validation, int64_t n_threads,
                           Progress& progress) {
  if (validation.rows.rows() == 0) return {};
  const MatrixD sketch = sketch_outputs(b);
  const MatrixD exact = validation.rows.cast<double>() * sketch;

  const auto error_of = [&](double lambda) {
    const double error = squared_error(solve(sums, sketch, lambda, n_threads, kComparable), validation.codes, exact);
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
