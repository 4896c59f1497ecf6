#include "codegen/encode/linear/steps.h"

#include <algorithm>

namespace mithral::codegen {

void store_steps(const LinearDims& linear, float* to) {
  std::copy(linear.inverse_step().begin(), linear.inverse_step().end(), to);
  std::fill_n(to + linear.n_columns(), linear.n_latents(), 1.0f);  // latents are codes already
  std::copy(linear.zero().begin(), linear.zero().end(), to + step_floats(linear) / 2);
}

}  // namespace mithral::codegen
