// Trees grown for the outputs: gradient boosting of multi-output trees that share one column per level, with corrective
// steps (Friedman, "Greedy function approximation: a gradient boosting machine", 2001; Johnson & Zhang, "Learning
// nonlinear functions using regularized greedy forest", 2014).
//
//   grow     a tree for what the earlier ones leave of the outputs, over all columns   (grow_tree.h)
//   refit    the leaf outputs of all trees so far, jointly, by ridge regression: solved while it is small enough, else
//            improved by block coordinate descent
//   regrow   each tree in turn from some level on, for what the others leave
#pragma once

#include <vector>

#include "train/progress.h"
#include "train/trees/hash_tree.h"
#include "train/trees/prepared_rows.h"

namespace mithral::train_internal {

// The most columns that compete for one tree's levels, drawn afresh per tree: of more, many are much alike.
inline constexpr int64_t kMaxColumns = 384;

// The source of the trees before they are improved.
struct Start {
  enum class Kind {
    kGrown,      // one after the other, each `span` levels at a time on the same column (GrowRule)
    kSubspaces,  // subspace_trees.h
  };
  Kind kind = Kind::kGrown;
  int64_t span = 1;
};

struct BoostOptions {
  int64_t n_codebooks;
  int64_t depth;
  Start start;
  int64_t n_trees;            // trees grown; the remaining codebooks never split
  int64_t n_sweeps;           // sweeps that regrow all trees, from level 0, 1, ..., depth - 1, 0, ... on
  double ridge = 0;           // penalty of leaf outputs during sweeps; 0: the validation rows decide
  double line_tolerance = 0;  // see GrowRule; above 0 for row-major input
  int64_t n_threads = 1;
};

struct Boosted {
  std::vector<HashTree> trees;  // [C]
  int64_t n_trees = 0;          // trees kept
  int64_t n_sweeps = 0;         // sweeps kept
  double ridge = 0;
  double error = 0;  // squared error of the validation rows in the search space; 0 without any
};

// Grows and improves trees. Validation rows, if there are any, drop trees and sweeps that make their error worse.
Boosted boost_trees(const PreparedRows& rows, const MatrixD& b, const BoostOptions& options, Progress& progress);

// The number of progress steps that boost_trees makes: one per level that is searched.
int64_t boost_steps(const BoostOptions& options);

}  // namespace mithral::train_internal
