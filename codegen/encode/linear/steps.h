// How inverse steps and zeros of linear dims lie beside the code: each dim by dim, to whole cache lines of them, those
// missing being 0.
//
//     | inverse step of dim 0 | of dim 1 | ...           | zero of dim 0 | of dim 1 | ...
//     |--------- zeros_offset() bytes ------------------|
#pragma once

#include <cstdint>

#include "codegen/model/linear_dims.h"
#include "codegen/model/multiples.h"
#include "codegen/program/sizes.h"

namespace mithral::codegen {

// Bytes from a dim's inverse step to its zero.
inline int64_t zeros_offset(int64_t n_linear) { return round_up(n_linear, kLineFloats) * kFloatBytes; }

inline int64_t step_floats(const LinearDims& linear) { return 2 * round_up(linear.size(), kLineFloats); }

// Into zeroed memory of step_floats().
void store_steps(const LinearDims& linear, float* to);

}  // namespace mithral::codegen
