// What the hash trees are learned for. A new objective is a function below and a row in objective.cpp's table.
#pragma once

#include <string>
#include <vector>

#include "train/hash_tree.h"
#include "train/matrix.h"
#include "train/progress.h"

namespace mithral::train_internal {

// What an objective may look at. Only rows to learn from are here: neither validation nor held-out rows.
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
// earlier codebooks left of them (MADDNESS, sections 4.1 and 4.2, with every column tried instead of the 4 of largest
// variance).
std::vector<HashTree> learn_subspace_trees(const TreeProblem& problem, Progress& progress);

// Columns [first, last) of codebook c: nearly equal contiguous groups; with fewer columns than codebooks, one column
// each, shared between neighbours.
struct Subspace {
  int64_t first;
  int64_t last;
};
Subspace subspace_of(int64_t codebook, int64_t n_codebooks, int64_t n_features);

}  // namespace mithral::train_internal
