#include "train/samples.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "train/random.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kShare = 8;

// Fisher-Yates; std::shuffle differs between standard libraries.
std::vector<int64_t> shuffled_indices(int64_t n, uint64_t seed) {
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  SplitMix64 random(seed);
  for (int64_t i = n - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  return order;
}

}  // namespace

RowCounts count_rows(int64_t n) {
  RowCounts counts;
  counts.holdout = std::clamp<int64_t>(n / kShare, 1, kMaxHoldoutRows);
  const int64_t rest = n - counts.holdout;
  counts.validation = std::min(std::clamp<int64_t>(rest / kShare, 1, kMaxValidationRows), rest - 1);
  counts.fit = rest - counts.validation;
  return counts;
}

Samples deal_rows(MatrixView<const float> a, uint64_t seed) {
  const std::vector<int64_t> order = shuffled_indices(a.rows, seed);
  Samples samples{MatrixF(a.rows, a.cols), count_rows(a.rows)};
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < a.cols; ++j) samples.rows(i, j) = a(order[i], j);
  }
  return samples;
}

}  // namespace mithral::train_internal
