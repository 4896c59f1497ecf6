// The rows of one level of a tree, sorted by the node they have reached.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/trees/bin_columns.h"

namespace mithral::train_internal {

// The cuts of one level, one per node: rows in bins above it go right; kNoCut: the node does not split, all go left.
using Cuts = std::vector<int16_t>;
inline constexpr int16_t kNoCut = -1;

struct RowsByNode {
  std::vector<int32_t> order;  // row numbers, those of a node together
  std::vector<int64_t> begin;  // [nodes + 1], into order

  int64_t n_rows() const { return static_cast<int64_t>(order.size()); }
  int64_t n_nodes() const { return static_cast<int64_t>(begin.size()) - 1; }
  int64_t size(int64_t node) const { return begin[node + 1] - begin[node]; }
};

// The rows of level 0: all in one node.
RowsByNode at_root(int64_t n_rows);

// The rows of the next level: per node the left rows, then the right ones, in their old order.
RowsByNode split_rows(const RowsByNode& rows, const BinnedColumns& columns, int32_t column, const Cuts& cuts);

// The bins of one column in the rows' order.
std::vector<uint8_t> bins_in_order(const RowsByNode& rows, const BinnedColumns& columns, int32_t column);

}  // namespace mithral::train_internal
