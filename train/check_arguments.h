// Everything a caller can get wrong, checked before any work starts.
#pragma once

#include <span>

#include "train/train.h"

namespace mithral::train_internal {

// Throws InvalidArgument.
void check_arguments(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias,
                     const TrainOptions& options);

}  // namespace mithral::train_internal
