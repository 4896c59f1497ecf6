// Python can make an object without running its constructor: Model.__new__(Model), a pickle made for the purpose, a
// subclass that looks at itself too early. pybind11 would hand out raw memory for it; these casters raise TypeError
// instead. Included wherever a Model or Kernel is taken from Python.
#pragma once

#include <pybind11/pybind11.h>

#include "codegen/model/model.h"
#include "runtime/kernel.h"

namespace pybind11::detail {

template <typename T>
struct InitialisedCaster : type_caster_base<T> {
  bool load(handle source, bool convert) {
    if (isinstance<T>(source)) {
      for (const auto& part : values_and_holders(reinterpret_cast<instance*>(source.ptr()))) {
        if (!part.holder_constructed()) {
          throw type_error(std::string("this ") + Py_TYPE(source.ptr())->tp_name + " was never initialised");
        }
      }
    }
    return type_caster_base<T>::load(source, convert);
  }
};

template <>
struct type_caster<mithral::Model> : InitialisedCaster<mithral::Model> {};
template <>
struct type_caster<mithral::Kernel> : InitialisedCaster<mithral::Kernel> {};

}  // namespace pybind11::detail
