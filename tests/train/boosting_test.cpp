// Trees that are grown for the outputs, and the outputs and rows that they are grown on.
#include "train/trees/boosting.h"

#include <gtest/gtest.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/random_matrix.h"
#include "train/augment.h"
#include "train/ridge.h"
#include "train/trees/search_space.h"
#include "train/trees/subspace_trees.h"

namespace mithral::train_internal {
namespace {

using testing::random_matrix;

constexpr float kInf = std::numeric_limits<float>::infinity();

// Few latent directions and a little noise, cut off below zero.
MatrixF structured_rows(int64_t n, int64_t d, unsigned seed) {
  const MatrixF noise = 0.05f * random_matrix<MatrixF>(n, d, seed);
  return (random_matrix<MatrixF>(n, 4, seed + 1) * random_matrix<MatrixF>(4, d, seed + 2) + noise).cwiseMax(0);
}

// --- augment_rows ---

TEST(AugmentRows, TheFirstRowsAreTheOriginals) {
  const MatrixF rows = random_matrix<MatrixF>(50, 6, 1);
  const MatrixF augmented = augment_rows(rows, 333, 9);
  ASSERT_EQ(augmented.rows(), 333);
  EXPECT_EQ(MatrixF(augmented.topRows(50)), rows);
  EXPECT_EQ(augment_rows(rows, 50, 9), rows);
  EXPECT_EQ(augment_rows(rows, 10, 9), rows) << "none is lost";
  EXPECT_EQ(augment_rows(rows, 333, 9), augmented);
  EXPECT_NE(augment_rows(rows, 333, 10), augmented);
}

TEST(AugmentRows, NoiseIsThatOfTheData) {
  MatrixF rows = random_matrix<MatrixF>(400, 4, 2);
  rows.col(1) *= 100;
  rows.col(2) = -2 * rows.col(0);  // a power of two: it holds for the made-up rows exactly
  rows.col(3).setConstant(5);
  const MatrixF augmented = augment_rows(rows, 8000, 1);
  EXPECT_EQ(augmented.col(2), -2 * augmented.col(0));
  EXPECT_TRUE((augmented.col(3).array() == 5).all());
  for (const int j : {0, 1}) {
    EXPECT_GE(augmented.col(j).minCoeff(), rows.col(j).minCoeff());
    EXPECT_LE(augmented.col(j).maxCoeff(), rows.col(j).maxCoeff());
    double noise = 0;
    for (int i = 400; i < 8000; ++i) noise += std::pow(augmented(i, j) - rows(i % 400, j), 2) / 7600;
    const double mean = rows.col(j).cast<double>().mean();
    const double variance = (rows.col(j).cast<double>().array() - mean).square().mean();
    EXPECT_NEAR(std::sqrt(noise / variance), kNoiseStrength, 0.02) << "column " << j;
  }
}

TEST(AugmentRows, HugeValuesStayFinite) {
  MatrixF rows = random_matrix<MatrixF>(30, 3, 3);
  for (float& value : rows.reshaped()) value = value > 0 ? 3.4e38f : -3.4e38f;
  const MatrixF augmented = augment_rows(rows, 500, 1);
  EXPECT_TRUE(augmented.allFinite());
  EXPECT_GT((augmented.array().abs() < 3.3e38f).count(), 0);
  EXPECT_EQ(augment_rows(rows.topRows(1), 20, 1), rows.topRows(1).replicate(20, 1)) << "one row has no spread";
}

// --- find_search_space ---

TEST(SearchSpace, FewOutputsAreTakenThemselves) {
  for (const int64_t m : {int64_t{1}, int64_t{5}, kMaxSearchOutputs}) {
    const MatrixF rows = random_matrix<MatrixF>(300, 7, 4).array() + 10;
    const MatrixD b = 1000 * random_matrix<MatrixD>(7, m, 5);
    const SearchSpace space = find_search_space(rows, b, 1);
    const double factor = space.weights(0, 0) / b(0, 0);
    EXPECT_EQ(space.weights, factor * b);
    EXPECT_EQ(std::exp2(std::round(std::log2(factor))), factor) << "a power of two rounds nothing";
    EXPECT_LT((space.mean - rows.cast<double>().colwise().mean()).cwiseAbs().maxCoeff(), 1e-9);
    const double largest = space.outputs(rows, 1).cwiseAbs().maxCoeff();
    EXPECT_GT(largest, 0.49);
    EXPECT_LE(largest, 1);
  }
}

TEST(SearchSpace, ManyOutputsLeaveTheLeadingDirections) {
  // Spread over 60 columns falls off slowly enough for 32 directions to leave some of it out.
  MatrixF rows = random_matrix<MatrixF>(1500, 60, 6);
  for (int j = 0; j < 60; ++j) rows.col(j) *= std::pow(0.97f, static_cast<float>(j));
  const MatrixD b = random_matrix<MatrixD>(60, 100, 7);
  const SearchSpace space = find_search_space(rows, b, 1);
  ASSERT_EQ(space.weights.cols(), kMaxSearchOutputs);

  Eigen::MatrixXd exact = rows.cast<double>() * b;
  exact.rowwise() -= exact.colwise().mean().eval();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(exact.transpose() * exact);
  const double most = eigen.eigenvalues().tail(kMaxSearchOutputs).sum();
  EXPECT_LT(most, 0.95 * exact.squaredNorm());
  // The part of the exact outputs that those of the space hold, which are orthogonal.
  const Eigen::MatrixXd outputs = space.outputs(rows, 1).cast<double>();
  Eigen::MatrixXd products = outputs.transpose() * outputs;
  const Eigen::VectorXd lengths = products.diagonal().cwiseSqrt();
  products.diagonal().setZero();
  EXPECT_LT(products.cwiseAbs().maxCoeff(), 1e-4 * lengths.squaredNorm());
  const Eigen::MatrixXd shared = lengths.cwiseInverse().asDiagonal() * (outputs.transpose() * exact);
  EXPECT_GT(shared.squaredNorm(), 0.995 * most);
}

TEST(SearchSpace, RepeatsAndIsIndependentOfThreads) {
  const MatrixF rows = random_matrix<MatrixF>(3000, 20, 8);
  for (const int64_t m : {3, 100}) {
    const MatrixD b = random_matrix<MatrixD>(20, m, 9);
    const SearchSpace one = find_search_space(rows, b, 1);
    for (const int64_t n_threads : {1, 2, 3}) {
      const SearchSpace again = find_search_space(rows, b, n_threads);
      EXPECT_EQ(again.mean, one.mean);
      EXPECT_EQ(again.weights, one.weights);
      EXPECT_EQ(again.outputs(rows, n_threads), one.outputs(rows, 1));
    }
  }
}

TEST(SearchSpace, HugeTinyAndConstantRowsWork) {
  for (const int64_t m : {2, 100}) {
    for (const float size : {3e38f, 1e-38f, 0.f}) {
      SCOPED_TRACE(::testing::Message() << m << " outputs, values of " << size);
      MatrixF rows = random_matrix<MatrixF>(200, 40, 10);
      for (float& value : rows.reshaped()) value = value > 0 ? size : -size;
      const MatrixD b = 1e30 * random_matrix<MatrixD>(40, m, 11);
      const SearchSpace space = find_search_space(rows, b, 1);
      EXPECT_TRUE(space.weights.allFinite());
      const MatrixF outputs = space.outputs(rows, 1);
      ASSERT_TRUE(outputs.allFinite());
      EXPECT_LE(outputs.cwiseAbs().maxCoeff(), 1);
      EXPECT_GE(outputs.cwiseAbs().maxCoeff(), size == 0 ? 0 : 0.49);
    }
  }
}

// --- boost_trees ---

Boosted boost(const MatrixF& rows, const MatrixF& validation, const MatrixD& b, const BoostOptions& options) {
  int64_t done = 0;
  Progress progress([&done](int64_t steps, int64_t) { done = steps; }, 0);
  Boosted boosted = boost_trees({rows, validation, b, options.n_threads}, b, options, progress);
  EXPECT_EQ(boosted.trees.size(), static_cast<size_t>(options.n_codebooks));
  EXPECT_LE(boosted.n_trees, options.n_trees);
  EXPECT_LE(boosted.n_sweeps, options.n_sweeps);
  BoostOptions kept = options;
  kept.n_trees = boosted.n_trees;
  const int64_t n_dropped = options.n_trees - boosted.n_trees;  // grown, but not swept
  EXPECT_EQ(done, boost_steps(kept) + n_dropped * options.depth);
  return boosted;
}

double training_error(const Boosted& boosted, const MatrixF& rows, const MatrixD& b) {
  const Codes codes = encode_all(boosted.trees, rows, 1);
  const EntrySums sums = sum_by_entry({rows, codes}, 1 << boosted.trees[0].depth(), 1);
  return squared_error(solve(sums, b, 0.1), codes, rows.cast<double>() * b);
}

const MatrixF kNoRows(0, 12);

TEST(BoostTrees, MoreTreesAndSweepsLowerTheError) {
  const MatrixF rows = structured_rows(2000, 12, 12);
  const MatrixD b = random_matrix<MatrixD>(12, 5, 13);
  for (const int64_t span : {1, 4}) {
    double previous = std::numeric_limits<double>::max();
    for (const int64_t n : {1, 2, 4, 8}) {
      const Start start{Start::Kind::kGrown, span};
      const BoostOptions options{
          .n_codebooks = n, .depth = 4, .start = start, .n_trees = n, .n_sweeps = 0, .ridge = 0.1};
      const double error = training_error(boost(rows, kNoRows, b, options), rows, b);
      EXPECT_LT(error, 0.8 * previous) << n << " trees, span " << span;
      BoostOptions swept = options;
      swept.n_sweeps = 2;
      EXPECT_LT(training_error(boost(rows, kNoRows, b, swept), rows, b), 1.001 * error) << n << " trees";
      previous = error;
    }
  }
}

bool is_dead(const HashTree& tree) {
  return std::all_of(tree.thresholds.begin(), tree.thresholds.end(), [](float t) { return t == kInf; });
}

TEST(BoostTrees, WithoutValidationEveryTreeIsKept) {
  const MatrixF rows = structured_rows(500, 12, 14);
  const MatrixD b = random_matrix<MatrixD>(12, 3, 15);
  const BoostOptions options{.n_codebooks = 6, .depth = 3, .start = {}, .n_trees = 4, .n_sweeps = 2};
  const Boosted boosted = boost(rows, kNoRows, b, options);
  EXPECT_EQ(boosted.n_trees, 4);
  EXPECT_EQ(boosted.n_sweeps, 2);
  for (int c = 0; c < 6; ++c) EXPECT_EQ(is_dead(boosted.trees[c]), c >= 4) << "tree " << c;
}

TEST(BoostTrees, ValidationDropsTreesThatFitNoise) {
  // 200 columns of white noise matter equally: what 40 rows say about one of them says nothing about others.
  const MatrixF rows = random_matrix<MatrixF>(40, 200, 16);
  const MatrixD b = random_matrix<MatrixD>(200, 8, 17);
  const BoostOptions options{.n_codebooks = 12, .depth = 4, .start = {}, .n_trees = 12, .n_sweeps = 1};
  const Boosted boosted = boost(rows, random_matrix<MatrixF>(400, 200, 18), b, options);
  EXPECT_LE(boosted.n_trees, 2);
  EXPECT_EQ(boosted.ridge, 30) << "the largest";
  for (int64_t c = boosted.n_trees; c < 12; ++c) EXPECT_TRUE(is_dead(boosted.trees[c])) << "tree " << c;

  const MatrixF plenty = structured_rows(2000, 12, 19);
  const MatrixD few = random_matrix<MatrixD>(12, 3, 20);
  EXPECT_EQ(boost(plenty.topRows(1500), plenty.bottomRows(500), few, options).n_trees, 12) << "all help here";
}

TEST(BoostTrees, StartsFromSubspaces) {
  const MatrixF rows = structured_rows(500, 12, 21);
  const BoostOptions options{
      .n_codebooks = 3, .depth = 4, .start = {Start::Kind::kSubspaces, 1}, .n_trees = 3, .n_sweeps = 0};
  const Boosted boosted = boost(rows, kNoRows, random_matrix<MatrixD>(12, 3, 22), options);
  for (int64_t c = 0; c < 3; ++c) {
    const auto [first, last] = subspace_of(c, 3, 12);
    for (const int32_t column : boosted.trees[c].split_dims) {
      EXPECT_TRUE(first <= column && column < last) << "tree " << c << " column " << column;
    }
  }
}

TEST(BoostTrees, IsIndependentOfThreads) {
  // Several blocks of rows, and more columns than are judged on all of them.
  const MatrixF rows = structured_rows(9000, 30, 23);
  const MatrixD b = random_matrix<MatrixD>(30, 6, 24);
  const MatrixF validation = structured_rows(600, 30, 23);
  for (const auto kind : {Start::Kind::kGrown, Start::Kind::kSubspaces}) {
    BoostOptions options{.n_codebooks = 3, .depth = 3, .start = {kind, 2}, .n_trees = 3, .n_sweeps = 1};
    const Boosted one = boost(rows, validation, b, options);
    for (const int64_t n_threads : {2, 3}) {
      options.n_threads = n_threads;
      const Boosted many = boost(rows, validation, b, options);
      EXPECT_EQ(many.n_trees, one.n_trees);
      EXPECT_EQ(many.n_sweeps, one.n_sweeps);
      EXPECT_EQ(many.ridge, one.ridge);
      for (size_t c = 0; c < one.trees.size(); ++c) {
        EXPECT_EQ(many.trees[c].split_dims, one.trees[c].split_dims);
        EXPECT_EQ(many.trees[c].thresholds, one.trees[c].thresholds);
      }
    }
  }
}

}  // namespace
}  // namespace mithral::train_internal
