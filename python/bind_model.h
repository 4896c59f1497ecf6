// mithral.Model.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "codegen/model/model.h"

namespace mithral::python {

// "512 features -> 10 outputs, 16 codebooks of depth 4"
std::string describe(const Model& model);

void bind_model(pybind11::module_& module);

}  // namespace mithral::python
