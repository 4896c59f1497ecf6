#include "python/bind_model.h"

#include <cmath>
#include <optional>
#include <string>

#include "codegen/model/error.h"
#include "codegen/model/model.h"
#include "codegen/model/reference.h"
#include "python/arrays.h"
#include "python/initialised.h"
#include "python/model_arrays.h"
#include "python/released_gil.h"

namespace mithral::python {
namespace {

using namespace pybind11::literals;

constexpr double kLargestCount = 1e15;

// The target, which is the place of an ISA among all, as its name: what is pickled outlives the order of ISAs.
py::dict with_target_named(const Report& report) {
  py::dict dict = py::cast(report);
  const auto target = report.find("target");
  if (target != report.end() && target->second >= 0 && target->second < static_cast<double>(all_isas().size())) {
    dict["target"] = isa_name(all_isas()[static_cast<size_t>(target->second)]);
  }
  return dict;
}

// Counts are integers in Python.
py::dict report_dict(const Report& report) {
  py::dict dict = with_target_named(report);
  for (const auto& [key, value] : report) {
    if (key.starts_with("n_")) dict[py::str(key)] = static_cast<int64_t>(value);
  }
  return dict;
}

// Python's words for what a model without trees has not: then hasattr() is false.
const HashTrees& trees_of(const Model& model, const char* name) {
  if (!model.has_trees()) {
    const char* reason = model.has_given_codes() ? "its codes come from the caller" : "it has no hash trees";
    throw py::attribute_error(message("this model has no ", name, ": ", reason));
  }
  return model.trees();
}

py::array split_dims(const py::object& self) {
  const HashTrees& trees = trees_of(self.cast<const Model&>(), "split_dims");
  return read_only(trees.split_dims(), {trees.n_codebooks(), trees.depth()}, self);
}

py::array thresholds(const py::object& self) {
  const HashTrees& trees = trees_of(self.cast<const Model&>(), "thresholds");
  return read_only(trees.thresholds(), {trees.n_codebooks(), trees.n_entries() - 1}, self);
}

py::array lut(const py::object& self) {
  const Tables& tables = self.cast<const Model&>().tables();
  return read_only(tables.lut(), {tables.n_codebooks(), tables.n_entries(), tables.n_outputs()}, self);
}

py::array scale(const py::object& self) {
  const Tables& tables = self.cast<const Model&>().tables();
  return read_only(tables.scale(), {tables.n_outputs()}, self);
}

py::array offset(const py::object& self) {
  const Tables& tables = self.cast<const Model&>().tables();
  return read_only(tables.offset(), {tables.n_outputs()}, self);
}

// Those of no linear dims are empty.
py::array linear_dims(const py::object& self) {
  const LinearDims& linear = self.cast<const Model&>().linear();
  return read_only(linear.dims(), {linear.n_columns()}, self);
}

py::array linear_inverse_step(const py::object& self) {
  const LinearDims& linear = self.cast<const Model&>().linear();
  return read_only(linear.inverse_step(), {linear.n_columns()}, self);
}

py::array linear_zero(const py::object& self) {
  const LinearDims& linear = self.cast<const Model&>().linear();
  return read_only(linear.zero(), {linear.n_columns()}, self);
}

// (S + r, M)
py::array all_weights(const py::object& self) {
  const auto& model = self.cast<const Model&>();
  const LinearDims& linear = model.linear();
  return read_only(linear.weights(), {linear.size(), model.n_outputs()}, self);
}

py::array linear_weights(const py::object& self) {
  const auto& model = self.cast<const Model&>();
  return all_weights(self)[py::slice(std::nullopt, model.n_linear(), std::nullopt)];
}

py::array latent_weights(const py::object& self) {
  const auto& model = self.cast<const Model&>();
  return all_weights(self)[py::slice(model.n_linear(), std::nullopt, std::nullopt)];
}

py::object latents(const Model& model) {
  const std::shared_ptr<const Model>& latents = model.linear().latents();
  return latents ? py::cast(*latents) : py::none();
}

py::array encode_by_reference(const Model& model, const py::object& x) {
  const InputMatrix input = float_rows(x, model);
  auto [codes, view] = new_matrix<uint8_t>(input.view.rows, model.n_codebooks());
  {
    const ReleasedGil released;
    reference_codes(model.encoder(), input.view, view);
  }
  return codes;
}

py::array reference_outputs(const Model& model, const py::object& x) {
  if (model.has_given_codes()) {
    const InputCodes codes = input_codes(x, model);
    auto [y, view] = new_matrix<float>(codes.view.rows, model.n_outputs());
    const ReleasedGil released;
    reference_outputs(model.tables(), codes.view, view);
    return y;
  }
  const InputMatrix input = float_rows(x, model);
  auto [y, view] = new_matrix<float>(input.view.rows, model.n_outputs());
  {
    const ReleasedGil released;
    reference(model, input.view, view);
  }
  return y;
}

// Models of given codes lack the trees' entries, those without linear dims the entries of these.
py::dict get_state(const py::object& self) {
  const auto& model = self.cast<const Model&>();
  py::dict state("lut"_a = lut(self), "scale"_a = scale(self), "offset"_a = offset(self),
                 "report"_a = with_target_named(model.report()));
  if (model.has_trees()) {
    state["split_dims"] = split_dims(self);
    state["thresholds"] = thresholds(self);
    state["n_features"] = model.n_features();
  }
  if (model.n_linear() > 0) {
    state["linear_dims"] = linear_dims(self);
    state["linear_inverse_step"] = linear_inverse_step(self);
    state["linear_zero"] = linear_zero(self);
    state["linear_weights"] = linear_weights(self);
  }
  if (model.n_latents() > 0) {
    state["latents"] = latents(model);
    state["latent_weights"] = latent_weights(self);
  }
  if (!model.linear().empty()) state["shift"] = model.linear().shift();
  return state;
}

py::object entry(const py::dict& state, const char* key) {
  if (!state.contains(key)) throw BadModel(message("the model's state has no '", key, "'"));
  return state[key];
}

py::object entry_or_none(const py::dict& state, const char* key) {
  return state.contains(key) ? py::object(state[key]) : py::none();
}

// A state with linear dims or latents has a shift: outputs depend on it.
LinearObjects linear_entries(const py::dict& state) {
  if (state.contains("linear_dims") || state.contains("latents")) entry(state, "shift");
  return {entry_or_none(state, "linear_dims"),   entry_or_none(state, "linear_inverse_step"),
          entry_or_none(state, "linear_zero"),   entry_or_none(state, "linear_weights"),
          entry_or_none(state, "shift"),         entry_or_none(state, "latents"),
          entry_or_none(state, "latent_weights")};
}

Isa target_from(const std::string& name) {
  try {
    return isa_from_name(name);
  } catch (const InvalidArgument& error) {
    throw BadModel(message("the report of the model's state has a target that is none: ", error.what()));
  }
}

Report report_from(const py::object& object) {
  if (!py::isinstance<py::dict>(object)) throw BadModel("the report of the model's state is not a dict");
  Report report;
  for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(object)) {
    const bool is_text = py::isinstance<py::str>(value), is_named = py::isinstance<py::str>(key);
    if (is_named && is_text && std::string(py::str(key)) == "target") {
      report["target"] = static_cast<double>(target_from(std::string(py::str(value))));
      continue;
    }
    if (!is_named || !py::isinstance<py::float_>(value)) {
      throw BadModel("the report of the model's state has an entry that is not a name and a float");
    }
    const auto number = value.cast<double>();
    if (!std::isfinite(number) || std::abs(number) > kLargestCount) {
      throw BadModel(message("the report of the model's state has the value ", number, "; allowed: finite figures"));
    }
    report[std::string(py::str(key))] = number;
  }
  return report;
}

// The state comes from a file that anyone may have written: it is checked like arrays of a caller.
Model set_state(const py::dict& state) {
  const py::object lut = entry(state, "lut"), scale = entry(state, "scale"), offset = entry(state, "offset");
  Report report = report_from(entry(state, "report"));
  const bool has_trees = state.contains("split_dims") || state.contains("thresholds") || state.contains("n_features");
  if (!has_trees) return model_of_codes(lut, scale, offset).with_report(std::move(report));
  return model_of_trees(entry(state, "split_dims"), entry(state, "thresholds"), lut, scale, offset,
                        entry(state, "n_features"), linear_entries(state))
      .with_report(std::move(report));
}

// The default __reduce_ex__ of pickle protocols 0 and 1 makes an instance of pybind11's base class, which aborts the
// process.
py::tuple reduce(const py::object& self) {
  const py::object make = py::module_::import("copyreg").attr("__newobj__");
  return py::make_tuple(make, py::make_tuple(py::type::of(self)), get_state(self));
}

}  // namespace

std::string describe(const Model& model) {
  if (model.has_given_codes()) {
    return message("given codes -> ", model.n_outputs(), " outputs, ", model.n_codebooks(), " codebooks of ",
                   model.n_entries(), " entries");
  }
  std::string text = message(model.n_features(), " features -> ", model.n_outputs(), " outputs");
  if (model.n_codebooks() > 0) {
    text += message(", ", model.n_codebooks(), " codebooks of depth ", model.trees().depth());
  }
  if (model.n_linear() > 0) text += message(", ", model.n_linear(), " linear dims");
  if (model.n_latents() > 0) text += message(", ", model.n_latents(), " latents");
  return text;
}

void bind_model(py::module_& module) {
  py::class_<Model>(module, "Model", R"(A trained model: hash trees, tables, linear dims, scales. Immutable.

mithral.train makes one from sample rows; the constructor makes one from the arrays of another trainer.

Parameters (all by keyword; C codebooks of depth L with K = 2**L leaves, D features, M outputs, S linear dims):
    split_dims: integers (C, L), the column that each level of each hash tree compares, 0 to D - 1; None, as thresholds and lut
        then are: there are no trees
    thresholds: floats (C, K - 1); node i of level l is at index 2**l - 1 + i; +inf where a node never splits
    lut: integers 0 to 255 (C, K, M)
    scale, offset: finite floats (M,)
    n_features: D
    linear_dims: integers (S,), the columns that are quantised, 0 to D - 1; None: there are none, and nothing of the following
    linear_inverse_step, linear_zero: finite floats (S,); column x becomes q = round(min(max(x * inverse_step + zero, 0), 127)),
        half to even, NaN to 0
    linear_weights: integers -128 to 127 (S, M); q times them is added to the tables' sums, which count 2**shift times
    shift: 0 to 14; None: 0
    latents: another model of rows of D features, whose r outputs z become codes q = round(min(max(z, 0), 127)), half to even; None:
        there are none. It has no latents of its own; S is a multiple of 4 then
    latent_weights: integers -128 to 127 (r, M); q times them is added as well

C, S or r may be 0. The result is (tables * 2**shift + linear) * scale + offset, integers up to the last two steps.

Raises BadModelError, a ValueError, for dtypes, shapes and values that do not fit, and TypeError for what is not an array.)")
      .def(py::init([](const py::object& dims, const py::object& nodes, const py::object& table,
                       const py::object& scales, const py::object& offsets, const py::object& n_features,
                       const py::object& linear_dims, const py::object& inverse_step, const py::object& zero,
                       const py::object& weights, const py::object& shift, const py::object& latents,
                       const py::object& latent_weights) {
             return model_of_trees(dims, nodes, table, scales, offsets, n_features,
                                   {linear_dims, inverse_step, zero, weights, shift, latents, latent_weights});
           }),
           py::kw_only(), "split_dims"_a = py::none(), "thresholds"_a = py::none(), "lut"_a = py::none(), "scale"_a,
           "offset"_a, "n_features"_a, "linear_dims"_a = py::none(), "linear_inverse_step"_a = py::none(),
           "linear_zero"_a = py::none(), "linear_weights"_a = py::none(), "shift"_a = py::none(),
           "latents"_a = py::none(), "latent_weights"_a = py::none())
      .def_static(
          "from_codes", &model_of_codes, py::kw_only(), "lut"_a, "scale"_a, "offset"_a,
          R"(A model whose codes come from the caller: of another quantiser, of categories, of anything that selects table rows.

lut: integers 0 to 255 (C, K, M), K from 2 to 256; scale, offset: finite floats (M,). Its kernels take codes, uint8 (N, C), each
below K, where those of other models take rows: kernel.scan(codes), or kernel(codes), kernel.argmax(codes), ...

Raises BadModelError, a ValueError, for dtypes, shapes and values that do not fit, and TypeError for what is not an array.)")
      .def_property_readonly("n_codebooks", &Model::n_codebooks, "C, the number of codebooks.")
      .def_property_readonly("n_entries", &Model::n_entries,
                             "K, the entries of a codebook's table: 2**depth of hash trees.")
      .def_property_readonly(
          "depth", [](const Model& model) { return trees_of(model, "depth").depth(); },
          "L, the levels of each hash tree. AttributeError where codes are given, as of split_dims and thresholds.")
      .def_property_readonly("n_features", &Model::n_features, "D, the columns of X; C where codes are given.")
      .def_property_readonly("n_outputs", &Model::n_outputs, "M, the columns of the result.")
      .def_property_readonly("split_dims", &split_dims, "int32 (C, L), read-only.")
      .def_property_readonly("thresholds", &thresholds, "float32 (C, 2**L - 1), read-only.")
      .def_property_readonly("lut", &lut, "uint8 (C, K, M), read-only.")
      .def_property_readonly("scale", &scale, "float32 (M,), read-only.")
      .def_property_readonly("offset", &offset, "float32 (M,), bias included, read-only.")
      .def_property_readonly("n_linear", &Model::n_linear, "S, the number of linear dims.")
      .def_property_readonly("linear_dims", &linear_dims, "int32 (S,), read-only.")
      .def_property_readonly("linear_inverse_step", &linear_inverse_step, "float32 (S,), read-only.")
      .def_property_readonly("linear_zero", &linear_zero, "float32 (S,), read-only.")
      .def_property_readonly("linear_weights", &linear_weights, "int8 (S, M), read-only.")
      .def_property_readonly(
          "shift", [](const Model& model) { return model.linear().shift(); },
          "The tables' sums count 2**shift times as much as the linear ones.")
      .def_property_readonly("n_latents", &Model::n_latents, "r, the number of latents.")
      .def_property_readonly("latents", &latents, "The model whose outputs are the latents, or None.")
      .def_property_readonly("latent_weights", &latent_weights, "int8 (r, M), read-only.")
      .def_property_readonly(
          "report", [](const Model& model) { return report_dict(model.report()); },
          "A new dict: figures of training, measured on held-out rows. Empty for a model made from arrays.")
      .def("encode", &encode_by_reference, "X"_a,
           "The codes of the rows of X (N, D): uint8 (N, C), by plain loops. ValueError where codes are given.")
      .def("reference", &reference_outputs, "X"_a,
           "The result for the rows of X (N, D), or for codes (N, C) where these are given: float32 (N, M), by plain "
           "loops.")
      .def("__repr__", [](const Model& model) { return "<mithral.Model: " + describe(model) + ">"; })
      .def(py::pickle(&get_state, &set_state))
      .def("__reduce__", &reduce);
}

}  // namespace mithral::python
