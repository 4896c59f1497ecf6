// Tables for objective "argmax": leaf outputs that give rows the exact product's class probabilities, instead of its
// values.
#pragma once

#include <span>

#include "train/objective.h"
#include "train/ridge.h"

namespace mithral::train_internal {

struct ClassFit {
  LeafOutputs outputs;
  double temperature = 0;  // of the probabilities that were fitted; 0: the given outputs were best
  int64_t n_steps = 0;
};

// Minimises the cross-entropy between softmax(exact / t) and softmax(approximate / t) over the leaf outputs and the
// mean, from the given outputs on, by Adam (Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015) on
// all rows at once. The temperature t and the number of steps are those with the most rows of equal argmax among the
// validation rows (then the least squared difference of probabilities). `bias` (M) or nothing shifts the exact outputs.
ClassFit fit_class_probabilities(const LeafOutputs& outputs, const ChosenTrees& chosen, const RowsF& validation,
                                 const MatrixD& b, std::span<const float> bias, int64_t n_threads, Progress& progress);

inline constexpr int64_t kClassFitSteps = 3;  // progress steps made: one for each temperature

}  // namespace mithral::train_internal
