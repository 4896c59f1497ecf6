// Tables for objective "argmax": leaf outputs that give rows the exact product's class probabilities, instead of its
// values.
#pragma once

#include <span>

#include "train/ridge.h"
#include "train/trees/choose_trees.h"

namespace mithral::train_internal {

// How tables are fitted to class probabilities.
struct ClassFit {
  double temperature = 0;  // of the probabilities; 0: tables stay as they are
  int n_steps = 0;
};

// Minimises the cross-entropy between softmax(exact / t) and softmax(approximate / t) over the leaf outputs and the
// mean, from the given outputs on, by Adam (Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015) on
// all rows at once. `bias` (M) or nothing shifts the exact outputs.
LeafOutputs fit_class_probabilities(const LeafOutputs& outputs, const ChosenTrees& chosen, const ClassFit& how,
                                    const MatrixD& b, std::span<const float> bias, int64_t n_threads,
                                    Progress& progress);

// The temperature and the number of steps with the most rows of equal argmax among the validation rows (then the least
// squared difference of probabilities); none where chance explains the gain. Neither the trees nor the outputs may have
// been fitted to those rows: over-fitting would pass for a gain.
ClassFit choose_class_fit(const LeafOutputs& outputs, const ChosenTrees& tried, const RowsF& validation,
                          const MatrixD& b, std::span<const float> bias, int64_t n_threads, Progress& progress);

inline constexpr int64_t kClassFitSteps = 3;  // progress steps of the choice: one for each temperature

}  // namespace mithral::train_internal
