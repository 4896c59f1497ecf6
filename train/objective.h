// What the hash trees are learned for. A new objective is a function below and a row in objective.cpp's table.
#pragma once

#include <string>
#include <vector>

#include "train/hash_tree.h"
#include "train/matrix.h"
#include "train/progress.h"

namespace mithral::train_internal {

// What an objective may look at. Held-out rows are not here.
struct TreeProblem {
  RowsF rows;        // (n, D)
  const MatrixD& b;  // (D, M)
  int64_t n_codebooks;
  int64_t depth;
  int64_t n_threads;
};

// Learns one tree per codebook and makes one progress step for each.
using LearnTrees = std::vector<HashTree> (*)(const TreeProblem& problem, Progress& progress);

// Throws InvalidArgument for an unknown name, with the list of the known ones.
LearnTrees find_objective(const std::string& name);

// "mse": each codebook owns a group of neighbouring columns, its subspace, and splits on them; its target is what the
// earlier codebooks left of them (MADDNESS, sections 4.1 and 4.2). Unlike the published trainer it tries every column
// instead of 4, weighs columns by what they do to the outputs, and takes only a share of the earlier codebooks' means
// off.
std::vector<HashTree> learn_subspace_trees(const TreeProblem& problem, Progress& progress);

// Columns [first, last) of codebook c: nearly equal contiguous groups; with fewer columns than codebooks, one column
// each, shared between neighbours.
struct Subspace {
  int64_t first;
  int64_t last;
};
Subspace subspace_of(int64_t codebook, int64_t n_codebooks, int64_t n_features);

}  // namespace mithral::train_internal
