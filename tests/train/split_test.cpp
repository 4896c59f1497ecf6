// How split columns are compared, and how the splits of a finished tree are moved.
#include "train/trees/choose_split.h"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "train/trees/grow_tree.h"

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

}  // namespace
}  // namespace mithral::train_internal
