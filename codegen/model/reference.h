// The contract of model.h as plain loops: the oracle that every program, backend and schedule is compared with. It sees
// no program and no schedule.
#pragma once

#include "codegen/model/model.h"

namespace mithral {

// codes (N, C): the leaf index of each row in each hash tree. x is (N, D), any strides.
// Throws InvalidArgument when a shape does not fit the model.
void reference_encode(const Model& model, MatrixView<const float> x, MatrixView<uint8_t> codes);

// y (N, M), before any activation, for x (N, D), any strides. Throws InvalidArgument when a shape does not fit the
// model.
void reference(const Model& model, MatrixView<const float> x, MatrixView<float> y);

}  // namespace mithral
