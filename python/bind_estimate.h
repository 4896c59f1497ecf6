// The cost model for Python.
#pragma once

#include <pybind11/pybind11.h>

namespace mithral::python {

void bind_estimate(pybind11::module_& module);

}  // namespace mithral::python
