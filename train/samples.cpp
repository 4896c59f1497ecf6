#include "train/samples.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <span>
#include <utility>

#include "train/random.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kShare = 8;
constexpr int64_t kLargestShare = 3;
constexpr int64_t kEnoughValidationRows = 64;

// Fisher-Yates; std::shuffle differs between standard libraries.
std::vector<int64_t> shuffled_indices(int64_t n, uint64_t seed) {
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  SplitMix64 random(seed);
  for (int64_t i = n - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  return order;
}

// The named rows of `a`, read in the order in which they lie in memory.
MatrixF copy_rows(MatrixView<const float> a, std::span<const int64_t> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  MatrixF copy(count, a.cols);
  if (std::abs(a.row_stride) < std::abs(a.col_stride)) {
    for (int64_t j = 0; j < a.cols; ++j) {
      for (int64_t i = 0; i < count; ++i) copy(i, j) = a(rows[i], j);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j < a.cols; ++j) copy(i, j) = a(rows[i], j);
    }
  }
  return copy;
}

}  // namespace

RowCounts count_rows(int64_t n) {
  RowCounts counts;
  counts.holdout = std::clamp<int64_t>(n / kShare, 1, kMaxHoldoutRows);
  const int64_t rest = n - counts.holdout;
  const int64_t validation = std::max(rest / kShare, std::min(rest / kLargestShare, kEnoughValidationRows));
  counts.validation = std::min(std::clamp<int64_t>(validation, 1, kMaxValidationRows), rest - 1);
  counts.fit = std::min(rest - counts.validation, kMaxFitRows);
  counts.streamed = rest - counts.validation - counts.fit;
  return counts;
}

Samples::Samples(MatrixView<const float> a, uint64_t seed) : a_(a), counts_(count_rows(a.rows)), is_copy_(a.rows) {
  std::vector<int64_t> order = shuffled_indices(a.rows, seed);
  order.erase(order.begin() + counts_.fit, order.begin() + counts_.fit + counts_.streamed);
  rows_ = copy_rows(a, order);
  for (const int64_t row : order) is_copy_[row] = true;
}

MatrixF Samples::streamed_rows(int64_t block) const {
  std::vector<int64_t> rows;
  for (int64_t i = block * kBlockRows; i < std::min((block + 1) * kBlockRows, a_.rows); ++i) {
    if (!is_copy_[i]) rows.push_back(i);
  }
  return copy_rows(a_, rows);
}

}  // namespace mithral::train_internal
