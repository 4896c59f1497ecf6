// Which trees a model gets: several ways of learning them are tried, and what does best on validation rows is kept.
#pragma once

#include <vector>

#include "train/progress.h"
#include "train/samples.h"
#include "train/trees/boosting.h"
#include "train/trees/hash_tree.h"

namespace mithral::train_internal {

struct TreeProblem {
  const Samples& samples;
  const MatrixD& b;  // (D, M)
  bool for_outputs;  // whether trees are grown for the outputs; else those of the subspaces stay as they are
  int64_t n_codebooks;
  int64_t depth;
  bool row_major;  // whether cache lines that splits touch are to be saved
  uint64_t seed;
  int64_t n_threads;
};

// A way of learning trees: what was tried on some rows can be done again with others.
struct Recipe {
  Start start;
  bool adds_rows;
  int64_t n_trees;
  int64_t n_sweeps;
  double ridge = 0;           // see BoostOptions
  double line_tolerance = 0;  // see GrowRule
};

// Trees, the rows that their tables are to be fitted to, and what was chosen on the way.
struct ChosenTrees {
  std::vector<HashTree> trees;  // 1 to C of them: the others never split
  MatrixF rows;                 // with made-up ones where those helped
  Recipe recipe;                // with only the trees and sweeps that were worth it
  double lambda = 0;            // the ridge penalty that did best on the validation rows
};

// Tries every recipe without the validation rows, so that they can decide later choices.
ChosenTrees try_trees(const TreeProblem& problem, Progress& progress);

// Learns the chosen recipe again, now from the validation rows too.
ChosenTrees learn_from_all(ChosenTrees tried, const TreeProblem& problem, Progress& progress);

// The number of progress steps that the two make.
int64_t tree_steps(const TreeProblem& problem);

}  // namespace mithral::train_internal
