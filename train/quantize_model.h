// Learned parts, which are real numbers -> the model, which is integers.
#pragma once

#include "codegen/model/model.h"
#include "train/learn_parts.h"

namespace mithral::train_internal {

// The model of whichever of two largest weights is smaller, if rounding to it costs no more than the share
// options.rounding_tolerance of squared error on rows learned from: kernels without dot products of bytes add twice as
// many products in 16 bits then.
struct ChosenWeights {
  int max_weight;  // 0: there are no weights
  Model model;
};
ChosenWeights choose_weights(const LearnedParts& parts, const LearningProblem& problem, const TrainOptions& options);

}  // namespace mithral::train_internal
