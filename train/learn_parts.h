// The parts of a model, still real numbers: linear dims first, then trees for what these leave, then tables and weights
// in turns.
#pragma once

#include <span>
#include <vector>

#include "train/linear/fit_linear.h"
#include "train/progress.h"
#include "train/quantize_lut.h"
#include "train/samples.h"
#include "train/train.h"
#include "train/trees/hash_tree.h"

namespace mithral::train_internal {

struct LearnedParts {
  std::vector<HashTree> trees;  // [C]
  RealTables tables;
  RealLinear linear;
  ChosenEntries entries;
  Report report;  // of what was chosen on the way (train.h)
};

// What is learned from: the rows, B (D, M), the bias (M) or nothing.
struct LearningProblem {
  const Samples& samples;
  const MatrixD& b;
  std::span<const float> bias;
  const LearnedLatents* latents = nullptr;  // none: there are none
  bool has_validation = true;               // among the rows learned from; not while something is tried

  RowsF rows() const { return has_validation ? samples.training() : samples.fit(); }
};

// The options with a mixture in place of their own, and nothing left to choose.
TrainOptions with(const TrainOptions& options, const Mixture& mixture);

// Throws InvalidArgument for options out of range (check_arguments.cpp).
void check_options(const TrainOptions& options, int64_t n_features, int64_t n_outputs);

// The options with one mixture: of options.mixtures, where there are some, the one with the least error on the
// validation rows, for which it is tried without them, or one of fewer codebooks that is nearly as good; the first if
// there are no such rows.
TrainOptions choose_mixture(const LearningProblem& problem, const TrainOptions& options, Progress& progress);

// Of the mixture that options say.
LearnedParts learn_parts(const LearningProblem& problem, const TrainOptions& options, Progress& progress);

// The number of progress steps that the two make at most.
int64_t learning_steps(const LearningProblem& problem, const TrainOptions& options);

}  // namespace mithral::train_internal
