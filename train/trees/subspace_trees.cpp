#include "train/trees/subspace_trees.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "train/random.h"
#include "train/trees/grow_tree.h"
#include "train/trees/separating_tree.h"

namespace mithral::train_internal {
namespace {

// Gains below this share of a subspace's spread are rounding noise of the float32 residual, not structure.
constexpr double kNoise = 1e-14;

// Columns of a target. A subspace of S columns costs n * S^2 steps per level; a wider one is searched on this many
// random mixes of its residual, every column still being a candidate.
constexpr int64_t kMaxTargetColumns = 256;

MatrixF target_of(const RowsF& residual) {
  if (residual.cols() <= kMaxTargetColumns) return residual;
  return residual * random_signs(residual.cols(), kMaxTargetColumns).cast<float>();
}

// The share of a codebook's leaf means that later codebooks no longer see. Taking them off whole (1, as published) fits
// later trees to the noise of earlier means, and leaving them in (0) repeats what earlier trees have found; boosting
// calls this shrinkage (Friedman, "Greedy function approximation: a gradient boosting machine", 2001, section 5).
constexpr double kLearningRate = 0.3;

// The columns about their means, each times the length of its row of B: an error of e in column j moves the outputs by
// e |B_j|. All are divided by a power of two so that no value exceeds 1: squares and sums of any finite data stay
// finite.
MatrixF weighted_columns(const RowsF& rows, const MatrixD& b) {
  const Eigen::RowVectorXd mean = rows.cast<double>().colwise().mean();
  const Eigen::RowVectorXd weight = b.rowwise().norm();
  const Eigen::RowVectorXd reach = (rows.cast<double>().rowwise() - mean).cwiseAbs().colwise().maxCoeff();
  int exponent = 0;
  std::frexp(reach.cwiseProduct(weight).maxCoeff(), &exponent);
  const Eigen::RowVectorXd factor = weight * std::ldexp(1.0, -exponent);
  return ((rows.cast<double>().rowwise() - mean).array().rowwise() * factor.array()).cast<float>();
}

// Subtracts a share of each row's leaf mean, in the columns that later codebooks still read.
void subtract_leaf_means(const std::vector<uint8_t>& leaves, int64_t n_leaves, Eigen::Ref<MatrixF> residual) {
  MatrixD means = MatrixD::Zero(n_leaves, residual.cols());
  Eigen::VectorXd counts = Eigen::VectorXd::Zero(n_leaves);
  for (int64_t i = 0; i < residual.rows(); ++i) {
    means.row(leaves[i]) += residual.row(i).cast<double>();
    ++counts[leaves[i]];
  }
  means.array().colwise() /= counts.array().max(1.0);
  const MatrixF step = (kLearningRate * means).cast<float>();
  for (int64_t i = 0; i < residual.rows(); ++i) residual.row(i) -= step.row(leaves[i]);
}

}  // namespace

Subspace subspace_of(int64_t codebook, int64_t n_codebooks, int64_t n_features) {
  const int64_t first = codebook * n_features / n_codebooks;
  return {first, std::max(first + 1, (codebook + 1) * n_features / n_codebooks)};
}

std::vector<BinnedTree> learn_subspace_trees(const BinnedColumns& columns, const RowsF& rows, const MatrixD& b,
                                             int64_t n_codebooks, int64_t depth, CacheLines& lines,
                                             double line_tolerance, int64_t n_threads) {
  const int64_t n_features = rows.cols();
  MatrixF residual = weighted_columns(rows, b);
  const Eigen::VectorXd spread = residual.cast<double>().colwise().squaredNorm();

  std::vector<BinnedTree> trees;
  for (int64_t c = 0; c < n_codebooks; ++c) {
    const auto [first, last] = subspace_of(c, n_codebooks, n_features);
    std::vector<int32_t> candidates(last - first);
    std::iota(candidates.begin(), candidates.end(), static_cast<int32_t>(first));
    const GrowRule rule{.min_gain = kNoise * spread.segment(first, last - first).sum(),
                        .line_tolerance = line_tolerance};
    const MatrixF target = target_of(residual.middleCols(first, last - first));
    GrownTree grown = grow_tree({columns, target}, {}, candidates, {}, depth, rule, lines, n_threads);
    if (auto separating = find_separating_tree(columns, candidates, depth)) {
      grown.tree = std::move(*separating);
      grown.leaves = descend(grown.tree, columns, std::vector<uint8_t>(columns.n_rows()), 0, static_cast<int>(depth));
    }
    if (c + 1 < n_codebooks) {
      const int64_t next = subspace_of(c + 1, n_codebooks, n_features).first;
      subtract_leaf_means(grown.leaves, int64_t{1} << depth, residual.rightCols(n_features - next));
    }
    trees.push_back(std::move(grown.tree));
  }
  return trees;
}

}  // namespace mithral::train_internal
