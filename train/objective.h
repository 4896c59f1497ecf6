// Which trees a model gets: several ways of learning them are tried, and what does best on validation rows is kept.
#pragma once

#include <string>
#include <vector>

#include "train/hash_tree.h"
#include "train/progress.h"
#include "train/samples.h"

namespace mithral::train_internal {

struct TreeProblem {
  const Samples& samples;
  const MatrixD& b;  // (D, M)
  std::string objective;
  int64_t n_codebooks;
  int64_t depth;
  bool row_major;  // whether cache lines that splits touch are to be saved
  uint64_t seed;
  int64_t n_threads;
};

// Trees, the rows that their tables are to be fitted to (the streamed ones are to be added), and what was chosen on the
// way.
struct ChosenTrees {
  std::vector<HashTree> trees;  // [C]
  MatrixF rows;                 // all rows for training, and made-up ones where those helped
  double lambda = 0;            // the ridge penalty that did best on the validation rows
  double line_tolerance = 0;    // see GrowRule
};

// Throws InvalidArgument for an unknown name, with the list of the known ones.
void check_objective(const std::string& name);

ChosenTrees choose_trees(const TreeProblem& problem, Progress& progress);

// How many progress steps that makes.
int64_t tree_steps(const TreeProblem& problem);

}  // namespace mithral::train_internal
