#include "train/trees/rows_by_node.h"

#include <numeric>

namespace mithral::train_internal {

RowsByNode at_root(int64_t n_rows) {
  RowsByNode rows{std::vector<int32_t>(n_rows), {0, n_rows}};
  std::iota(rows.order.begin(), rows.order.end(), 0);
  return rows;
}

RowsByNode split_rows(const RowsByNode& rows, const BinnedColumns& columns, int32_t column, const Cuts& cuts) {
  RowsByNode next;
  next.order.reserve(rows.order.size());
  next.begin.push_back(0);
  for (int64_t node = 0; node < rows.n_nodes(); ++node) {
    for (const bool right : {false, true}) {
      for (int64_t i = rows.begin[node]; i < rows.begin[node + 1]; ++i) {
        const int32_t row = rows.order[i];
        const bool goes_right = cuts[node] != kNoCut && columns.bins(row, column) > cuts[node];
        if (goes_right == right) next.order.push_back(row);
      }
      next.begin.push_back(next.n_rows());
    }
  }
  return next;
}

std::vector<uint8_t> bins_in_order(const RowsByNode& rows, const BinnedColumns& columns, int32_t column) {
  const auto bins = columns.bins.col(column);
  std::vector<uint8_t> ordered(rows.order.size());
  for (size_t i = 0; i < ordered.size(); ++i) ordered[i] = bins[rows.order[i]];
  return ordered;
}

}  // namespace mithral::train_internal
