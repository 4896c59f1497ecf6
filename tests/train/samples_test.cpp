// How rows are dealt out, and columns are binned and shared among codebooks.
#include "train/samples.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "tests/support/hard_columns.h"
#include "train/trees/bin_columns.h"
#include "train/trees/subspace_trees.h"

namespace mithral::train_internal {
namespace {

using testing::hard_columns;

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
    for (const auto& [bin, count] : counts)
      EXPECT_LE(count, 2 * 5000 / kQuantileBins) << "column " << j << " bin " << bin;
  }
}

TEST(Subspaces, CoverEveryColumnOnce) {
  for (const auto& [n_codebooks, n_features] : {std::pair{1, 1}, {3, 10}, {16, 512}, {7, 7}, {5, 64}}) {
    int64_t next = 0;
    for (int64_t c = 0; c < n_codebooks; ++c) {
      const Subspace s = subspace_of(c, n_codebooks, n_features);
      EXPECT_EQ(s.first, next);
      EXPECT_GE(s.last - s.first, n_features / n_codebooks);
      EXPECT_LE(s.last - s.first, n_features / n_codebooks + 1);
      next = s.last;
    }
    EXPECT_EQ(next, n_features);
  }
}

TEST(Subspaces, FewerColumnsThanCodebooksShare) {
  std::set<int64_t> seen;
  for (int64_t c = 0; c < 16; ++c) {
    const Subspace s = subspace_of(c, 16, 3);
    EXPECT_EQ(s.last, s.first + 1);
    EXPECT_LT(s.first, 3);
    seen.insert(s.first);
  }
  EXPECT_EQ(seen.size(), 3u);
}

std::vector<float> numbers(int64_t n) {
  std::vector<float> data(n);
  std::iota(data.begin(), data.end(), 0.f);  // exact up to 2^24 rows
  return data;
}

MatrixF all_rows(const Samples& samples) {
  const RowCounts& counts = samples.counts();
  MatrixF rows(counts.fit + counts.validation + counts.holdout + counts.streamed, samples.fit().cols());
  rows << samples.fit(), samples.validation(), samples.holdout(), MatrixF(counts.streamed, rows.cols());
  int64_t next = rows.rows() - counts.streamed;
  for (int64_t block = 0; block < samples.n_blocks(); ++block) {
    const MatrixF streamed = samples.streamed_rows(block);
    EXPECT_LE(streamed.rows(), Samples::kBlockRows);
    if (next + streamed.rows() > rows.rows()) {
      ADD_FAILURE() << "more streamed rows than counted";
      break;
    }
    rows.middleRows(next, streamed.rows()) = streamed;
    next += streamed.rows();
  }
  EXPECT_EQ(next, rows.rows());
  return rows;
}

// The most rows of which none is streamed: an eighth is held out, an eighth of the rest validates, 32'768 are left.
constexpr int64_t kMostCopied = 42'798;

TEST(Samples, EveryRowIsDealtOnce) {
  for (const int64_t n : {int64_t{2}, int64_t{3}, int64_t{4}, int64_t{9}, int64_t{100}, int64_t{1001},
                          Samples::kBlockRows, kMostCopied, kMostCopied + 1, int64_t{99'999}}) {
    SCOPED_TRACE(::testing::Message() << n << " rows");
    const std::vector<float> data = numbers(n);
    const Samples samples(row_major<const float>(data.data(), n, 1), 5);
    const RowCounts& counts = samples.counts();
    EXPECT_GE(counts.fit, 1);
    EXPECT_GE(counts.holdout, 1);
    EXPECT_EQ(counts.validation == 0, n == 2);
    EXPECT_EQ(counts.streamed == 0, n <= kMostCopied);
    EXPECT_EQ(counts.fit + counts.validation + counts.holdout + counts.streamed, n);
    MatrixF rows = all_rows(samples);
    std::sort(rows.data(), rows.data() + rows.size());
    EXPECT_TRUE(std::equal(data.begin(), data.end(), rows.data(), rows.data() + rows.size()));
  }
}

TEST(Samples, FewRowsValidateWithALargerShare) {
  for (const auto& [n, validation] : {std::pair<int64_t, int64_t>{3, 1}, {10, 3}, {100, 29}, {300, 64}, {1347, 147}}) {
    EXPECT_EQ(count_rows(n).validation, validation) << n << " rows";
  }
}

TEST(Samples, MaximaAreKept) {
  for (const int64_t n : {int64_t{1'000'000}, int64_t{2'147'483'647}}) {
    const RowCounts counts = count_rows(n);
    EXPECT_EQ(counts.holdout, kMaxHoldoutRows);
    EXPECT_EQ(counts.validation, kMaxValidationRows);
    EXPECT_EQ(counts.fit, kMaxFitRows);
    EXPECT_EQ(counts.streamed, n - kMaxHoldoutRows - kMaxValidationRows - kMaxFitRows);
  }
}

TEST(Samples, SetsLieSideBySide) {
  const std::vector<float> data = numbers(500);
  const Samples samples(row_major<const float>(data.data(), 250, 2), 1);
  const MatrixF training = samples.training();
  EXPECT_EQ(training.topRows(samples.counts().fit), MatrixF(samples.fit()));
  EXPECT_EQ(training.bottomRows(samples.counts().validation), MatrixF(samples.validation()));
  EXPECT_EQ(training.col(1), (training.col(0).array() + 1).matrix()) << "rows stay whole";
}

TEST(Samples, StreamedRowsKeepTheCallersOrder) {
  const int64_t n = 60'000;
  const std::vector<float> data = numbers(n);
  const Samples samples(row_major<const float>(data.data(), n, 1), 0);
  float last = -1;
  for (int64_t block = 0; block < samples.n_blocks(); ++block) {
    const MatrixF rows = samples.streamed_rows(block);
    for (const float value : rows.reshaped()) {
      ASSERT_GT(value, last);
      ASSERT_EQ(static_cast<int64_t>(value) / Samples::kBlockRows, block);
      last = value;
    }
  }
}

TEST(Samples, StridesDoNotMatter) {
  const int64_t n = 50'000, d = 3;
  const std::vector<float> rows = numbers(n * d);
  std::vector<float> columns(n * d), reversed(n * d), spread(2 * n * d, std::numeric_limits<float>::quiet_NaN());
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < d; ++j) {
      const float value = rows[i * d + j];
      columns[j * n + i] = value;
      reversed[(n - 1 - i) * d + (d - 1 - j)] = value;
      spread[(j * n + i) * 2] = value;
    }
  }
  const MatrixF expected = all_rows(Samples(row_major<const float>(rows.data(), n, d), 7));
  EXPECT_EQ(all_rows(Samples(col_major<const float>(columns.data(), n, d), 7)), expected);
  EXPECT_EQ(all_rows(Samples({reversed.data() + n * d - 1, n, d, -d, -1}, 7)), expected);
  EXPECT_EQ(all_rows(Samples({spread.data(), n, d, 2, 2 * n}, 7)), expected);
}

TEST(Samples, TheSeedDecidesTheOrder) {
  const std::vector<float> data = numbers(50);
  const auto deal = [&](uint64_t seed) { return all_rows(Samples(row_major<const float>(data.data(), 50, 1), seed)); };
  EXPECT_EQ(deal(1), deal(1));
  EXPECT_NE(deal(1), deal(2));
  // Pinned: the order must not change with the compiler, the standard library or a later release.
  EXPECT_EQ(MatrixF(deal(0).topRows(5).transpose()), (MatrixF(1, 5) << 36, 37, 44, 20, 38).finished());
}

}  // namespace
}  // namespace mithral::train_internal
