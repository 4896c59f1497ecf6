// Python objects as matrices and numbers, and back: every check of dtype, shape and memory layout that has a NumPy side
// to it.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "codegen/model/input_view.h"
#include "codegen/model/matrix_view.h"
#include "codegen/model/model.h"

namespace mithral::python {

namespace py = pybind11;

// Any array: an ndarray as it is, and what offers __array__ or the buffer protocol through numpy.asarray. Lists and
// scalars are refused, because converting them by the element costs more than the product. Throws TypeError.
py::array any_array(py::handle object, const char* name);

// The elements in row-major order, for T float, int32_t, uint8_t and int8_t. Throws BadModel for integers out of the
// range of T, before any is converted.
template <typename T>
std::vector<T> elements(const py::array& array, const char* name);

// For messages: an object, and an array's shape, as Python shows them.
std::string text(const py::object& object);
std::string shape_text(const py::array& array);

// A float32 matrix borrowed from an array that `owner` keeps alive.
struct InputMatrix {
  py::array owner;
  MatrixView<const float> view;
};

// `object` as a float32 matrix. float32 in native byte order is borrowed with its own strides, whatever they are; other
// real dtypes, and float32 that cannot be addressed in whole elements, are copied. `shape` is for messages, like "(N,
// D)". Throws TypeError for what is not an array, ValueError for a wrong dtype or number of dimensions; also for finite
// values beyond float32's range, where they are not to become infinite.
enum class Beyond { kInfinite, kRefused };
InputMatrix input_matrix(py::handle object, const char* name, const char* shape, Beyond beyond = Beyond::kInfinite);

// The same for rows of a model's features: also checks the number of columns.
InputMatrix float_rows(py::handle object, const Model& model);

// Rows of any type that kernels read, borrowed from an array that `owner` keeps alive.
struct InputRows {
  py::array owner;
  InputView view;
};

// Rows of a model's features for a kernel: as float_rows, but int8, uint8, int16, float16 and bfloat16 (ml_dtypes') in
// native byte order are borrowed, too.
InputRows input_rows(py::handle object, const Model& model);

// A caller's array to write to: an ndarray of the given shape with elements of type T (float, int32_t, int64_t), any
// strides. Throws TypeError or ValueError. A vector (rows,) is seen as a matrix (rows, 1).
template <typename T>
MatrixView<T> output_matrix(py::handle object, int64_t rows, int64_t cols);
template <typename T>
MatrixView<T> output_vector(py::handle object, int64_t rows);

// A one-dimensional real array, converted to float32. Throws as input_matrix does; values beyond are refused.
std::vector<float> input_vector(py::handle object, const char* name, const char* shape);

// Codes (N, C), uint8, of any strides, borrowed from an array that `owner` keeps alive. Throws TypeError for what is
// not an array, ValueError for another dtype or number of columns.
struct InputCodes {
  py::array owner;
  MatrixView<const uint8_t> view;
};
InputCodes input_codes(py::handle object, const Model& model);

// A number among the options, bools not counted. Throws TypeError for what is none, ValueError for an integer below
// `least` or out of 64 bits.
int64_t integer(py::handle object, const char* name, int64_t least = std::numeric_limits<int64_t>::min());
double real(py::handle object, const char* name);

// A word among the options. Throws TypeError for what is not a string, ValueError for one with a NUL in it.
std::string word(py::handle object, const char* name);

// Throws TypeError for what is not a Model.
const Model& model_from(py::handle object);

// A read-only view of `values`, row-major, that keeps `owner` alive.
template <typename T>
py::array read_only(const std::vector<T>& values, std::vector<py::ssize_t> shape, const py::object& owner) {
  py::array_t<T> array(std::move(shape), values.data(), owner);
  py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return array;
}

// A new row-major array and its view.
template <typename T>
std::pair<py::array_t<T>, MatrixView<T>> new_matrix(int64_t rows, int64_t cols) {
  py::array_t<T> array({rows, cols});
  return {array, row_major(array.mutable_data(), rows, cols)};
}

}  // namespace mithral::python
