// Growing one hash tree, level by level (MADDNESS, section 4.1 and appendix C).
//
// The tree is fitted to a *target*: any (n, S) matrix whose rows the leaves should tell apart. What the target is (the
// residual of the input's columns, the residual of the outputs, ...) is the caller's business (boosting.h,
// subspace_trees.h).
#pragma once

#include <optional>

#include "train/trees/choose_split.h"
#include "train/trees/hash_tree.h"

namespace mithral::train_internal {

struct GrowRule {
  int64_t span = 1;           // levels in a row that split on the same column
  double min_gain = 0;        // a node whose best gain is at most this does not split
  double ridge = 0;           // rows added to either side of a cut when its gain is computed: small sides gain less
  double line_tolerance = 0;  // how much of the best gain, 0 to 1, may be given up to stay in a cache line already read
};

// Rows, and what the tree is fitted to.
struct TargetRows {
  const BinnedColumns& columns;
  RowsF target;  // (n, S)
};

struct GrownTree {
  BinnedTree tree;
  std::vector<uint8_t> leaves;  // [n], the leaf of each row learned from
  double gain = 0;              // by how much the target's squared error about the leaf means fell
};

// Grows a tree greedily, `span` levels at a time. Every candidate column is tried; for each, every node takes the cuts
// that lower the target's squared error most, and the column with the largest sum over the nodes wins (choose_split.h).
// A node in which the column has no more values than leaves remain in the span tells them all apart. The columns chosen
// are added to `lines`. |target| must stay below 2^64, so that its sums fit a float.
//
// A `sample`, if there is one, ranks the columns, and all rows judge only the best; it needs the same cuts, but its
// target may be another that stands in for the whole. Growing goes on below the levels of `start`, if there are any.
//
// A span of 1 sees most at once; a span of the whole depth makes each tree a fine quantiser of one column, which is
// what a few columns that determine the outputs linearly want.
GrownTree grow_tree(const TargetRows& all, const std::optional<TargetRows>& sample, std::span<const int32_t> candidates,
                    BinnedTree start, int64_t depth, const GrowRule& rule, CacheLines& lines, int64_t n_threads);

}  // namespace mithral::train_internal
