// Learning one hash tree: one split column per level, one threshold per node (MADDNESS, section 4.1 and appendix C).
//
// The tree is fitted to a *target*: any (n, S) matrix whose rows the leaves should tell apart. What the target is (the
// residual of the input's columns, the residual of the outputs, ...) is the objective's business (objective.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/bin_columns.h"
#include "train/matrix.h"

namespace mithral::train_internal {

struct HashTree {
  std::vector<int32_t> split_dims;  // [L]
  std::vector<float> thresholds;    // [K - 1], node i of level l at 2^l - 1 + i; +inf: the node never splits

  int depth() const { return static_cast<int>(split_dims.size()); }
};

// The leaf of each row, as model.h defines it.
std::vector<uint8_t> encode(const HashTree& tree, const RowsF& rows);

// The codes (n, C) of rows under every tree.
Codes encode_all(std::span<const HashTree> trees, const RowsF& rows, int64_t n_threads);

struct LearnedTree {
  HashTree tree;
  std::vector<uint8_t> leaves;  // [n], the leaf of each row learned from
  double gain = 0;              // by how much the target's squared error about the leaf means fell
};

struct SplitRule {
  double min_gain = 0;        // a node whose best gain is at most this does not split
  double line_tolerance = 0;  // how much of the best gain, 0 to 1, may be given up to stay in a cache line already read
};

// Learns a tree greedily, level by level. Every candidate column is tried; for each, every node takes the cut that
// lowers the target's squared error most, and the column with the largest sum over the nodes wins (the first of
// equals), but for the rule's tolerance: in row-major input a column costs its whole cache line, and the next column of
// the same line nothing. |target| must stay below 2^64, so that its sums fit a float.
LearnedTree learn_hash_tree(const BinnedColumns& columns, std::span<const int32_t> candidates, const RowsF& target,
                            int64_t depth, const SplitRule& rule, int64_t n_threads);

}  // namespace mithral::train_internal
