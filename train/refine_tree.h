// Moving the splits of a finished tree while its leaves' outputs stay as they are.
//
// Source: Carreira-Perpinan & Tavallali, "Alternating optimization of decision trees" (NeurIPS 2018), here for trees
// that share one column per level: with all else fixed, a row that reaches a node costs what the leaf costs that it
// would reach through the left or the right child, so the best column and cuts of a level are found exactly by a
// histogram of the differences of two numbers.
#pragma once

#include "train/choose_split.h"
#include "train/hash_tree.h"

namespace mithral::train_internal {

struct RefineRule {
  int64_t sample_stride = 1;  // as in GrowRule
  int64_t n_threads = 1;
};

// Chooses the column and the cuts of each level anew, the last level first. `wanted` (n, R) is what the tree's leaf
// outputs (K, R) should come close to; its squared error never rises, but for the sample's ranking of columns.
// Returns the new leaf of each row.
std::vector<uint8_t> refine_tree(const BinnedColumns& columns, std::span<const int32_t> candidates,
                                 const MatrixF& leaf_outputs, const MatrixF& wanted, const RefineRule& rule,
                                 BinnedTree& tree);

}  // namespace mithral::train_internal
