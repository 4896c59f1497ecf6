// Latents: a few sums of the columns, through which all outputs are made.
#pragma once

#include "train/learn_parts.h"

namespace mithral::train_internal {

// A model of the leading directions of the outputs (leading_directions.h), options.n_latents of them, made of
// options.latent_dims linear dims, its float step ending in codes: its range over the rows is that of 7 bits. None, if
// no latents are wanted or the outputs do not vary.
LearnedLatents learn_latents(const LearningProblem& problem, const TrainOptions& options, Progress& progress);

}  // namespace mithral::train_internal
