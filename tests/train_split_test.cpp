// How split columns are compared, and how the splits of a finished tree are moved.
#include "train/choose_split.h"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "train/grow_tree.h"
#include "train/refine_tree.h"

namespace mithral::train_internal {
namespace {

std::vector<int32_t> all_columns(int64_t count) {
  std::vector<int32_t> columns(count);
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

// --- choose_split ---

int32_t chosen_column(const std::vector<int32_t>& candidates, const std::vector<double>& gains, const CacheLines& lines,
                      double tolerance, int n_threads = 1) {
  const auto evaluate = [&](int32_t column, Judged) { return ColumnSplit{gains[column], {}}; };
  const ChosenSplit chosen = choose_split(candidates, evaluate, false, lines, tolerance, n_threads);
  EXPECT_EQ(chosen.split.gain, gains[chosen.column]);
  return chosen.column;
}

TEST(ChooseSplit, TheFirstOfEqualsWins) {
  std::vector<double> gains(40, 1.0);
  for (const int column : {31, 9, 17}) gains[column] = 2;
  const CacheLines lines(40);
  for (const int n_threads : {1, 2, 5}) {
    EXPECT_EQ(chosen_column(all_columns(40), gains, lines, 0, n_threads), 9);
    EXPECT_EQ(chosen_column({31, 2, 17, 9}, gains, lines, 0, n_threads), 31) << "in the candidates' order";
  }
  EXPECT_EQ(chosen_column(all_columns(40), std::vector<double>(40, 0.0), lines, 0), 0) << "even if none gains";
}

TEST(ChooseSplit, AReadLineWinsWithinTheTolerance) {
  // Columns 0 to 11 share a line, 20 lies in another.
  std::vector<double> gains(40, 1.0);
  gains[20] = 16;
  gains[5] = gains[8] = 14;
  CacheLines lines(40);
  EXPECT_EQ(chosen_column(all_columns(40), gains, lines, 0.125), 20) << "no line is read yet";
  lines.add(1);
  EXPECT_EQ(chosen_column(all_columns(40), gains, lines, 0.125), 5) << "the first of the equals in the line";
  EXPECT_EQ(chosen_column(all_columns(40), gains, lines, 0.124), 20);
  gains[30] = gains[9] = 16;
  EXPECT_EQ(chosen_column(all_columns(40), gains, lines, 0), 9) << "costs nothing";
}

struct Calls {
  std::atomic<int> on_sample = 0;
  std::atomic<int> on_all = 0;
};

// On the sample, later columns gain more; on all rows, earlier ones do.
int32_t screened_column(int64_t n_columns, const CacheLines& lines, double tolerance, Calls& calls) {
  const auto evaluate = [&](int32_t column, Judged judged) {
    const bool sample = judged == Judged::kOnSample;
    ++(sample ? calls.on_sample : calls.on_all);
    return ColumnSplit{static_cast<double>(sample ? column : 1000 - column), {}};
  };
  return choose_split(all_columns(n_columns), evaluate, true, lines, tolerance, 2).column;
}

TEST(ChooseSplit, ASampleNamesTheFinalists) {
  const CacheLines none(200);
  Calls calls;
  EXPECT_EQ(screened_column(100, none, 0, calls), 100 - kFinalists);
  EXPECT_EQ(calls.on_sample, 100);
  EXPECT_EQ(calls.on_all, kFinalists);

  Calls few;
  EXPECT_EQ(screened_column(kFinalists, none, 0, few), 0);
  EXPECT_EQ(few.on_sample, 0) << "all of them are finalists";
  EXPECT_EQ(few.on_all, kFinalists);
}

TEST(ChooseSplit, ColumnsInReadLinesAreFinalistsToo) {
  CacheLines lines(200);
  lines.add(0);
  Calls calls;
  EXPECT_EQ(screened_column(100, lines, 0.01, calls), 0);
  EXPECT_EQ(calls.on_all, kFinalists + 12) << "columns 0 to 11";

  Calls strict;
  EXPECT_EQ(screened_column(100, lines, 0, strict), 100 - kFinalists) << "they may not win";
  EXPECT_EQ(strict.on_all, kFinalists);

  for (int32_t column = 0; column <= 76; ++column) lines.add(column);
  Calls many;
  screened_column(100, lines, 0.01, many);
  EXPECT_EQ(many.on_all, kFinalists + 8) << "76 to 99 are best; of those read, up to 91, 68 to 91 are";
}

// --- refine_tree ---

struct Refinement {
  MatrixF rows;
  BinnedColumns columns;
  MatrixF wanted;   // (n, R)
  MatrixF outputs;  // (K, R)
  BinnedTree tree;
};

Refinement random_refinement(int n, int n_columns, int n_values, int depth, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Refinement r{MatrixF(n, n_columns), {}, MatrixF(n, 3), MatrixF(1 << depth, 3), {}};
  for (float& value : r.rows.reshaped()) value = static_cast<float>(random() % n_values);
  for (float& value : r.wanted.reshaped()) value = normal(random);
  for (float& value : r.outputs.reshaped()) value = normal(random);
  r.columns = bin_columns(r.rows, 1);
  for (int level = 0; level < depth; ++level) {
    r.tree.split_dims.push_back(static_cast<int32_t>(random() % n_columns));
    Cuts cuts(size_t{1} << level);
    const int n_bins = r.columns.n_bins(r.tree.split_dims.back());
    for (int16_t& cut : cuts) cut = static_cast<int16_t>(static_cast<int>(random() % n_bins) - 1);
    r.tree.cuts.push_back(cuts);
  }
  return r;
}

double error_of(const Refinement& r, const BinnedTree& tree) {
  const std::vector<uint8_t> leaves = encode(to_hash_tree(tree, r.columns), r.rows);
  double error = 0;
  for (int i = 0; i < r.rows.rows(); ++i) {
    error += (r.wanted.row(i) - r.outputs.row(leaves[i])).cast<double>().squaredNorm();
  }
  return error;
}

std::vector<uint8_t> refine(Refinement& r, const RefineRule& rule = {}) {
  return refine_tree(r.columns, all_columns(r.rows.cols()), r.outputs, r.wanted, rule, r.tree);
}

TEST(RefineTree, NeverRaisesTheSquaredError) {
  int lowered = 0;
  for (unsigned seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const int depth = 1 + static_cast<int>(seed) % 4;
    Refinement r = random_refinement(150, 5, 7, depth, seed);
    double error = error_of(r, r.tree);
    for (int sweep = 0; sweep < 3; ++sweep) {
      const std::vector<uint8_t> leaves = refine(r);
      EXPECT_EQ(leaves, encode(to_hash_tree(r.tree, r.columns), r.rows));
      const double refined = error_of(r, r.tree);
      EXPECT_LE(refined, error + 1e-5 * error);
      lowered += refined < 0.999 * error ? 1 : 0;
      error = refined;
    }
  }
  EXPECT_GT(lowered, 30) << "random trees can be improved";
}

// Tries every column and every combination of cuts of one level, and keeps the best; of equals, the one with the first
// column and with no cut, or the highest, in each node.
void choose_level_slowly(const Refinement& r, BinnedTree& tree, int level) {
  BinnedTree best = tree;
  double least = std::numeric_limits<double>::max();
  for (int32_t column = 0; column < r.rows.cols(); ++column) {
    const int n_bins = r.columns.n_bins(column);
    BinnedTree tried = tree;
    tried.split_dims[level] = column;
    Cuts& cuts = tried.cuts[level];
    std::fill(cuts.begin(), cuts.end(), kNoCut);
    for (size_t node = 0; node < cuts.size();) {
      const double error = error_of(r, tried);
      if (error < least) {
        least = error;
        best = tried;
      }
      // Counts down from the highest cut; below the lowest comes no cut, and the next node's turn.
      for (node = 0; node < cuts.size(); ++node) {
        cuts[node] = static_cast<int16_t>(cuts[node] == kNoCut ? n_bins - 2 : cuts[node] - 1);
        if (cuts[node] != kNoCut) break;
      }
    }
  }
  tree = best;
}

TEST(RefineTree, EqualsASlowSearchOfEachLevel) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    for (const int depth : {1, 2, 3}) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << " depth " << depth);
      Refinement r = random_refinement(400, 3, 3, depth, 100 + seed);
      BinnedTree expected = r.tree;
      for (int level = depth - 1; level >= 0; --level) choose_level_slowly(r, expected, level);
      refine(r);
      EXPECT_NEAR(error_of(r, r.tree), error_of(r, expected), 1e-3);
      EXPECT_EQ(encode(to_hash_tree(r.tree, r.columns), r.rows), encode(to_hash_tree(expected, r.columns), r.rows));
    }
  }
}

// What a tree on the last columns puts out is wanted, and the same tree on other columns at one level is at hand.
Refinement planted_refinement(int n_columns, int level) {
  Refinement r = random_refinement(2000, n_columns, 40, 3, 9);
  for (int l = 0; l < 3; ++l) {
    r.tree.split_dims[l] = n_columns - 1 - l;
    r.tree.cuts[l] = Cuts(size_t{1} << l, static_cast<int16_t>(15 + l));
  }
  const std::vector<uint8_t> leaves = encode(to_hash_tree(r.tree, r.columns), r.rows);
  for (int i = 0; i < r.rows.rows(); ++i) r.wanted.row(i) = r.outputs.row(leaves[i]);
  r.tree.split_dims[level] = 0;
  return r;
}

TEST(RefineTree, FindsAPlantedSplit) {
  for (const int64_t stride : {1, 8}) {
    Refinement r = planted_refinement(3 * kFinalists, 2);
    EXPECT_GT(error_of(r, r.tree), 100);
    refine(r, {.sample_stride = stride});
    EXPECT_EQ(error_of(r, r.tree), 0) << "stride " << stride;
  }
}

TEST(RefineTree, OnlyCandidatesAreSplitOn) {
  Refinement r = planted_refinement(10, 2);
  refine_tree(r.columns, std::vector<int32_t>{1, 4}, r.outputs, r.wanted, {}, r.tree);
  for (const int32_t column : r.tree.split_dims) EXPECT_TRUE(column == 1 || column == 4) << column;
}

TEST(RefineTree, IsIndependentOfThreads) {
  for (const int64_t stride : {1, 4}) {
    Refinement one = random_refinement(3000, 2 * kFinalists, 30, 4, 11);
    const std::vector<uint8_t> leaves = refine(one, {.sample_stride = stride});
    for (const int64_t n_threads : {2, 3, 20}) {
      Refinement many = random_refinement(3000, 2 * kFinalists, 30, 4, 11);
      EXPECT_EQ(refine(many, {.sample_stride = stride, .n_threads = n_threads}), leaves);
      EXPECT_EQ(many.tree.split_dims, one.tree.split_dims);
      EXPECT_EQ(many.tree.cuts, one.tree.cuts);
    }
  }
}

}  // namespace
}  // namespace mithral::train_internal
