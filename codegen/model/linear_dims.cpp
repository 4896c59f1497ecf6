#include "codegen/model/linear_dims.h"

#include <algorithm>
#include <cmath>

#include "codegen/model/error.h"
#include "codegen/model/model.h"

namespace mithral {
namespace {

int64_t count_latents(const LinearArrays& a) { return a.latents ? a.latents->n_outputs() : 0; }

void check_latents(const LinearArrays& a) {
  const Model& latents = *a.latents;
  if (latents.has_given_codes()) {
    throw BadModel(
        "latents are outputs of rows, and their model's codes come from the caller; allowed: with hash trees");
  }
  if (latents.linear().n_latents() > 0) throw BadModel("the latents' model has latents of its own; allowed: one level");
  if (latents.n_features() != a.n_features) {
    throw BadModel(message("the latents' model has ", latents.n_features(),
                           " features; expected those of the rows: ", a.n_features));
  }
  if (a.dims.size() % LinearDims::kFour != 0) {
    throw BadModel(
        message("there are ", a.dims.size(), " linear dims beside latents; allowed: multiples of ", LinearDims::kFour));
  }
}

void check(const LinearArrays& a) {
  const auto n_dims = static_cast<int64_t>(a.dims.size());
  const int64_t n_latents = count_latents(a);
  check_range<BadModel>("n_features (D)", a.n_features, 1, HashTrees::kMaxFeatures);
  check_range<BadModel>("n_outputs (M)", a.n_outputs, 1, Tables::kMaxOutputs);
  check_range<BadModel>("the number of linear dims and latents (S + r)", n_dims + n_latents, 0, LinearDims::kMaxDims);
  check_range<BadModel>("shift", a.shift, 0, LinearDims::kMaxShift);
  check_length("linear_inverse_step", a.inverse_step.size(), n_dims, "(S,)");
  check_length("linear_zero", a.zero.size(), n_dims, "(S,)");
  check_length("linear_weights", a.weights.size(), (n_dims + n_latents) * a.n_outputs, "(S + r, M)");
  check_finite("linear_inverse_step", a.inverse_step);
  check_finite("linear_zero", a.zero);
  for (int64_t s = 0; s < n_dims; ++s) {
    if (a.dims[s] < 0 || a.dims[s] >= a.n_features) {
      throw BadModel(
          message("linear_dims[", s, "] is ", a.dims[s], "; allowed: 0 to ", a.n_features - 1, " (n_features - 1)"));
    }
  }
  if (a.latents) check_latents(a);
}

}  // namespace

// One for all models that have none.
LinearDims::LinearDims() {
  static const auto none = std::make_shared<const LinearArrays>();
  arrays_ = none;
}

LinearDims::LinearDims(LinearArrays arrays) : LinearDims() {
  check(arrays);
  if (!arrays.dims.empty() || arrays.latents) arrays_ = std::make_shared<const LinearArrays>(std::move(arrays));
}

int64_t LinearDims::n_latents() const { return count_latents(*arrays_); }

uint8_t quantise(float x, float inverse_step, float zero) {
  const float product = x * inverse_step;
  const float u = product + zero;
  if (!(u > 0)) return 0;
  return static_cast<uint8_t>(std::nearbyint(std::min(u, static_cast<float>(LinearDims::kMaxQuantised))));
}

}  // namespace mithral
