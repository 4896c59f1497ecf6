#include "python/arrays.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "codegen/model/error.h"
#include "python/initialised.h"

namespace mithral::python {

std::string text(const py::object& object) { return py::str(object); }

std::string shape_text(const py::array& array) { return text(array.attr("shape")); }

namespace {

std::string type_name(py::handle object) { return py::str(py::type::handle_of(object).attr("__name__")); }

bool is_instance_of(py::handle object, const char* module, const char* type) {
  return py::isinstance(object, py::module_::import(module).attr(type));
}

// A masked array's mask would be dropped without a word.
void refuse_masked(py::handle object, const char* name) {
  if (is_instance_of(object, "numpy.ma", "MaskedArray")) {
    throw py::type_error(
        message(name, " is a masked array, and masks have no meaning here; pass ", name, ".filled(value)"));
  }
}

// Whether it is Python's or NumPy's; either would pass for 0 or 1 where a number is asked for.
bool is_bool(py::handle object) {
  if (PyBool_Check(object.ptr())) return true;
  return py::hasattr(object, "dtype") && text(object.attr("dtype")) == "bool";
}

}  // namespace

py::array any_array(py::handle object, const char* name) {
  if (Py_TYPE(object.ptr()) == py::detail::npy_api::get().PyArray_Type_) {
    return py::reinterpret_borrow<py::array>(object);
  }
  const bool is_scalar = is_instance_of(object, "numpy", "generic");
  const bool is_text = py::isinstance<py::bytes>(object);
  const bool is_array = !is_text && (PyObject_CheckBuffer(object.ptr()) != 0 || py::hasattr(object, "__array__"));
  if (is_scalar || !is_array || py::isinstance<py::type>(object)) {
    throw py::type_error(message(name, " is of type ", type_name(object), is_text ? ", not an array of numbers" : "",
                                 "; expected a NumPy array, or an object with __array__ or the buffer protocol"));
  }
  refuse_masked(object, name);
  return py::module_::import("numpy").attr("asarray")(object);
}

namespace {

// The array as native elements of type T in the memory order it has, without a copy where it is that already.
template <typename T>
py::array converted(const py::array& array) {
  return array.attr("astype")(py::dtype::of<T>(), py::arg("order") = "K", py::arg("copy") = false);
}

bool is_float32(const py::array& array) {
  return array.dtype().num() == py::dtype::num_of<float>() && array.dtype().byteorder() == '=';
}

// The dtype of the package ml_dtypes, which NumPy knows by its name only.
bool is_bfloat16(const py::dtype& dtype) {
  return dtype.kind() == 'V' && dtype.itemsize() == 2 && text(dtype.attr("name")) == "bfloat16";
}

// The type that a kernel reads the array as, if it reads it where it lies.
std::optional<InputType> native_type(const py::array& array) {
  const py::dtype dtype = array.dtype();
  const char order = dtype.byteorder();
  if (order != '=' && order != '|') return {};
  switch (dtype.kind()) {
    case 'f':
      if (dtype.itemsize() == 4) return InputType::kFloat32;
      if (dtype.itemsize() == 2) return InputType::kFloat16;
      return {};
    case 'i':
      if (dtype.itemsize() == 1) return InputType::kInt8;
      if (dtype.itemsize() == 2) return InputType::kInt16;
      return {};
    case 'u':
      if (dtype.itemsize() == 1) return InputType::kUint8;
      return {};
    default:
      if (is_bfloat16(dtype)) return InputType::kBfloat16;
      return {};
  }
}

bool is_aligned(const py::array& array) { return (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0; }

// Whether elements are reached in steps of whole elements. NumPy leaves the stride of a dimension of size 0 or 1
// undefined.
bool has_element_strides(const py::array& array) {
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    if (array.shape(i) > 1 && array.strides(i) % array.itemsize() != 0) return false;
  }
  return true;
}

// The two-dimensional array as a view; strides that have no meaning become those of row-major order.
template <typename T>
MatrixView<T> view_of(const py::array& array, T* data) {
  const int64_t rows = array.shape(0), cols = array.shape(1);
  const int64_t row_stride = rows > 1 ? array.strides(0) / array.itemsize() : cols;
  const int64_t col_stride = cols > 1 ? array.strides(1) / array.itemsize() : 1;
  return {data, rows, cols, row_stride, col_stride};
}

void check_real(const py::array& array, const char* name) {
  const py::dtype dtype = array.dtype();
  if (std::string("fiub").find(dtype.kind()) == std::string::npos && !is_bfloat16(dtype)) {
    throw py::value_error(message(name, " has dtype ", text(dtype),
                                  "; expected a real one: float32, or any float, integer or bool to be converted"));
  }
}

void check_dimensions(const py::array& array, const char* name, const char* shape, py::ssize_t ndim) {
  if (array.ndim() == ndim) return;
  const bool is_one_row = ndim == 2 && array.ndim() == 1 && std::string(name) != "B";
  throw py::value_error(message(name, " has shape ", shape_text(array), "; expected ", shape,
                                is_one_row ? message(" (one row: ", name, "[None, :])") : ""));
}

// Finite values that would become infinite in float32. Other values that are not finite are the core's to refuse.
void check_range_of_float32(const py::array& array, const char* name) {
  if (array.dtype().kind() != 'f' || array.itemsize() <= static_cast<py::ssize_t>(sizeof(float))) return;
  if (array.size() == 0) return;
  const double rounds_up = std::ldexp(1.0, 128) - std::ldexp(1.0, 103);  // half a step above the largest
  // Almost always: two passes, without the arrays below, which would be as many bytes as A has elements.
  const auto most = array.attr("max")().cast<double>(), least = array.attr("min")().cast<double>();
  if (most < rounds_up && least > -rounds_up) return;
  const double infinity = std::numeric_limits<double>::infinity();
  const py::object too_large = array.attr("__ge__")(rounds_up).attr("__and__")(array.attr("__lt__")(infinity));
  const py::object too_small = array.attr("__le__")(-rounds_up).attr("__and__")(array.attr("__gt__")(-infinity));
  const py::object beyond = too_large.attr("__or__")(too_small);
  if (!beyond.attr("any")().cast<bool>()) return;
  const py::object numpy = py::module_::import("numpy");
  const py::tuple first = numpy.attr("unravel_index")(beyond.attr("argmax")(), array.attr("shape"));
  std::string index;
  for (const py::handle i : first) index += message(index.empty() ? "" : ", ", i.cast<int64_t>());
  throw py::value_error(message(name, "[", index, "] is ", text(array.attr("__getitem__")(first)),
                                ", beyond the range of float32; allowed: -3.4028235e38 to 3.4028235e38"));
}

py::array real_matrix(py::handle object, const char* name, const char* shape) {
  py::array array = any_array(object, name);
  check_real(array, name);
  check_dimensions(array, name, shape, 2);
  return array;
}

// The array, or a copy where its elements are not aligned or not reached in whole steps.
py::array in_whole_elements(const py::array& array) {
  return is_aligned(array) && has_element_strides(array) ? array : py::array(array.attr("copy")("K"));
}

void check_features(int64_t rows, int64_t cols, const Model& model) {
  if (cols == model.n_features()) return;
  throw py::value_error(message("X has shape (", rows, ", ", cols, "): ", cols, " columns; expected ",
                                model.n_features(), ", the model's n_features"));
}

// A caller's array to write to, its elements of type T.
template <typename T>
py::array output_array(py::handle object, std::vector<py::ssize_t> shape) {
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(message("out is of type ", type_name(object), "; expected a NumPy array or None"));
  }
  auto array = py::reinterpret_borrow<py::array>(object);
  if (Py_TYPE(object.ptr()) != py::detail::npy_api::get().PyArray_Type_) refuse_masked(object, "out");
  const py::dtype wanted = py::dtype::of<T>(), given = array.dtype();
  const auto name = [&wanted] { return text(wanted); };  // takes longer than a small call: only for messages
  if (given.kind() != wanted.kind() || given.itemsize() != wanted.itemsize() || given.byteorder() != '=') {
    throw py::value_error(
        message("out has dtype ", text(given.attr("__repr__")()), "; expected ", name(), " in native byte order"));
  }
  if (!std::equal(shape.begin(), shape.end(), array.shape(), array.shape() + array.ndim())) {
    throw py::value_error(
        message("out has shape ", shape_text(array), "; expected ", text(py::tuple(py::cast(shape)))));
  }
  if (!array.writeable()) throw py::value_error("out is read-only; expected a writeable array");
  if (!is_aligned(array) || !has_element_strides(array)) {
    const auto address = reinterpret_cast<uintptr_t>(array.data());
    throw py::value_error(message("out has strides of ", text(array.attr("strides")), " bytes and starts ",
                                  address % array.itemsize(),
                                  " bytes behind an aligned address; expected whole, aligned ", name(), " elements"));
  }
  return array;
}

}  // namespace

template <typename T>
std::vector<T> elements(const py::array& array, const char* name) {
  if constexpr (std::is_integral_v<T>) {
    constexpr int64_t kMax = (int64_t{1} << std::numeric_limits<T>::digits) - 1;
    constexpr int64_t kMin = std::is_signed_v<T> ? -kMax - 1 : 0;
    if (array.size() > 0) {
      const py::object low = array.attr("min")(), high = array.attr("max")();
      if (low.attr("__lt__")(kMin).cast<bool>() || high.attr("__gt__")(kMax).cast<bool>()) {
        throw BadModel(
            message(name, " has values from ", text(low), " to ", text(high), "; allowed: ", kMin, " to ", kMax));
      }
    }
  }
  const auto flat = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(array);
  if (!flat) throw py::error_already_set();
  return {flat.data(), flat.data() + flat.size()};
}
template std::vector<float> elements(const py::array& array, const char* name);
template std::vector<int32_t> elements(const py::array& array, const char* name);
template std::vector<uint8_t> elements(const py::array& array, const char* name);
template std::vector<int8_t> elements(const py::array& array, const char* name);

InputMatrix input_matrix(py::handle object, const char* name, const char* shape, Beyond beyond) {
  py::array array = real_matrix(object, name, shape);
  if (beyond == Beyond::kRefused) check_range_of_float32(array, name);
  if (!is_float32(array)) array = converted<float>(array);
  array = in_whole_elements(array);
  return {array, view_of(array, static_cast<const float*>(array.data()))};
}

InputMatrix float_rows(py::handle object, const Model& model) {
  InputMatrix input = input_matrix(object, "X", "(N, D)");
  check_features(input.view.rows, input.view.cols, model);
  return input;
}

InputRows input_rows(py::handle object, const Model& model) {
  if (model.has_given_codes()) {
    const InputCodes codes = input_codes(object, model);
    return {codes.owner, codes.view};
  }
  py::array array = real_matrix(object, "X", "(N, D)");
  check_features(array.shape(0), array.shape(1), model);
  const std::optional<InputType> type = native_type(array);
  if (!type) array = converted<float>(array);
  array = in_whole_elements(array);
  InputView view = view_of(array, static_cast<const float*>(array.data()));
  view.type = type.value_or(InputType::kFloat32);
  return {array, view};
}

template <typename T>
MatrixView<T> output_matrix(py::handle object, int64_t rows, int64_t cols) {
  py::array array = output_array<T>(object, {rows, cols});
  return view_of(array, static_cast<T*>(array.mutable_data()));
}
template MatrixView<float> output_matrix(py::handle object, int64_t rows, int64_t cols);
template MatrixView<int32_t> output_matrix(py::handle object, int64_t rows, int64_t cols);

template <typename T>
MatrixView<T> output_vector(py::handle object, int64_t rows) {
  py::array array = output_array<T>(object, {rows});
  const int64_t stride = rows > 1 ? array.strides(0) / array.itemsize() : 1;
  return {static_cast<T*>(array.mutable_data()), rows, 1, stride, 1};
}
template MatrixView<int64_t> output_vector(py::handle object, int64_t rows);

std::vector<float> input_vector(py::handle object, const char* name, const char* shape) {
  const py::array array = any_array(object, name);
  check_real(array, name);
  check_dimensions(array, name, shape, 1);
  check_range_of_float32(array, name);
  return elements<float>(array, name);
}

int64_t integer(py::handle object, const char* name, int64_t least) {
  const auto index = py::reinterpret_steal<py::object>(is_bool(object) ? nullptr : PyNumber_Index(object.ptr()));
  if (!index) {
    if (PyErr_Occurred() != nullptr && PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw py::error_already_set();
    PyErr_Clear();
    throw py::type_error(message(name, " is of type ", type_name(object), "; expected an integer"));
  }
  int overflow = 0;
  const int64_t value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0) {
    throw py::value_error(message(name, " is ", text(index), ", which does not fit a signed 64-bit integer"));
  }
  if (value < least) throw py::value_error(message(name, " is ", value, "; allowed: ", least, " or more"));
  return value;
}

double real(py::handle object, const char* name) {
  const double value = is_bool(object) ? -1 : PyFloat_AsDouble(object.ptr());
  const bool failed = PyErr_Occurred() != nullptr;  // asked before anything else: is_bool forgets it
  PyErr_Clear();
  if (failed || is_bool(object)) {
    throw py::type_error(message(name, " is of type ", type_name(object), "; expected a real number"));
  }
  return value;
}

std::string word(py::handle object, const char* name) {
  const std::string shown = py::repr(object);
  if (!py::isinstance<py::str>(object)) throw py::type_error(message(name, " is ", shown, "; expected a string"));
  Py_ssize_t size = 0;
  const char* utf8 = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
  if (utf8 == nullptr) {
    PyErr_Clear();
    throw py::value_error(message(name, " is ", shown, ", which is not valid text"));
  }
  std::string value(utf8, static_cast<size_t>(size));
  // A message would end there.
  if (value.find('\0') != std::string::npos) throw py::value_error(message(name, " is ", shown, ", which has a NUL"));
  return value;
}

const Model& model_from(py::handle object) {
  if (!py::isinstance<Model>(object)) {
    throw py::type_error(message("model is of type ", type_name(object), "; expected a mithral.Model"));
  }
  return object.cast<const Model&>();
}

InputCodes input_codes(py::handle object, const Model& model) {
  py::array array = any_array(object, "codes");
  if (array.dtype().kind() != 'u' || array.itemsize() != 1) {
    throw py::value_error(message("codes has dtype ", text(array.dtype()), "; expected uint8"));
  }
  check_dimensions(array, "codes", "(N, C)", 2);
  model.check_codes_suffice();
  if (array.shape(1) != model.n_codebooks()) {
    throw py::value_error(message("codes has shape ", shape_text(array), ": ", array.shape(1), " columns; expected ",
                                  model.n_codebooks(), ", the model's n_codebooks"));
  }
  return {array, view_of(array, static_cast<const uint8_t*>(array.data()))};
}

}  // namespace mithral::python
