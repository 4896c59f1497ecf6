// The sample rows, shuffled and dealt out: rows to learn from, rows that choose the ridge penalty, rows that only
// report.
#pragma once

#include "codegen/matrix_view.h"
#include "train/matrix.h"

namespace mithral::train_internal {

inline constexpr int64_t kMinRows = 2;                // one to learn from, one held out
inline constexpr int64_t kMaxHoldoutRows = 10'000;    // enough for a third digit of the error
inline constexpr int64_t kMaxValidationRows = 5'000;  // enough to place a minimum over a coarse grid

// How many rows go where. One row in eight is held out, one in eight of the rest validates; at least one row is always
// held out and one always learned from, so 2 rows leave none to validate.
struct RowCounts {
  int64_t fit = 0;
  int64_t validation = 0;
  int64_t holdout = 0;
};
RowCounts count_rows(int64_t n);

struct Samples {
  MatrixF rows;  // (n, D), the caller's rows in shuffled order: fit, then validation, then held out
  RowCounts counts;

  RowsF fit() const { return rows.topRows(counts.fit); }
  RowsF validation() const { return rows.middleRows(counts.fit, counts.validation); }
  RowsF training() const { return rows.topRows(counts.fit + counts.validation); }
  RowsF holdout() const { return rows.bottomRows(counts.holdout); }
};
Samples deal_rows(MatrixView<const float> a, uint64_t seed);

}  // namespace mithral::train_internal
