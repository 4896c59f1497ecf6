#include "train/trees/boosting.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "train/cache_lines.h"
#include "train/parallel_for.h"
#include "train/random.h"
#include "train/ridge.h"
#include "train/standard_error.h"
#include "train/trees/grow_tree.h"
#include "train/trees/subspace_trees.h"

namespace mithral::train_internal {
namespace {

// Penalties of leaf outputs, in rows at the mean: the largest while trees grow, then what validation rows like best.
constexpr double kRidges[] = {30, 3, 0.3};
constexpr double kGrowRidge = 3;  // penalty of a cut's gain, which only decides the splits

constexpr int kRefitSweeps = 4;
constexpr int64_t kRefitShare = 16;  // growing trees are all refitted whenever a 16th more have come
constexpr int64_t kStepRows = 4096;

// Outputs that the sample ranks columns by: random mixes of all (Iosipoi & Vakhrushev, "SketchBoost", NeurIPS 2022).
constexpr int64_t kRankingOutputs = 8;

// Gains below this share of the outputs' squares are rounding noise of the float32 residual, not structure.
constexpr double kRoundingNoise = 1e-12;

class Booster {
 public:
  Booster(const PreparedRows& rows, const BoostOptions& options)
      : options_(options),
        rows_(rows),
        n_leaves_(int64_t{1} << options.depth),
        residual_(rows.outputs),
        min_gain_(kRoundingNoise * residual_.cast<double>().squaredNorm()),
        lines_(rows.rows.cols()) {}

  // Appends a tree for the residual.
  void grow() {
    GrownTree grown = grow_below({}, options_.start.span, draw(all_columns()));
    append(std::move(grown.tree), std::move(grown.leaves));
    refit(trees_.size() - 1);
    if (n_trees() % std::max<int64_t>(1, n_trees() / kRefitShare) == 0) refit_all();
  }

  // Takes all trees from the subspaces.
  void start_from_subspaces(const MatrixD& b) {
    for (BinnedTree& tree : learn_subspace_trees(rows_.columns, rows_.rows, b, options_.n_codebooks, options_.depth,
                                                 lines_, options_.line_tolerance, options_.n_threads)) {
      std::vector<uint8_t> leaves = leaves_of(tree);
      append(std::move(tree), std::move(leaves));
    }
    refit_all();
  }

  // Grows every tree anew from a level on, for what the others leave, and takes what is better.
  void regrow(int64_t level, Progress& progress) {
    count_lines_again();
    const std::vector<int32_t> columns = columns_for_regrowing();
    for (size_t c = 0; c < trees_.size(); ++c) {
      subtract(c, -outputs_[c]);
      outputs_[c].setZero();
      GrownTree grown = grow_below(first_levels(trees_[c], level), 1, draw(columns));
      if (fit_of(grown.leaves) > fit_of(leaves_[c])) {
        trees_[c] = std::move(grown.tree);
        leaves_[c] = std::move(grown.leaves);
      }
      refit(c);
      progress.step(options_.depth - level);
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
  double validation_error() const { return validation_errors().sum(); }

  // The squared error of each validation row.
  Eigen::VectorXd validation_errors() const {
    MatrixF left = rows_.validation_outputs;
    for (size_t c = 0; c < trees_.size(); ++c) {
      const std::vector<uint8_t> leaves = encode(to_hash_tree(trees_[c], rows_.columns), rows_.validation);
      for (int64_t i = 0; i < left.rows(); ++i) left.row(i) -= outputs_[c].row(leaves[i]);
    }
    return left.cast<double>().rowwise().squaredNorm();
  }

  void set_ridge(double ridge) {
    ridge_ = ridge;
    refit_all();
  }

  bool validates() const { return rows_.validation.rows() > 0; }
  int64_t n_trees() const { return static_cast<int64_t>(trees_.size()); }

  std::vector<HashTree> trees() const {
    std::vector<HashTree> trees;
    for (const BinnedTree& tree : trees_) trees.push_back(to_hash_tree(tree, rows_.columns));
    trees.resize(options_.n_codebooks, to_hash_tree(dead_tree(options_.depth), rows_.columns));
    return trees;
  }

 private:
  std::vector<int32_t> all_columns() const {
    std::vector<int32_t> columns(rows_.rows.cols());
    std::iota(columns.begin(), columns.end(), 0);
    return columns;
  }

  // Forgets the lines that only dropped or replaced trees read.
  void count_lines_again() {
    lines_ = CacheLines(rows_.rows.cols());
    for (const BinnedTree& tree : trees_) {
      for (int l = 0; l < tree.depth(); ++l) {
        const bool splits =
            std::any_of(tree.cuts[l].begin(), tree.cuts[l].end(), [](int16_t c) { return c != kNoCut; });
        if (splits) lines_.add(tree.split_dims[l]);
      }
    }
  }

  // Columns that regrown trees may split on: all, but for row-major input only those in cache lines that trees already
  // read, once a tree splits.
  std::vector<int32_t> columns_for_regrowing() const {
    std::vector<int32_t> columns = all_columns();
    if (options_.line_tolerance > 0 && lines_.count() > 0) {
      std::erase_if(columns, [&](int32_t column) { return !lines_.is_read(column); });
    }
    return columns;
  }

  std::vector<int32_t> draw(std::vector<int32_t> columns) {
    const size_t count = std::min<size_t>(columns.size(), kMaxColumns);
    if (count == columns.size()) return columns;
    for (size_t i = 0; i < count; ++i) std::swap(columns[i], columns[i + random_.below(columns.size() - i)]);
    columns.resize(count);
    std::sort(columns.begin(), columns.end());
    return columns;
  }

  GrownTree grow_below(BinnedTree start, int64_t span, const std::vector<int32_t>& candidates) {
    const GrowRule rule{span, min_gain_, kGrowRidge, options_.line_tolerance};
    const MatrixF sketch = sketch_of_sample();
    std::optional<TargetRows> sample;
    if (rows_.stride > 1) sample.emplace(TargetRows{rows_.sample, sketch});
    return grow_tree({rows_.columns, residual_}, sample, candidates, std::move(start), options_.depth, rule, lines_,
                     options_.n_threads);
  }

  MatrixF sketch_of_sample() {
    MatrixF sample = residual_(Eigen::seq(0, residual_.rows() - 1, rows_.stride), Eigen::all);
    if (sample.cols() <= kRankingOutputs) return sample;
    return sample * random_signs(sample.cols(), kRankingOutputs, random_.next()).cast<float>();
  }

  void append(BinnedTree tree, std::vector<uint8_t> leaves) {
    trees_.push_back(std::move(tree));
    leaves_.push_back(std::move(leaves));
    outputs_.push_back(MatrixF::Zero(n_leaves_, residual_.cols()));
  }

  std::vector<uint8_t> leaves_of(const BinnedTree& tree) const {
    return descend(tree, rows_.columns, std::vector<uint8_t>(rows_.columns.n_rows()), 0, tree.depth());
  }

  // Solves the ridge regression of all leaf outputs.
  void refit_all() {
    if (n_trees() * n_leaves_ > kMaxFactored) return refit_in_turn();
    const EntrySums sums = sum_by_entry({rows_.outputs, codes_of_trees()}, n_leaves_, options_.n_threads);
    const MatrixD as_they_are = MatrixD::Identity(residual_.cols(), residual_.cols());
    const RealTables solved = solve(sums, as_they_are, ridge_, options_.n_threads);
    residual_ = rows_.outputs;
    for (size_t c = 0; c < trees_.size(); ++c) {
      outputs_[c] = solved.entries.middleRows(static_cast<int64_t>(c) * n_leaves_, n_leaves_).cast<float>();
      subtract(c, outputs_[c]);
    }
  }

  Codes codes_of_trees() const {
    Codes codes(rows_.rows.rows(), n_trees());
    for (size_t c = 0; c < trees_.size(); ++c) std::copy(leaves_[c].begin(), leaves_[c].end(), codes.col(c).begin());
    return codes;
  }

  // Improves on the same regression, where it is too large to solve, by some steps of block coordinate descent.
  void refit_in_turn() {
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
    const int64_t n_blocks = (residual_.rows() + kStepRows - 1) / kStepRows;
    const LeafTotals zero{MatrixD::Zero(n_leaves_, residual_.cols()), Eigen::VectorXd::Zero(n_leaves_)};
    std::vector<LeafTotals> blocks(n_blocks, zero);
    parallel_for(n_blocks, options_.n_threads, [&](int64_t block) {
      const int64_t end = std::min((block + 1) * kStepRows, residual_.rows());
      for (int64_t i = block * kStepRows; i < end; ++i) {
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

  // By how much leaf outputs of their own would lower the residual's squared error.
  double fit_of(const std::vector<uint8_t>& leaves) const {
    const auto [sums, counts] = sum_by_leaf(leaves);
    return (sums.rowwise().squaredNorm().array() / (counts.array() + ridge_)).sum();
  }

  // Takes one row of `step` (K, R) off every residual, by its leaf of codebook c.
  void subtract(size_t c, const MatrixF& step) {
    const int64_t n_blocks = (residual_.rows() + kStepRows - 1) / kStepRows;
    parallel_for(n_blocks, options_.n_threads, [&](int64_t block) {
      const int64_t end = std::min((block + 1) * kStepRows, residual_.rows());
      for (int64_t i = block * kStepRows; i < end; ++i) residual_.row(i) -= step.row(leaves_[c][i]);
    });
  }

  const BoostOptions& options_;
  const PreparedRows& rows_;
  int64_t n_leaves_;
  MatrixF residual_;  // (n, R), what the trees leave of the outputs
  double min_gain_;
  CacheLines lines_;
  double ridge_ = kRidges[0];
  SplitMix64 random_{0};

  std::vector<BinnedTree> trees_;
  std::vector<std::vector<uint8_t>> leaves_;  // [c][n]
  std::vector<MatrixF> outputs_;              // [c] (K, R)
};

// How many trees to keep, given the validation rows' errors with 0, 1, ... trees: as few as are not worse than the best
// by more than the standard error of the difference, which chance explains (Breiman et al., "Classification and
// regression trees", 1984, section 3.4.3).
int64_t count_useful(const std::vector<Eigen::VectorXd>& errors) {
  const auto less = [](const Eigen::VectorXd& x, const Eigen::VectorXd& y) { return x.sum() < y.sum(); };
  const Eigen::VectorXd& best = *std::min_element(errors.begin(), errors.end(), less);
  const auto is_as_good = [&](const Eigen::VectorXd& error) {
    const Eigen::ArrayXd difference = error - best;
    return difference.mean() <= standard_error_of_mean(difference);
  };
  return std::find_if(errors.begin(), errors.end(), is_as_good) - errors.begin();
}

// Makes the trees that are improved later; with validation rows, only as many as help.
void start(Booster& booster, const MatrixD& b, const BoostOptions& options, Progress& progress) {
  if (options.start.kind == Start::Kind::kSubspaces) {
    booster.start_from_subspaces(b);
    progress.step(options.n_trees * options.depth);
    return;
  }
  std::vector<Eigen::VectorXd> errors = {booster.validation_errors()};
  while (booster.n_trees() < options.n_trees) {
    booster.grow();
    errors.push_back(booster.validation_errors());
    progress.step(options.depth);
  }
  if (booster.validates()) booster.keep(count_useful(errors));
}

// Smaller ridges are set while the validation error falls; without validation rows, the first stays.
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

Boosted boost_trees(const PreparedRows& rows, const MatrixD& b, const BoostOptions& options, Progress& progress) {
  Booster booster(rows, options);
  start(booster, b, options, progress);
  if (options.ridge > 0) booster.set_ridge(options.ridge);
  const double ridge = options.ridge > 0 ? options.ridge : choose_ridge(booster);
  double least = booster.validates() ? booster.validation_error() : 0;
  Boosted best{booster.trees(), booster.n_trees(), 0, ridge, least};
  for (int64_t sweep = 1; sweep <= options.n_sweeps; ++sweep) {
    booster.regrow((sweep - 1) % options.depth, progress);
    const double error = booster.validates() ? booster.validation_error() : 0;
    if (error > least) continue;  // a sweep may pay only after the next
    least = error;
    best = {booster.trees(), booster.n_trees(), sweep, ridge, least};
  }
  return best;
}

int64_t boost_steps(const BoostOptions& options) {
  int64_t levels = options.depth;
  for (int64_t sweep = 0; sweep < options.n_sweeps; ++sweep) levels += options.depth - sweep % options.depth;
  return options.n_trees * levels;
}

}  // namespace mithral::train_internal
