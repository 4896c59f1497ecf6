#include "train/trees/choose_split.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "codegen/model/error.h"
#include "train/parallel_for.h"

namespace mithral::train_internal {
namespace {

std::vector<ColumnSplit> evaluate_all(std::span<const int32_t> candidates, const EvaluateColumn& evaluate,
                                      Judged judged, int64_t n_threads) {
  std::vector<ColumnSplit> splits(candidates.size());
  parallel_for(static_cast<int64_t>(candidates.size()), n_threads,
               [&](int64_t i) { splits[i] = evaluate(candidates[i], judged); });
  return splits;
}

// The candidates with the largest gains, in their old order; and those of lines already read, if they may win.
std::vector<int32_t> finalists(std::span<const int32_t> candidates, const std::vector<ColumnSplit>& splits,
                               const CacheLines& lines, double line_tolerance) {
  std::vector<size_t> rank(candidates.size());
  std::iota(rank.begin(), rank.end(), size_t{0});
  std::stable_sort(rank.begin(), rank.end(), [&](size_t x, size_t y) { return splits[x].gain > splits[y].gain; });
  std::vector<bool> chosen(candidates.size());
  int64_t best = 0, best_read = 0;
  for (const size_t i : rank) {
    const bool may_win_by_line = line_tolerance > 0 && lines.is_read(candidates[i]) && best_read++ < kFinalists;
    chosen[i] = best++ < kFinalists || may_win_by_line;
  }
  std::vector<int32_t> columns;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (chosen[i]) columns.push_back(candidates[i]);
  }
  return columns;
}

size_t pick(std::span<const int32_t> candidates, const std::vector<ColumnSplit>& splits, const CacheLines& lines,
            double line_tolerance) {
  size_t best = 0;
  std::optional<size_t> best_read;
  for (size_t i = 0; i < splits.size(); ++i) {
    if (splits[i].gain > splits[best].gain) best = i;
    if (lines.is_read(candidates[i]) && (!best_read || splits[i].gain > splits[*best_read].gain)) best_read = i;
  }
  const bool close = best_read && splits[*best_read].gain >= (1 - line_tolerance) * splits[best].gain;
  return close ? *best_read : best;
}

}  // namespace

ChosenSplit choose_split(std::span<const int32_t> candidates, const EvaluateColumn& evaluate, bool screen,
                         const CacheLines& lines, double line_tolerance, int64_t n_threads) {
  ensure(!candidates.empty(), "no column to split on");
  std::vector<int32_t> columns(candidates.begin(), candidates.end());
  if (screen && static_cast<int64_t>(columns.size()) > kFinalists) {
    const std::vector<ColumnSplit> sampled = evaluate_all(columns, evaluate, Judged::kOnSample, n_threads);
    columns = finalists(columns, sampled, lines, line_tolerance);
  }
  std::vector<ColumnSplit> splits = evaluate_all(columns, evaluate, Judged::kOnAll, n_threads);
  const size_t chosen = pick(columns, splits, lines, line_tolerance);
  return {columns[chosen], std::move(splits[chosen])};
}

}  // namespace mithral::train_internal
