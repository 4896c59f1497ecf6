#include "codegen/model/linear_dims.h"

#include <algorithm>
#include <cmath>

#include "codegen/model/error.h"
#include "codegen/model/hash_trees.h"
#include "codegen/model/tables.h"

namespace mithral {
namespace {

void check(const LinearArrays& a) {
  const auto n_dims = static_cast<int64_t>(a.dims.size());
  check_range<BadModel>("n_features (D)", a.n_features, 1, HashTrees::kMaxFeatures);
  check_range<BadModel>("n_outputs (M)", a.n_outputs, 1, Tables::kMaxOutputs);
  check_range<BadModel>("the number of linear dims (S)", n_dims, 0, LinearDims::kMaxDims);
  check_range<BadModel>("shift", a.shift, 0, LinearDims::kMaxShift);
  check_length("linear_inverse_step", a.inverse_step.size(), n_dims, "(S,)");
  check_length("linear_zero", a.zero.size(), n_dims, "(S,)");
  check_length("linear_weights", a.weights.size(), n_dims * a.n_outputs, "(S, M)");
  check_finite("linear_inverse_step", a.inverse_step);
  check_finite("linear_zero", a.zero);
  for (int64_t s = 0; s < n_dims; ++s) {
    if (a.dims[s] < 0 || a.dims[s] >= a.n_features) {
      throw BadModel(
          message("linear_dims[", s, "] is ", a.dims[s], "; allowed: 0 to ", a.n_features - 1, " (n_features - 1)"));
    }
  }
}

}  // namespace

// One for all models that have none.
LinearDims::LinearDims() {
  static const auto none = std::make_shared<const LinearArrays>();
  arrays_ = none;
}

LinearDims::LinearDims(LinearArrays arrays) : LinearDims() {
  check(arrays);
  if (!arrays.dims.empty()) arrays_ = std::make_shared<const LinearArrays>(std::move(arrays));
}

uint8_t quantise(float x, float inverse_step, float zero) {
  const float product = x * inverse_step;
  const float u = product + zero;
  if (!(u > 0)) return 0;
  return static_cast<uint8_t>(std::nearbyint(std::min(u, static_cast<float>(LinearDims::kMaxQuantised))));
}

}  // namespace mithral
