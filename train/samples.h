// The sample rows, dealt out by chance: rows to learn from, rows that make choices, rows that only report.
#pragma once

#include <vector>

#include "codegen/model/matrix_view.h"
#include "train/matrix.h"

namespace mithral::train_internal {

inline constexpr int64_t kMinRows = 2;                // one to learn from, one held out
inline constexpr int64_t kMaxHoldoutRows = 10'000;    // enough for a third digit of the error
inline constexpr int64_t kMaxValidationRows = 5'000;  // enough to place a minimum over a coarse grid
inline constexpr int64_t kMaxFitRows = 32'768;        // trees hardly improve beyond; tables are fitted to all rows

// How many rows go where. One row in eight is held out, one in eight of the rest validates, or up to one in three while
// that is fewer than 64; at least one row is always held out and one always learned from, so 2 rows leave none to
// validate. What is beyond the maxima is streamed.
struct RowCounts {
  int64_t fit = 0;
  int64_t validation = 0;
  int64_t holdout = 0;
  int64_t streamed = 0;
};
RowCounts count_rows(int64_t n);

// Copies of the rows that are looked at more than once, and a view of all.
class Samples {
 public:
  Samples(MatrixView<const float> a, uint64_t seed);

  const RowCounts& counts() const { return counts_; }
  RowsF fit() const { return rows_.topRows(counts_.fit); }
  RowsF validation() const { return rows_.middleRows(counts_.fit, counts_.validation); }
  RowsF training() const { return rows_.topRows(counts_.fit + counts_.validation); }
  RowsF holdout() const { return rows_.bottomRows(counts_.holdout); }

  // The rows that are in none of these, in the caller's order and in blocks of at most kBlockRows.
  static constexpr int64_t kBlockRows = 4096;
  int64_t n_blocks() const { return (a_.rows + kBlockRows - 1) / kBlockRows; }
  MatrixF streamed_rows(int64_t block) const;

 private:
  MatrixView<const float> a_;
  RowCounts counts_;
  MatrixF rows_;               // (fit + validation + holdout, D), shuffled
  std::vector<bool> is_copy_;  // [n], by the caller's row number
};

}  // namespace mithral::train_internal
