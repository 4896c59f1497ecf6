// Models from the arrays of Python callers.
#pragma once

#include <pybind11/pybind11.h>

#include "codegen/model/model.h"

namespace mithral::python {

namespace py = pybind11;

// Arrays of a model's linear dims, or all None; the model of its latents and their weights, or both None.
struct LinearObjects {
  py::object dims, inverse_step, zero, weights, shift, latents, latent_weights;
};

// A model from a caller's arrays, converted and flattened: of hash trees, linear dims and latents, or of codes that the
// caller gives. Throws TypeError for what is not an array, BadModel for dtypes, shapes and values that do not fit.
Model model_of_trees(py::handle split_dims, py::handle thresholds, py::handle lut, py::handle scale, py::handle offset,
                     py::handle n_features, const LinearObjects& linear);
Model model_of_codes(py::handle lut, py::handle scale, py::handle offset);

}  // namespace mithral::python
