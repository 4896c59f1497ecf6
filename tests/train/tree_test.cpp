// The growth of a tree against a slow search: all columns, all thresholds, errors summed from their definition.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "tests/support/hard_columns.h"
#include "train/trees/grow_tree.h"

namespace mithral::train_internal {
namespace {

using testing::hard_columns;

constexpr float kInf = std::numeric_limits<float>::infinity();

double error_about_mean(const MatrixF& target, const std::vector<int>& rows) {
  Eigen::RowVectorXd mean = Eigen::RowVectorXd::Zero(target.cols());
  for (const int i : rows) mean += target.row(i).cast<double>() / static_cast<double>(rows.size());
  double error = 0;
  for (const int i : rows) error += (target.row(i).cast<double>() - mean).squaredNorm();
  return error;
}

std::map<int, std::vector<int>> rows_by_leaf(const std::vector<uint8_t>& leaves) {
  std::map<int, std::vector<int>> rows;
  for (size_t i = 0; i < leaves.size(); ++i) rows[leaves[i]].push_back(static_cast<int>(i));
  return rows;
}

double tree_error(const MatrixF& target, const std::vector<uint8_t>& leaves) {
  double error = 0;
  for (const auto& [leaf, rows] : rows_by_leaf(leaves)) error += error_about_mean(target, rows);
  return error;
}

double best_node_error(const MatrixF& rows, const MatrixF& target, const std::vector<int>& node, int column) {
  double best = error_about_mean(target, node);
  for (const int at : node) {
    std::vector<int> left, right;
    for (const int i : node) (rows(i, column) > rows(at, column) ? right : left).push_back(i);
    best = std::min(best, error_about_mean(target, left) + error_about_mean(target, right));
  }
  return best;
}

// The least error that one more level can reach from the given leaves.
double best_level_error(const MatrixF& rows, const MatrixF& target, const std::vector<uint8_t>& leaves) {
  double best = std::numeric_limits<double>::max();
  for (int column = 0; column < rows.cols(); ++column) {
    double error = 0;
    for (const auto& [leaf, node] : rows_by_leaf(leaves)) error += best_node_error(rows, target, node, column);
    best = std::min(best, error);
  }
  return best;
}

struct Learned {
  HashTree tree;
  std::vector<uint8_t> leaves;
  double gain;
};

Learned learn(const BinnedColumns& columns, const std::vector<int32_t>& candidates, const MatrixF& target, int depth,
              const GrowRule& rule = {}, int n_threads = 1) {
  CacheLines lines(static_cast<int64_t>(columns.cuts.size()));
  GrownTree grown = grow_tree({columns, target}, {}, candidates, {}, depth, rule, lines, n_threads);
  return {to_hash_tree(grown.tree, columns), std::move(grown.leaves), grown.gain};
}

Learned learn(const MatrixF& rows, const MatrixF& target, int depth, const GrowRule& rule = {}, int n_threads = 1) {
  std::vector<int32_t> candidates(rows.cols());
  std::iota(candidates.begin(), candidates.end(), 0);
  return learn(bin_columns(rows, n_threads), candidates, target, depth, rule, n_threads);
}

TEST(HashTree, EveryLevelIsTheBestOfAllColumnsAndThresholds) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const int n = 1 + static_cast<int>(seed) * 5;
    const MatrixF rows = hard_columns(n, random);
    std::normal_distribution<float> normal;
    MatrixF target(n, 1 + seed * 2);  // up to 23 columns: more than one chunk
    for (float& value : target.reshaped()) value = normal(random);
    if (seed % 2 == 1) target.col(0) = rows.col(1) + rows.col(0);

    std::vector<uint8_t> leaves(n, 0);
    double error = tree_error(target, leaves);
    for (int depth = 1; depth <= 4; ++depth) {
      const double expected = best_level_error(rows, target, leaves);
      const Learned learned = learn(rows, target, depth);
      leaves = learned.leaves;
      EXPECT_NEAR(tree_error(target, leaves), expected, 1e-5 * error) << "depth " << depth;
      EXPECT_NEAR(error - learned.gain, expected, 1e-5 * error) << "depth " << depth;
      EXPECT_EQ(encode(learned.tree, rows), leaves) << "depth " << depth;
    }
  }
}

TEST(HashTree, LearnsAPlantedTree) {
  // Rows fall into 8 groups by three columns; only the groups differ in the target.
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  MatrixF rows(kMaxBins, 9);  // every value has a bin of its own
  for (float& value : rows.reshaped()) value = normal(random);
  MatrixF target(kMaxBins, 3);
  for (int i = 0; i < kMaxBins; ++i) {
    target.row(i) << (rows(i, 2) > 0.5f ? 4.f : 0.f), (rows(i, 7) > -0.25f ? 2.f : 0.f), (rows(i, 4) > 0 ? 1.f : 0.f);
  }
  const Learned learned = learn(rows, target, 3);
  EXPECT_EQ(learned.tree.split_dims, (std::vector<int32_t>{2, 7, 4}));
  EXPECT_LT(tree_error(target, learned.leaves), 1e-9);
}

TEST(HashTree, OnlyCandidatesAreSplitOn) {
  std::mt19937 random(2);
  const MatrixF rows = hard_columns(60, random);
  const std::vector<int32_t> candidates{1, 3};
  const Learned learned = learn(bin_columns(rows, 1), candidates, rows.leftCols(1), 4);
  for (const int32_t column : learned.tree.split_dims) EXPECT_TRUE(column == 1 || column == 3) << column;
}

TEST(HashTree, ConstantTargetNeverSplits) {
  std::mt19937 random(3);
  const Learned learned = learn(hard_columns(50, random), MatrixF::Constant(50, 2, 0.1f), 3);
  EXPECT_EQ(learned.tree.thresholds, std::vector<float>(7, kInf));
  EXPECT_EQ(learned.leaves, std::vector<uint8_t>(50, 0));
}

TEST(HashTree, GainsUpToTheMinimumDoNotSplit) {
  MatrixF rows(4, 1), target(4, 1);
  rows << 0, 0, 1, 1;
  target << 0, 0, 1, 1;  // splitting gains exactly 1
  const std::vector<int32_t> candidates{0};
  const BinnedColumns columns = bin_columns(rows, 1);
  EXPECT_EQ(learn(columns, candidates, target, 1, {.min_gain = 1.0}).tree.thresholds[0], kInf);
  EXPECT_EQ(learn(columns, candidates, target, 1, {.min_gain = 0.999}).tree.thresholds[0], 0.5f);
}

TEST(HashTree, StaysInACacheLineWhenThatCostsLittle) {
  // Column 0 gains most. For the second level column 20, of another line, gains most, and column 1, of column 0's line,
  // a share of that: it misplaces 5 % of the rows.
  MatrixF rows = MatrixF::Zero(400, 21), target = MatrixF::Zero(400, 2);
  for (int i = 0; i < 400; ++i) {
    rows(i, 0) = static_cast<float>(i % 2);
    rows(i, 20) = static_cast<float>(i / 2 % 2);
    rows(i, 1) = i % 40 < 2 ? 1 - rows(i, 20) : rows(i, 20);
    target.row(i) << 10 * rows(i, 0), rows(i, 20);
  }
  const std::vector<int32_t> candidates{0, 1, 20};
  const BinnedColumns columns = bin_columns(rows, 1);
  const auto second_split = [&](double tolerance) {
    return learn(columns, candidates, target, 2, {.line_tolerance = tolerance}).tree.split_dims[1];
  };
  EXPECT_EQ(second_split(0), 20);
  EXPECT_EQ(second_split(0.1), 20) << "5 % of the rows misplaced cost 19 % of the gain";
  EXPECT_EQ(second_split(0.3), 1);
}

TEST(HashTree, IsIndependentOfThreads) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  MatrixF rows(500, 30);
  for (float& value : rows.reshaped()) value = normal(random);
  for (const GrowRule& rule : {GrowRule{}, GrowRule{.span = 2, .ridge = 3}}) {
    const Learned one = learn(rows, rows, 4, rule);
    for (const int n_threads : {2, 3, 40}) {
      const Learned many = learn(rows, rows, 4, rule, n_threads);
      EXPECT_EQ(one.tree.split_dims, many.tree.split_dims);
      EXPECT_EQ(one.tree.thresholds, many.tree.thresholds);
      EXPECT_EQ(one.leaves, many.leaves);
    }
  }
}

// The least squared error of a node cut `levels` deep on one column, the cut that lowers it most first. Values that the
// leaves below suffice for are all told apart.
double cut_node_error(const MatrixF& rows, const MatrixF& target, const std::vector<int>& node, int column,
                      int levels) {
  const double whole = error_about_mean(target, node);
  if (levels == 0) return whole;
  std::set<float> values;
  for (const int i : node) values.insert(rows(i, column));
  const size_t capacity = size_t{1} << (levels - 1);
  const bool tells_all_apart = values.size() <= 2 * capacity;
  double best = whole;
  std::vector<int> best_left = node, best_right;
  size_t values_left = 0;
  for (const float at : values) {
    const size_t values_right = values.size() - ++values_left;
    if (values_right == 0 || (tells_all_apart && std::max(values_left, values_right) > capacity)) continue;
    std::vector<int> left, right;
    for (const int i : node) (rows(i, column) > at ? right : left).push_back(i);
    const double error = error_about_mean(target, left) + error_about_mean(target, right);
    if (error >= best) continue;
    best = error;
    best_left = left;
    best_right = right;
  }
  const double right_error = best_right.empty() ? 0 : cut_node_error(rows, target, best_right, column, levels - 1);
  return cut_node_error(rows, target, best_left, column, levels - 1) + right_error;
}

double best_span_error(const MatrixF& rows, const MatrixF& target, const std::vector<uint8_t>& leaves, int levels) {
  double best = std::numeric_limits<double>::max();
  for (int column = 0; column < rows.cols(); ++column) {
    double error = 0;
    for (const auto& [leaf, node] : rows_by_leaf(leaves)) error += cut_node_error(rows, target, node, column, levels);
    best = std::min(best, error);
  }
  return best;
}

HashTree first_levels(HashTree tree, int depth) {
  tree.split_dims.resize(depth);
  tree.thresholds.resize((size_t{1} << depth) - 1);
  return tree;
}

TEST(HashTree, EverySpanIsTheBestOfAllColumns) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    std::mt19937 random(seed);
    const int n = 5 + static_cast<int>(seed) * 6;
    const MatrixF rows = hard_columns(n, random);
    std::normal_distribution<float> normal;
    MatrixF target(n, 1 + seed);
    for (float& value : target.reshaped()) value = normal(random);
    for (const int span : {2, 3, 4}) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << " span " << span);
      const int depth = 4;
      const Learned learned = learn(rows, target, depth, {.span = span});
      const double whole = tree_error(target, std::vector<uint8_t>(n, 0));
      std::vector<uint8_t> leaves(n, 0);
      double expected = whole;
      for (int level = 0; level < depth; level += span) {
        const int levels = std::min(span, depth - level);
        expected = best_span_error(rows, target, leaves, levels);
        leaves = encode(first_levels(learned.tree, level + levels), rows);
        EXPECT_NEAR(tree_error(target, leaves), expected, 1e-5 * whole) << "level " << level;
        for (int l = level; l < level + levels; ++l) {
          EXPECT_EQ(learned.tree.split_dims[l], learned.tree.split_dims[level]) << "level " << l;
        }
      }
      EXPECT_EQ(leaves, learned.leaves);
      EXPECT_NEAR(whole - learned.gain, expected, 1e-5 * whole);
    }
  }
}

TEST(HashTree, ASpanTellsFewValuesApart) {
  // The cut that gains most takes the outlier off alone, and leaves more values than the other half has leaves for.
  for (const int depth : {2, 3, 4}) {
    const int n_values = 1 << depth;
    MatrixF rows(3 * n_values, 1), target(3 * n_values, 1);
    for (int i = 0; i < rows.rows(); ++i) {
      rows(i, 0) = static_cast<float>(i % n_values);
      target(i, 0) = i % n_values == n_values - 1 ? 1000.f : rows(i, 0);
    }
    const Learned learned = learn(rows, target, depth, {.span = depth});
    EXPECT_EQ(std::set<uint8_t>(learned.leaves.begin(), learned.leaves.end()).size(), static_cast<size_t>(n_values));
    EXPECT_EQ(tree_error(target, learned.leaves), 0);
  }
}

TEST(HashTree, GainsUpToTheMinimumDoNotSplitWithinASpan) {
  MatrixF rows(4, 1), target(4, 1);
  rows << 0, 1, 2, 3;
  target << 0, 1, 10, 11;  // the first cut gains 100, each one below it 0.5
  const auto thresholds = [&](double min_gain) {
    return learn(rows, target, 2, {.span = 2, .min_gain = min_gain}).tree.thresholds;
  };
  EXPECT_EQ(thresholds(0.49), (std::vector<float>{1.5f, 0.5f, 2.5f}));
  EXPECT_EQ(thresholds(0.5), (std::vector<float>{1.5f, kInf, kInf}));
  EXPECT_EQ(thresholds(100), (std::vector<float>{kInf, kInf, kInf}));
}

TEST(HashTree, RidgeMakesSmallSidesGainLess) {
  // Column 0 takes one outlier off and gains 99; column 1 halves the rows and gains 25.
  MatrixF rows(100, 2), target = MatrixF::Zero(100, 2);
  for (int i = 0; i < 100; ++i) rows.row(i) << (i == 7 ? 1.f : 0.f), static_cast<float>(i % 2);
  target(7, 0) = 10;
  target.col(1) = rows.col(1);
  EXPECT_EQ(learn(rows, target, 1).tree.split_dims[0], 0);
  EXPECT_EQ(learn(rows, target, 1, {.ridge = 30}).tree.split_dims[0], 1);
}

// Columns 40 and 5 of many tell the target's values apart.
struct Planted {
  MatrixF rows, target;
  BinnedColumns columns, sample;
  MatrixF sample_target;
};

Planted plant_columns() {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  Planted p{MatrixF(4000, 3 * kFinalists), MatrixF(4000, 2), {}, {}, {}};
  for (float& value : p.rows.reshaped()) value = normal(random);
  for (int i = 0; i < p.rows.rows(); ++i) {
    p.target.row(i) << (p.rows(i, 40) > 0.3f ? 2.f : 0.f), (p.rows(i, 5) > -0.4f ? 1.f : 0.f) + 0.1f * normal(random);
  }
  p.columns = bin_columns(p.rows, 1);
  p.sample = every_nth_row(p.columns, 16);
  p.sample_target = p.target(Eigen::seq(0, Eigen::last, 16), Eigen::all);
  return p;
}

TEST(HashTree, ScreeningFindsAPlantedColumn) {
  const Planted p = plant_columns();
  std::vector<int32_t> candidates(p.rows.cols());
  std::iota(candidates.begin(), candidates.end(), 0);
  for (const int span : {1, 2}) {
    const GrowRule rule{.span = span};
    const Learned exact = learn(p.columns, candidates, p.target, 2 * span, rule);
    EXPECT_EQ(exact.tree.split_dims[0], 40);
    EXPECT_EQ(exact.tree.split_dims[span], 5);

    CacheLines lines(p.rows.cols());
    const TargetRows sample{p.sample, p.sample_target};
    const GrownTree screened = grow_tree({p.columns, p.target}, sample, candidates, {}, 2 * span, rule, lines, 1);
    const HashTree tree = to_hash_tree(screened.tree, p.columns);
    EXPECT_EQ(tree.split_dims, exact.tree.split_dims);
    EXPECT_EQ(tree.thresholds, exact.tree.thresholds) << "all rows judge the best columns";
    EXPECT_EQ(screened.gain, exact.gain);
    EXPECT_EQ(screened.leaves, exact.leaves);
  }
}

TEST(HashTree, TheSampleOnlyRanks) {
  // It knows nothing of column 40, which wins on all rows wherever it is among the finalists.
  Planted p = plant_columns();
  p.sample.bins.col(40).setZero();
  const TargetRows sample{p.sample, p.sample_target};
  const auto winner = [&](int64_t n_columns) {
    std::vector<int32_t> candidates(n_columns);
    std::iota(candidates.begin(), candidates.end(), static_cast<int32_t>(41 - n_columns));
    CacheLines lines(p.rows.cols());
    return grow_tree({p.columns, p.target}, sample, candidates, {}, 1, {}, lines, 1).tree.split_dims[0];
  };
  EXPECT_EQ(winner(kFinalists), 40) << "nothing is screened out";
  EXPECT_EQ(winner(41), 5) << "of 41, column 40 is not among the best of the sample";
}

TEST(HashTree, GrowsOnBelowTheLevelsOfAStart) {
  const Planted p = plant_columns();
  std::vector<int32_t> candidates(p.rows.cols());
  std::iota(candidates.begin(), candidates.end(), 0);
  CacheLines lines(p.rows.cols());
  const TargetRows sample{p.sample, p.sample_target};
  const GrownTree whole = grow_tree({p.columns, p.target}, sample, candidates, {}, 3, {}, lines, 1);
  for (const int64_t level : {0, 1, 2, 3}) {
    const GrownTree below =
        grow_tree({p.columns, p.target}, sample, candidates, first_levels(whole.tree, level), 3, {}, lines, 1);
    EXPECT_EQ(below.tree.split_dims, whole.tree.split_dims) << "from level " << level;
    EXPECT_EQ(below.tree.cuts, whole.tree.cuts);
    EXPECT_EQ(below.leaves, whole.leaves);
    EXPECT_LE(below.gain, whole.gain) << "only new levels count";
  }
  const BinnedTree other{{7}, {{3}}};
  const GrownTree kept = grow_tree({p.columns, p.target}, sample, candidates, other, 2, {}, lines, 1);
  EXPECT_EQ(kept.tree.split_dims, (std::vector<int32_t>{7, 40}));
  EXPECT_EQ(kept.tree.cuts[0], other.cuts[0]);
  EXPECT_EQ(kept.leaves, encode(to_hash_tree(kept.tree, p.columns), p.rows));
}

TEST(HashTree, ChosenColumnsAreAddedToTheLinesRead) {
  std::mt19937 random(8);
  const MatrixF rows = hard_columns(40, random);
  CacheLines lines(rows.cols() + 40);
  lines.add(39);
  const std::vector<int32_t> candidates{0, 1};
  const BinnedColumns columns = bin_columns(rows, 1);
  grow_tree({columns, rows.leftCols(2)}, {}, candidates, {}, 2, {}, lines, 1);
  EXPECT_TRUE(lines.is_read(0));
  EXPECT_TRUE(lines.is_read(39));
  EXPECT_FALSE(lines.is_read(20));
  EXPECT_EQ(lines.count(), 2);
}

}  // namespace
}  // namespace mithral::train_internal
