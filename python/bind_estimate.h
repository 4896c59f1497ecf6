// The cost model for Python.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "codegen/plan/estimate.h"

namespace mithral::python {

// "C" or "F"; throws InvalidArgument for another word.
InputOrder input_order(const std::string& order);

void bind_estimate(pybind11::module_& module);

}  // namespace mithral::python
