// Trees that each own a group of neighbouring columns and split on nothing else, as published.
#pragma once

#include <vector>

#include "train/cache_lines.h"
#include "train/trees/hash_tree.h"

namespace mithral::train_internal {

// One tree per codebook: it splits on its subspace, and its target is what the earlier codebooks left of those columns
// (MADDNESS, sections 4.1 and 4.2). Unlike the published trainer it tries every column instead of 4, weighs columns by
// what they do to the outputs, takes only a share of the earlier codebooks' means off, and tells all rows apart where
// their values in the subspace are few enough (separating_tree.h). `columns` are those of `rows`, binned.
std::vector<BinnedTree> learn_subspace_trees(const BinnedColumns& columns, const RowsF& rows, const MatrixD& b,
                                             int64_t n_codebooks, int64_t depth, CacheLines& lines,
                                             double line_tolerance, int64_t n_threads);

// Columns [first, last) of codebook c: nearly equal contiguous groups; with fewer columns than codebooks, one column
// each, shared between neighbours.
struct Subspace {
  int64_t first;
  int64_t last;
};
Subspace subspace_of(int64_t codebook, int64_t n_codebooks, int64_t n_features);

}  // namespace mithral::train_internal
