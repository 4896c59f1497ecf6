#include "python/model_arrays.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "codegen/model/error.h"
#include "python/arrays.h"
#include "python/initialised.h"

namespace mithral::python {
namespace {

// Checks of a model's array: dtype kind, then shape.
py::array model_array(py::handle object, const char* name, const char* kinds, const char* dtypes) {
  py::array array = any_array(object, name);
  if (std::string(kinds).find(array.dtype().kind()) == std::string::npos) {
    throw BadModel(message(name, " has dtype ", text(array.dtype()), "; expected ", dtypes));
  }
  return array;
}

void check_shape(const py::array& array, const char* name, const char* letters, const std::vector<int64_t>& expected) {
  if (std::equal(expected.begin(), expected.end(), array.shape(), array.shape() + array.ndim())) return;
  py::tuple wanted(expected.size());
  for (size_t i = 0; i < expected.size(); ++i) wanted[i] = expected[i];
  throw BadModel(message(name, " has shape ", shape_text(array), "; expected ", text(wanted), ", which is ", letters));
}

// A table's shape is checked before anything is converted.
Tables tables_of(const py::array& lut, const char* lut_shape, py::handle scale, py::handle offset) {
  if (lut.ndim() != 3) throw BadModel(message("lut has shape ", shape_text(lut), "; expected ", lut_shape));
  const py::array scales = model_array(scale, "scale", "f", "a float type");
  const py::array offsets = model_array(offset, "offset", "f", "a float type");
  check_shape(scales, "scale", "(n_outputs,)", {lut.shape(2)});
  check_shape(offsets, "offset", "(n_outputs,)", {lut.shape(2)});
  return Tables({.n_codebooks = lut.shape(0),
                 .n_entries = lut.shape(1),
                 .lut = elements<uint8_t>(lut, "lut"),
                 .scale = elements<float>(scales, "scale"),
                 .offset = elements<float>(offsets, "offset")});
}

// The arrays of the columns, as if there were no latents. None of them is an array without the others.
LinearArrays columns_of(const LinearObjects& objects, int64_t n_features, int64_t n_outputs) {
  const std::pair<const char*, const py::object&> all[] = {{"linear_dims", objects.dims},
                                                           {"linear_inverse_step", objects.inverse_step},
                                                           {"linear_zero", objects.zero},
                                                           {"linear_weights", objects.weights}};
  const auto is_none = [](const auto& object) { return object.second.is_none(); };
  const auto missing = std::find_if(std::begin(all), std::end(all), is_none);
  if (std::all_of(std::begin(all), std::end(all), is_none)) {
    if (!objects.shift.is_none() && objects.latents.is_none()) {
      throw BadModel("shift is given without linear_dims or latents; expected both or neither");
    }
    return {.n_features = n_features,
            .n_outputs = n_outputs,
            .shift = objects.shift.is_none() ? 0 : integer(objects.shift, "shift"),
            .dims = {},
            .inverse_step = {},
            .zero = {},
            .weights = {}};
  }
  if (missing != std::end(all)) {
    throw BadModel(message(missing->first, " is None; expected an array, as others of the linear dims are given"));
  }
  const py::array dims = model_array(objects.dims, "linear_dims", "iu", "an integer type");
  const py::array steps = model_array(objects.inverse_step, "linear_inverse_step", "f", "a float type");
  const py::array zeros = model_array(objects.zero, "linear_zero", "f", "a float type");
  const py::array weights = model_array(objects.weights, "linear_weights", "iu", "an integer type");
  if (dims.ndim() != 1) throw BadModel(message("linear_dims has shape ", shape_text(dims), "; expected (n_linear,)"));
  check_shape(steps, "linear_inverse_step", "(n_linear,)", {dims.shape(0)});
  check_shape(zeros, "linear_zero", "(n_linear,)", {dims.shape(0)});
  check_shape(weights, "linear_weights", "(n_linear, n_outputs)", {dims.shape(0), n_outputs});
  if (dims.shape(0) == 0 && objects.latents.is_none() && !objects.shift.is_none() &&
      integer(objects.shift, "shift") != 0) {
    throw BadModel(message("shift is ", integer(objects.shift, "shift"), " without linear dims; allowed: 0"));
  }
  return {.n_features = n_features,
          .n_outputs = n_outputs,
          .shift = objects.shift.is_none() ? 0 : integer(objects.shift, "shift"),
          .dims = elements<int32_t>(dims, "linear_dims"),
          .inverse_step = elements<float>(steps, "linear_inverse_step"),
          .zero = elements<float>(zeros, "linear_zero"),
          .weights = elements<int8_t>(weights, "linear_weights")};
}

LinearDims linear_of(const LinearObjects& objects, int64_t n_features, int64_t n_outputs) {
  LinearArrays arrays = columns_of(objects, n_features, n_outputs);
  if (objects.latents.is_none() != objects.latent_weights.is_none()) {
    throw BadModel("one of latents and latent_weights is None; expected a model and an array, or neither");
  }
  if (!objects.latents.is_none()) {
    arrays.latents = std::make_shared<const Model>(model_from(objects.latents));
    const py::array weights = model_array(objects.latent_weights, "latent_weights", "iu", "an integer type");
    check_shape(weights, "latent_weights", "(n_latents, n_outputs)", {arrays.latents->n_outputs(), n_outputs});
    const std::vector<int8_t> of_latents = elements<int8_t>(weights, "latent_weights");
    arrays.weights.insert(arrays.weights.end(), of_latents.begin(), of_latents.end());
  }
  return LinearDims(std::move(arrays));
}

}  // namespace

Model model_of_trees(py::handle split_dims, py::handle thresholds, py::handle lut, py::handle scale, py::handle offset,
                     py::handle n_features, const LinearObjects& linear) {
  if (split_dims.is_none() && thresholds.is_none() && lut.is_none()) {
    constexpr py::ssize_t kDepth = 4, kLeaves = 1 << kDepth;  // of no trees: what trained models say
    const py::array scales = model_array(scale, "scale", "f", "a float type");
    if (scales.ndim() != 1) throw BadModel(message("scale has shape ", shape_text(scales), "; expected (n_outputs,)"));
    using Shape = std::vector<py::ssize_t>;
    return model_of_trees(py::array_t<int32_t>(Shape{0, kDepth}), py::array_t<float>(Shape{0, kLeaves - 1}),
                          py::array_t<uint8_t>(Shape{0, kLeaves, scales.size()}), scale, offset, n_features, linear);
  }
  for (const auto& [name, array] : {std::pair{"split_dims", split_dims}, {"thresholds", thresholds}, {"lut", lut}}) {
    if (array.is_none()) throw BadModel(message(name, " is None; expected an array, as others of the trees are given"));
  }
  const py::array dims = model_array(split_dims, "split_dims", "iu", "an integer type");
  const py::array nodes = model_array(thresholds, "thresholds", "f", "a float type");
  const py::array table = model_array(lut, "lut", "iu", "an integer type");
  const char* lut_shape = "(n_codebooks, 2**depth, n_outputs)";
  if (dims.ndim() != 2) {
    throw BadModel(message("split_dims has shape ", shape_text(dims), "; expected (n_codebooks, depth)"));
  }
  if (table.ndim() != 3) throw BadModel(message("lut has shape ", shape_text(table), "; expected ", lut_shape));
  const int64_t n_codebooks = dims.shape(0), depth = dims.shape(1);
  check_range<BadModel>("depth (L)", depth, 1, HashTrees::kMaxDepth);
  const int64_t leaves = int64_t{1} << depth;
  check_shape(nodes, "thresholds", "(n_codebooks, 2**depth - 1)", {n_codebooks, leaves - 1});
  check_shape(table, "lut", lut_shape, {n_codebooks, leaves, table.shape(2)});
  HashTrees trees({.n_features = integer(n_features, "n_features"),
                   .n_codebooks = n_codebooks,
                   .depth = depth,
                   .split_dims = elements<int32_t>(dims, "split_dims"),
                   .thresholds = elements<float>(nodes, "thresholds")});
  Tables tables = tables_of(table, lut_shape, scale, offset);
  LinearDims dims_of_rows = linear_of(linear, trees.n_features(), tables.n_outputs());
  return {std::move(trees), std::move(tables), std::move(dims_of_rows)};
}

Model model_of_codes(py::handle lut, py::handle scale, py::handle offset) {
  const py::array table = model_array(lut, "lut", "iu", "an integer type");
  Tables tables = tables_of(table, "(n_codebooks, n_entries, n_outputs)", scale, offset);
  const GivenCodes codes{tables.n_codebooks(), tables.n_entries()};
  return {codes, std::move(tables)};
}

}  // namespace mithral::python
