#include "train/boosting.h"

#include <algorithm>
#include <numeric>

#include "train/cache_lines.h"
#include "train/grow_tree.h"
#include "train/parallel_for.h"
#include "train/refine_tree.h"
#include "train/subspace_trees.h"

namespace mithral::train_internal {
namespace {

// Rows at the mean that a leaf's output is shrunk by: the largest while trees grow, then what validation rows like
// best.
constexpr double kRidges[] = {30, 3, 0.3};
constexpr double kGrowRidge = 3;  // when a cut's gain is computed, which only ranks columns

constexpr int kRefitSweeps = 4;
constexpr int64_t kSampleRows = 2048;      // that rank columns before all rows judge the best
constexpr int64_t kValidationRows = 4096;  // that are looked at after each tree
constexpr int64_t kBlockRows = 4096;

// Gains below this share of the outputs' squares are rounding noise of the float32 residual, not structure.
constexpr double kNoise = 1e-12;

class Booster {
 public:
  Booster(const RowsF& rows, const RowsF& validation, const MatrixD& b, const BoostOptions& options)
      : options_(options),
        n_leaves_(int64_t{1} << options.depth),
        stride_(std::max<int64_t>(1, rows.rows() / kSampleRows)),
        rows_(rows),
        columns_(bin_columns(rows, options.n_threads)),
        space_(find_search_space(rows, b, options.n_threads)),
        residual_(space_.outputs(rows, options.n_threads)),
        min_gain_(kNoise * residual_.cast<double>().squaredNorm()),
        lines_(rows.cols()),
        validation_(validation.topRows(std::min(validation.rows(), kValidationRows))) {
    if (validation_.rows() > 0) validation_outputs_ = space_.outputs(validation_, options.n_threads);
  }

  // Appends a tree for the residual.
  void grow() {
    std::vector<int32_t> candidates(columns_.cuts.size());
    std::iota(candidates.begin(), candidates.end(), 0);
    const GrowRule rule{options_.start.span, min_gain_, kGrowRidge, options_.line_tolerance, stride_};
    GrownTree grown = grow_tree(columns_, candidates, residual_, options_.depth, rule, lines_, options_.n_threads);
    append(std::move(grown.tree), std::move(grown.leaves));
    refit_all();
  }

  // Takes all trees from the subspaces.
  void start_from_subspaces(const MatrixD& b) {
    for (BinnedTree& tree : learn_subspace_trees(columns_, rows_, b, options_.n_codebooks, options_.depth, lines_,
                                                 options_.line_tolerance, options_.n_threads)) {
      std::vector<uint8_t> leaves = leaves_of(tree);
      append(std::move(tree), std::move(leaves));
    }
    refit_all();
  }

  void refine(Progress& progress) {
    const std::vector<int32_t> candidates = refinement_candidates();
    for (size_t c = 0; c < trees_.size(); ++c) {
      subtract(c, -outputs_[c]);
      leaves_[c] = refine_tree(columns_, candidates, outputs_[c], residual_, {stride_, options_.n_threads}, trees_[c]);
      outputs_[c].setZero();
      refit(c);
      progress.step();
    }
    refit_all();
  }

  // Drops the trees after the first `count`.
  void keep(int64_t count) {
    for (; static_cast<int64_t>(trees_.size()) > count; trees_.pop_back(), leaves_.pop_back(), outputs_.pop_back()) {
      subtract(trees_.size() - 1, -outputs_.back());
    }
    refit_all();
  }

  // The summed squared error of the validation rows' outputs.
  double validation_error() const {
    MatrixF left = validation_outputs_;
    for (size_t c = 0; c < trees_.size(); ++c) {
      const std::vector<uint8_t> leaves = encode(to_hash_tree(trees_[c], columns_), validation_);
      for (int64_t i = 0; i < left.rows(); ++i) left.row(i) -= outputs_[c].row(leaves[i]);
    }
    return left.cast<double>().squaredNorm();
  }

  void set_ridge(double ridge) {
    ridge_ = ridge;
    refit_all();
  }

  bool validates() const { return validation_.rows() > 0; }
  int64_t n_trees() const { return static_cast<int64_t>(trees_.size()); }

  std::vector<HashTree> trees() const {
    std::vector<HashTree> trees;
    for (const BinnedTree& tree : trees_) trees.push_back(to_hash_tree(tree, columns_));
    trees.resize(options_.n_codebooks, to_hash_tree(dead_tree(options_.depth), columns_));
    return trees;
  }

 private:
  // For row-major input, refinement stays in the cache lines that the trees have come to read.
  std::vector<int32_t> refinement_candidates() const {
    std::vector<int32_t> candidates;
    for (int32_t column = 0; column < static_cast<int32_t>(columns_.cuts.size()); ++column) {
      if (options_.line_tolerance == 0 || lines_.is_read(column)) candidates.push_back(column);
    }
    return candidates;
  }

  void append(BinnedTree tree, std::vector<uint8_t> leaves) {
    trees_.push_back(std::move(tree));
    leaves_.push_back(std::move(leaves));
    outputs_.push_back(MatrixF::Zero(n_leaves_, residual_.cols()));
  }

  std::vector<uint8_t> leaves_of(const BinnedTree& tree) const {
    return descend(tree, columns_, std::vector<uint8_t>(columns_.n_rows()), 0, tree.depth());
  }

  void refit_all() {
    for (int sweep = 0; sweep < kRefitSweeps; ++sweep) {
      for (size_t c = trees_.size(); c-- > 0;) refit(c);  // the newest has most to learn
    }
  }

  // The ridge solution of one codebook's outputs while the others stand.
  void refit(size_t c) {
    const auto [sums, counts] = sum_by_leaf(leaves_[c]);
    const MatrixD now = outputs_[c].cast<double>();
    MatrixD solution = sums + (now.array().colwise() * counts.array()).matrix();
    solution.array().colwise() /= counts.array() + ridge_;
    subtract(c, (solution - now).cast<float>());
    outputs_[c] = solution.cast<float>();
  }

  struct LeafTotals {
    MatrixD sums;            // (K, R) of the residual
    Eigen::VectorXd counts;  // (K)
  };
  LeafTotals sum_by_leaf(const std::vector<uint8_t>& leaves) const {
    const int64_t n_blocks = (residual_.rows() + kBlockRows - 1) / kBlockRows;
    const LeafTotals zero{MatrixD::Zero(n_leaves_, residual_.cols()), Eigen::VectorXd::Zero(n_leaves_)};
    std::vector<LeafTotals> blocks(n_blocks, zero);
    parallel_for(n_blocks, options_.n_threads, [&](int64_t block) {
      const int64_t end = std::min((block + 1) * kBlockRows, residual_.rows());
      for (int64_t i = block * kBlockRows; i < end; ++i) {
        blocks[block].sums.row(leaves[i]) += residual_.row(i).cast<double>();
        ++blocks[block].counts[leaves[i]];
      }
    });
    LeafTotals total = zero;
    for (const LeafTotals& block : blocks) {
      total.sums += block.sums;
      total.counts += block.counts;
    }
    return total;
  }

  // Takes one row of `step` (K, R) off every residual, by its leaf of codebook c.
  void subtract(size_t c, const MatrixF& step) {
    const int64_t n_blocks = (residual_.rows() + kBlockRows - 1) / kBlockRows;
    parallel_for(n_blocks, options_.n_threads, [&](int64_t block) {
      const int64_t end = std::min((block + 1) * kBlockRows, residual_.rows());
      for (int64_t i = block * kBlockRows; i < end; ++i) residual_.row(i) -= step.row(leaves_[c][i]);
    });
  }

  const BoostOptions& options_;
  int64_t n_leaves_;
  int64_t stride_;
  RowsF rows_;
  BinnedColumns columns_;
  SearchSpace space_;
  MatrixF residual_;  // (n, R), what the trees leave of the outputs
  double min_gain_;
  CacheLines lines_;
  double ridge_ = kRidges[0];
  RowsF validation_;
  MatrixF validation_outputs_;

  std::vector<BinnedTree> trees_;
  std::vector<std::vector<uint8_t>> leaves_;  // [c][n]
  std::vector<MatrixF> outputs_;              // [c] (K, R)
};

// Makes the trees that refinement starts from; with validation rows, only as many as help.
void start(Booster& booster, const MatrixD& b, const BoostOptions& options, Progress& progress) {
  if (options.start.kind == Start::Kind::kSubspaces) {
    booster.start_from_subspaces(b);
    for (int64_t c = 0; c < options.n_trees; ++c) progress.step();
    return;
  }
  std::vector<double> errors = {booster.validates() ? booster.validation_error() : 0};
  while (booster.n_trees() < options.n_trees) {
    booster.grow();
    if (booster.validates()) errors.push_back(booster.validation_error());
    progress.step();
  }
  if (booster.validates()) booster.keep(std::min_element(errors.begin(), errors.end()) - errors.begin());
}

// The ridge with the least validation error is set; without validation rows, the first.
double choose_ridge(Booster& booster) {
  double best = kRidges[0];
  double least = booster.validates() ? booster.validation_error() : 0;
  for (const double ridge : kRidges) {
    if (ridge == kRidges[0] || !booster.validates()) continue;
    booster.set_ridge(ridge);
    const double error = booster.validation_error();
    if (error >= least) break;
    least = error;
    best = ridge;
  }
  booster.set_ridge(best);
  return best;
}

}  // namespace

Boosted boost_trees(const RowsF& rows, const RowsF& validation, const MatrixD& b, const BoostOptions& options,
                    Progress& progress) {
  Booster booster(rows, validation, b, options);
  start(booster, b, options, progress);
  if (options.ridge > 0) booster.set_ridge(options.ridge);
  const double ridge = options.ridge > 0 ? options.ridge : choose_ridge(booster);
  double least = booster.validates() ? booster.validation_error() : 0;
  Boosted best{booster.trees(), booster.n_trees(), 0, ridge};
  for (int64_t sweep = 1; sweep <= options.n_sweeps; ++sweep) {
    booster.refine(progress);
    const double error = booster.validates() ? booster.validation_error() : 0;
    if (error > least) continue;  // a sweep may pay only after the next
    least = error;
    best = {booster.trees(), booster.n_trees(), sweep, ridge};
  }
  return best;
}

int64_t boost_steps(const BoostOptions& options) { return options.n_trees * (1 + options.n_sweeps); }

}  // namespace mithral::train_internal
