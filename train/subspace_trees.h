// Trees that each own a group of neighbouring columns and split on nothing else, as published.
#pragma once

#include <vector>

#include "train/hash_tree.h"
#include "train/progress.h"

namespace mithral::train_internal {

struct SubspaceOptions {
  int64_t n_codebooks;
  int64_t depth;
  double line_tolerance = 0;  // see GrowRule
  int64_t n_threads = 1;
};

// One tree per codebook: it splits on its subspace, and its target is what the earlier codebooks left of those columns
// (MADDNESS, sections 4.1 and 4.2). Unlike the published trainer it tries every column instead of 4, weighs columns by
// what they do to the outputs, and takes only a share of the earlier codebooks' means off.
std::vector<HashTree> learn_subspace_trees(const RowsF& rows, const MatrixD& b, const SubspaceOptions& options,
                                           Progress& progress);

// Columns [first, last) of codebook c: nearly equal contiguous groups; with fewer columns than codebooks, one column
// each, shared between neighbours.
struct Subspace {
  int64_t first;
  int64_t last;
};
Subspace subspace_of(int64_t codebook, int64_t n_codebooks, int64_t n_features);

}  // namespace mithral::train_internal
