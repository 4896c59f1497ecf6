// The growth of a tree against a slow search: all columns, all thresholds, errors summed from their definition.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "train/grow_tree.h"

namespace mithral::train_internal {
namespace {

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
  GrownTree grown = grow_tree(columns, candidates, target, depth, rule, lines, n_threads);
  return {to_hash_tree(grown.tree, columns), std::move(grown.leaves), grown.gain};
}

Learned learn(const MatrixF& rows, const MatrixF& target, int depth, const GrowRule& rule = {}, int n_threads = 1) {
  std::vector<int32_t> candidates(rows.cols());
  std::iota(candidates.begin(), candidates.end(), 0);
  return learn(bin_columns(rows, n_threads), candidates, target, depth, rule, n_threads);
}

// Column 0 continuous, 1 with ties, 2 constant, 3 neighbouring floats, 4 huge, 5 denormal.
MatrixF hard_columns(int n, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> level(0, 3);
  MatrixF rows(n, 6);
  for (int i = 0; i < n; ++i) {
    rows(i, 0) = normal(random);
    rows(i, 1) = static_cast<float>(level(random));
    rows(i, 2) = 7;
    rows(i, 3) = 1 + static_cast<float>(level(random)) * std::numeric_limits<float>::epsilon();
    rows(i, 4) = normal(random) > 0 ? 3e38f : -3e38f + 1e32f * static_cast<float>(level(random));
    rows(i, 5) = static_cast<float>(level(random)) * std::numeric_limits<float>::denorm_min();
  }
  return rows;
}

TEST(HashTree, EveryLevelIsTheBestOfAllColumnsAndThresholds) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
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
  MatrixF rows(300, 9);
  for (float& value : rows.reshaped()) value = normal(random);
  MatrixF target(300, 3);
  for (int i = 0; i < 300; ++i) {
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
  MatrixF rows(500, 20);
  for (float& value : rows.reshaped()) value = normal(random);
  const Learned one = learn(rows, rows, 4);
  for (const int n_threads : {2, 3, 40}) {
    const Learned many = learn(rows, rows, 4, {}, n_threads);
    EXPECT_EQ(one.tree.split_dims, many.tree.split_dims);
    EXPECT_EQ(one.tree.thresholds, many.tree.thresholds);
    EXPECT_EQ(one.leaves, many.leaves);
  }
}

void expect_bins_follow_cuts(const MatrixF& rows, const BinnedColumns& columns) {
  for (int j = 0; j < rows.cols(); ++j) {
    const std::vector<float>& cuts = columns.cuts[j];
    ASSERT_LT(cuts.size(), static_cast<size_t>(kMaxBins));
    for (int i = 0; i < rows.rows(); ++i) {
      for (size_t b = 0; b < cuts.size(); ++b) {
        ASSERT_EQ(columns.bins(i, j) > b, rows(i, j) > cuts[b]) << "row " << i << " column " << j << " cut " << b;
      }
    }
  }
}

TEST(BinColumns, FewDistinctValuesGetABinEach) {
  std::mt19937 random(5);
  const MatrixF rows = hard_columns(200, random);
  const BinnedColumns columns = bin_columns(rows, 2);
  expect_bins_follow_cuts(rows, columns);
  for (int j = 0; j < rows.cols(); ++j) {
    const std::set<float> distinct(rows.col(j).begin(), rows.col(j).end());
    EXPECT_EQ(columns.cuts[j].size() + 1, distinct.size()) << "column " << j;
    for (const float cut : columns.cuts[j]) EXPECT_TRUE(std::isfinite(cut));
  }
}

TEST(BinColumns, ManyDistinctValuesShareBinsEvenly) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  MatrixF rows(5000, 2);
  for (int i = 0; i < rows.rows(); ++i) {
    rows(i, 0) = normal(random);
    rows(i, 1) = normal(random);
    if (std::abs(rows(i, 1)) < 0.7f) rows(i, 1) = 0;  // half of them zero, with values on both sides
  }
  const BinnedColumns columns = bin_columns(rows, 1);
  expect_bins_follow_cuts(rows, columns);
  for (int j = 0; j < 2; ++j) {
    std::map<int, int> counts;
    for (int i = 0; i < rows.rows(); ++i) ++counts[columns.bins(i, j)];
    EXPECT_GT(counts.size(), 100u) << "column " << j;
    if (j == 1) {
      const auto zeros =
          std::max_element(counts.begin(), counts.end(), [](auto& x, auto& y) { return x.second < y.second; });
      EXPECT_EQ(zeros->second, (rows.col(1).array() == 0).count()) << "zeros have a bin of their own";
      counts.erase(zeros);
    }
    for (const auto& [bin, count] : counts) EXPECT_LE(count, 2 * 5000 / kMaxBins) << "column " << j << " bin " << bin;
  }
}

}  // namespace
}  // namespace mithral::train_internal
