// A hash tree: one split column per level, one threshold per node (MADDNESS, section 4.1).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/codes.h"
#include "train/matrix.h"
#include "train/trees/rows_by_node.h"

namespace mithral::train_internal {

struct HashTree {
  std::vector<int32_t> split_dims;  // [L]
  std::vector<float> thresholds;    // [K - 1], node i of level l at 2^l - 1 + i; +inf: the node never splits

  int depth() const { return static_cast<int>(split_dims.size()); }
  std::vector<int32_t> columns_read() const;  // those of levels that some node splits
};

// The leaf of each row, as codegen/model/hash_trees.h defines it.
std::vector<uint8_t> encode(const HashTree& tree, const RowsF& rows);

// The codes (n, C) of rows under every tree.
Codes encode_all(std::span<const HashTree> trees, const RowsF& rows, int64_t n_threads);

// A tree while it is learned: its thresholds are cuts between the bins of some rows.
struct BinnedTree {
  std::vector<int32_t> split_dims;  // [L]
  std::vector<Cuts> cuts;           // [L][2^l]

  int depth() const { return static_cast<int>(split_dims.size()); }
};

HashTree to_hash_tree(const BinnedTree& tree, const BinnedColumns& columns);

// The node of every row in `last_level`, from those in `level` down.
std::vector<uint8_t> descend(const BinnedTree& tree, const BinnedColumns& columns, std::vector<uint8_t> nodes,
                             int level, int last_level);

BinnedTree first_levels(const BinnedTree& tree, int64_t count);

// A tree that sends every row to leaf 0.
BinnedTree dead_tree(int64_t depth);

}  // namespace mithral::train_internal
