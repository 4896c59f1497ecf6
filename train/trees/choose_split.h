// Choosing the split column of a level: whatever the criterion, candidates are compared in the same way.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "train/cache_lines.h"
#include "train/trees/rows_by_node.h"

namespace mithral::train_internal {

// The cuts of one column in each node of one level, or of several below each other, and what they gain together.
struct ColumnSplit {
  double gain = 0;
  std::vector<Cuts> levels;
};

// The best cuts of one candidate, judged on a sample of the rows or on all of them.
enum class Judged { kOnSample, kOnAll };
using EvaluateColumn = std::function<ColumnSplit(int32_t column, Judged judged)>;

struct ChosenSplit {
  int32_t column = 0;
  ColumnSplit split;
};

// Candidates that are judged on all rows after a sample has ranked them.
inline constexpr int64_t kFinalists = 16;

// The column with the largest gain on all rows, the first of equals; but one in a line that is already read wins if it
// gains at least 1 - line_tolerance of that. `screen` has
// only the best kFinalists by the sample judged on all rows, and as many of those in lines already read when there is a
// tolerance.
ChosenSplit choose_split(std::span<const int32_t> candidates, const EvaluateColumn& evaluate, bool screen,
                         const CacheLines& lines, double line_tolerance, int64_t n_threads);

}  // namespace mithral::train_internal
